"""A small HTTP file server on loopback, for scenes that the service is to fetch."""

import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from PIL.Image import Image


def as_jpeg(picture: Image) -> bytes:
    """A picture (RGB) as the bytes of a JPEG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


class PictureServer:
    """Serves JPEG files from memory at `url` + name, until the `with` block ends.

    Args:
        port: to listen on; 0 takes a free one.
    """

    def __init__(self, port: int = 0) -> None:
        self._files: dict[str, bytes] = {}
        self._server = _Server(("127.0.0.1", port), _handler(self._files))
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def add(self, name: str, picture: Image) -> str:
        """Put a picture up and return its URL."""
        return self.add_file(name, as_jpeg(picture))

    def add_file(self, name: str, data: bytes) -> str:
        """Put any bytes up and return their URL."""
        self._files[f"/{name}"] = data
        return self.url + name

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    # The usual backlog of 5 drops connections when many pictures are fetched at once.
    request_queue_size = 256
    daemon_threads = True


def _handler(files: dict[str, bytes]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = files.get(self.path.partition("?")[0])
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the demo's own output is what matters."""

    return Handler
