"""A picture host on loopback that can be taken down, and that answers well, badly or later."""

import contextlib
import socket
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from demo.process import free_port

Answer = tuple[int, dict[str, str], bytes]
NO_PICTURE = b"no picture" * 100


class PictureHost:
    """Serves `KIND/NUMBER.jpg` while it is up, always on one port.

    A `busy` or `weak` picture is first answered 429 or 503, with the time to come back after; a
    `missing` one 404, a `text` is no picture, and a `closed` one is 503 each time: until mended.

    Args:
        pictures: JPEG files.

    Attributes:
        asked: how often each path was asked for.
        most: different paths that are answered; others wait until the host goes down.
        mended: paths that are good pictures whatever they are called.
    """

    def __init__(self, pictures: list[bytes]) -> None:
        self._pictures, self._port = pictures, free_port()
        self.url = f"http://127.0.0.1:{self._port}/"
        self.asked: Counter[str] = Counter()
        self.mended = frozenset[str]()
        self.most: int | None = None
        self._counting = threading.Lock()
        self._server: _Server | None = None

    def go_up(self) -> None:
        """Listen."""
        self._server = _Server(("127.0.0.1", self._port), _handler(self))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def go_down(self) -> None:
        """Listen no more, and break every connection, as a crash does."""
        self.most = None
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.break_connections()
            self._server = None

    def answer(self, path: str) -> Answer:
        """What a path is answered, this time."""
        while self.most is not None and path not in self.asked and len(self.asked) >= self.most:
            time.sleep(0.01)
        with self._counting:
            self.asked[path] += 1
            is_first = self.asked[path] == 1
        kind, _, name = path.strip("/").partition("/")
        picture = self._pictures[int(name.removesuffix(".jpg")) % len(self._pictures)]
        if path in self.mended:
            return 200, {}, picture
        if kind in ("busy", "weak") and is_first:
            return 429 if kind == "busy" else 503, {"Retry-After": "1"}, b""
        if kind in ("missing", "closed"):
            return 404 if kind == "missing" else 503, {}, b""
        return 200, {}, NO_PICTURE if kind == "text" else picture


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256  # the usual 5 drop connections when many come at once

    def __init__(self, *given: Any) -> None:
        self._open = set[socket.socket]()
        super().__init__(*given)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def break_connections(self) -> None:
        for one in list(self._open):
            with contextlib.suppress(OSError):  # it has ended itself
                one.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: Any) -> None:
        """Say nothing of connections that are broken."""


def _handler(host: PictureHost) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = host.answer(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler
