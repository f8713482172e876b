"""A file server on loopback that counts what is asked for and takes its time."""

import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class CountingServer:
    """Serves files by name, each after a delay; what is not there is answered 404.

    Args:
        delay_s: before each answer.

    Attributes:
        files: by name.
        asked: how often each url was asked for.
        answered: how many answers have begun.
        stays: answers in all, after which none begins until this is more; None for no end.
    """

    def __init__(self, delay_s: float) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: Counter[str] = Counter()
        self.answered = 0
        self.stays: int | None = None
        self._counting = threading.Lock()
        self._delay_s = delay_s
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        name = request.path.removeprefix("/")
        with self._counting:
            self.asked[self.url + name] += 1
        time.sleep(self._delay_s)
        while not self._may_answer():
            time.sleep(0.02)
        body = self.files.get(name)
        request.send_response(404 if body is None else 200)
        request.send_header("Content-Length", str(len(body or b"")))
        request.end_headers()
        request.wfile.write(body or b"")

    def _may_answer(self) -> bool:
        with self._counting:
            if self.stays is not None and self.answered >= self.stays:
                return False
            self.answered += 1
            return True

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
