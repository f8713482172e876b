"""HTTP/1.1 as the workers speak it: httptools' parser in C, with the bounds that it does not have.

uvicorn takes httptools where it is installed. A request then costs half of what it does with h11,
and a batch of pictures on its way to a model is not copied through Python. But httptools takes a
head of any length, header after header or one that never ends, and uvicorn as many requests at
once on one connection as fit into a read. Both stay in memory, so both end here, with a 400.
"""

import json

import uvicorn.config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.middleware.security_headers import ALWAYS

MAX_HEAD_BYTES = 65_536
"""Of a request's target and headers, of the headers after a chunked body, and of anything else that
is no body: extensions of chunks, empty lines."""

MAX_PIPELINED = 64
"""Requests on one connection that wait for the answers before theirs."""

_AROUND_HEADER = len(b": \r\n")
_INVALID = {"message": "the request is no valid HTTP/1.1", "code": "bad_request"}


class _BadHeadError(Exception):
    """The request cannot be taken. The parser makes an error of its own of it."""


class BoundedHttp(HttpToolsProtocol):
    """A connection. What the parser or a bound refuses is answered 400 and closed."""

    _head_bytes = 0
    _unparsed_bytes = 0
    _in_head = False

    def data_received(self, data: bytes) -> None:
        """Parse what came; what led to nothing so far is bounded too."""
        self._unparsed_bytes += len(data)
        super().data_received(data)
        if self._unparsed_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._head_bytes = self._unparsed_bytes = 0
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header is whole. One after the body is let go: the application has begun without it."""
        self._count(len(name) + len(value) + _AROUND_HEADER)
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The application begins."""
        self._head_bytes = self._unparsed_bytes = 0
        self._in_head = False
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts != 1 and not (hosts == 0 and self.parser.get_http_version() == "1.0"):
            raise _BadHeadError("RFC 9112, 3.2: exactly one Host")
        if len(self.pipeline) >= MAX_PIPELINED:
            raise _BadHeadError("too many requests at once on a connection")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body, which `api.middleware.request_body` bounds."""
        self._unparsed_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request has ended."""
        self._unparsed_bytes = 0
        super().on_message_complete()

    def send_400_response(self, _msg: str) -> None:
        """Refuse in the words of every other refusal, and close.

        Args:
            _msg: uvicorn's own words, which the log has.
        """
        if self.transport.is_closing():
            return
        if self._answers_whole_request():
            self.cycle.keep_alive = False  # it is answered, and what came after it is not
            return
        if not self.pipeline and (self.cycle is None or self._has_said_nothing()):
            self.transport.write(_REFUSAL)
        self.transport.close()

    def _answers_whole_request(self) -> bool:
        cycle = self.cycle
        return cycle is not None and not cycle.response_complete and not cycle.more_body

    def _has_said_nothing(self) -> bool:
        """Nothing of an answer that is not whole."""
        return self.cycle.response_complete or not self.cycle.response_started

    def _count(self, count: int) -> None:
        self._unparsed_bytes = 0
        self._head_bytes += count
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _BadHeadError("a head without end")


def _refusal() -> bytes:
    body = json.dumps(_INVALID).encode()
    headers = [
        *ALWAYS,
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    lines = b"".join(b"%s: %s\r\n" % header for header in headers)
    return b"HTTP/1.1 400 Bad Request\r\n" + lines + b"\r\n" + body


_REFUSAL = _refusal()


def serve_bounded() -> None:
    """Let the server that this process will start speak HTTP so.

    BentoML leaves the choice to uvicorn (1.4.39, `_bentoml_impl/worker/service.py:220`).
    """
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{BoundedHttp.__name__}"
