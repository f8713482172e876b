"""HTTP/1.1 of the API's workers: uvicorn's httptools protocol with the bounds that it lacks.

httptools parses in C: a small request costs 43 us of CPU with these bounds and 37 without, against
130 with h11, uvicorn's other parser; under overload most of a refusal is that. But httptools takes
a head of any length, header after header or one that never ends, and uvicorn as many requests at
once on one connection as fit into a read. Both stay in memory, so both end here, with a 400.
"""

import json
from itertools import chain

import uvicorn.config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.middleware.stack import ALWAYS

MAX_HEAD_BYTES = 65_536
"""Of a request's target and headers. Trailers, extensions of chunks and empty lines may have as
much, up to the next part of a body or whole head."""

MAX_PIPELINED = 64
"""Requests on one connection that wait for the answers before theirs."""

_AROUND_HEADER = len(b": \r\n")
_INVALID = {"message": "the request is not valid HTTP/1.1", "code": "bad_request"}


class _BadHeadError(Exception):
    """The request cannot be taken. The parser wraps it in an error of its own."""


class BoundedHttp(HttpToolsProtocol):
    """A connection. What the parser or a bound refuses is answered 400 and closed."""

    _pending_bytes = 0
    """Received since the last whole head or part of a body."""

    def data_received(self, data: bytes) -> None:
        """Parse what came, and refuse what grows without becoming a request."""
        self._pending_bytes += len(data)
        super().data_received(data)
        if self._pending_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("")

    def on_headers_complete(self) -> None:
        """Judge the whole head once, then let the application begin."""
        self._pending_bytes = 0
        headers = self.headers
        size = len(self.url) + sum(map(len, chain.from_iterable(headers)))
        if size + _AROUND_HEADER * len(headers) > MAX_HEAD_BYTES:
            raise _BadHeadError("a head of more than 64 KiB")
        hosts = [name for name, _ in headers].count(b"host")
        if hosts != 1 and not (hosts == 0 and self.parser.get_http_version() == "1.0"):
            raise _BadHeadError("RFC 9112, 3.2: exactly one Host")
        if len(self.pipeline) >= MAX_PIPELINED:
            raise _BadHeadError("too many requests at once on a connection")
        # uvicorn appends trailers to `headers`: the application is not to see them.
        self.scope["headers"] = headers.copy()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body, which `api.middleware.request_body` bounds."""
        self._pending_bytes = 0
        super().on_body(body)

    def send_400_response(self, _msg: str) -> None:
        """Refuse in the words of every other refusal, and close.

        Args:
            _msg: uvicorn's own words, which the log has.
        """
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            cycle.keep_alive = False  # a whole request is being answered; what followed it is not
            return
        is_silent = cycle is None or cycle.response_complete or not cycle.response_started
        if not self.pipeline and is_silent:
            self.transport.write(_REFUSAL)
        self.transport.close()


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


def patch() -> None:
    """Let the server that this process will start use `BoundedHttp`.

    BentoML leaves the choice to uvicorn (1.4.39, `_bentoml_impl/worker/service.py:220`).
    """
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{BoundedHttp.__name__}"
