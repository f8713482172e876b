"""Real servers on loopback, well and badly behaved.

127.0.0.1 plays a host that may be fetched from (the tests' allow-list), 127.0.0.2 one that may
not: nothing is ever to arrive there.
"""

import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ALLOWED = "127.0.0.1"
FORBIDDEN = "127.0.0.2"
# A certificate for pictures.test and its key; made for these tests, and good for nothing else.
CERTIFICATE = Path(__file__).parent / "data" / "pictures_test.pem"

Answer = tuple[int, dict[str, str], bytes]


class Server:
    """A running HTTP server and what it was asked."""

    def __init__(self, http: socketserver.BaseServer, scheme: str, host: str, port: int) -> None:
        self.http = http
        self.port = port
        self.url = f"{scheme}://{host}:{port}"
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.connections = 0
        self.server_names: list[str | None] = []


@contextmanager
def http_server(
    answer: Callable[[str], Answer], tls: bool | Path = False, host: str = ALLOWED
) -> Iterator[Server]:
    """Serve what `answer` says for each path."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            server.connections += 1
            super().setup()

        def do_GET(self) -> None:  # http.server's name
            server.requests.append((self.path, dict(self.headers.items())))
            status, headers, body = answer(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if not {"Content-Length", "Transfer-Encoding"} & headers.keys():
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: Any) -> None:
            pass

    httpd = Quiet((ALLOWED, 0), Handler)
    server = Server(httpd, "https" if tls else "http", host, httpd.server_port)
    if tls:
        httpd.socket = _with_tls(httpd.socket, server, CERTIFICATE if tls is True else tls)
    with _running(httpd):
        yield server


def _with_tls(listening: socket.socket, server: Server, certificate: Path) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def note_name(_socket: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        server.server_names.append(name)

    context.sni_callback = note_name
    return context.wrap_socket(listening, server_side=True, do_handshake_on_connect=False)


@contextmanager
def raw_server(talk: Callable[[socket.socket], None], read_request: bool = True) -> Iterator[str]:
    """Accept connections and let `talk` say whatever it likes; yields host:port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                if read_request:
                    self.request.recv(65536)
                talk(self.request)
            except OSError:
                pass  # the client had enough

    class Quiet(socketserver.ThreadingTCPServer):
        daemon_threads = True

    tcp = Quiet((ALLOWED, 0), Handler)
    with _running(tcp):
        yield f"{ALLOWED}:{tcp.server_address[1]}"


class Canary:
    """Listens where nothing may ever connect."""

    def __init__(self) -> None:
        self._socket = socket.create_server((FORBIDDEN, 0))
        self._socket.settimeout(0.05)
        self.port: int = self._socket.getsockname()[1]
        self.host = f"{FORBIDDEN}:{self.port}"

    def touched(self) -> bool:
        """Has someone connected since the last time? The kernel queues those who did."""
        try:
            self._socket.accept()[0].close()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()


@contextmanager
def _running(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
