"""The web server of the corpus: what it is told to say at a path, and where it was dialled.

It listens on every address of the box, so a connection tells by its own end which address the
service meant. Any path that nothing was put at is a good picture.
"""

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from demo.scenes.scenes import draw_scene
from demo.scenes.seeds import SHOW_SEEDS
from demo.server import as_jpeg
from tests.images.fetch.servers import CERTIFICATE

Talk = Callable[[socket.socket], None]
"""Says whatever it likes to a connection whose request was read."""

# Not fetched from: nothing is ever to arrive at them, whatever their address.
SERVICE_PORTS = (
    *(1, 7, 19, 22, 25, 79, 81, 110, 389, 445, 631, 1022, 1023),
    *(2375, 3306, 5432, 6379, 9200, 11211, 27017),
)

PICTURE = as_jpeg(draw_scene(SHOW_SEEDS[0]).picture)


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A plain, complete answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    """An answer that sends elsewhere; the address may be any text."""
    raw = location.encode("utf-8", "surrogateescape")
    return b"HTTP/1.1 %s\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status.encode(), raw)


class Site:
    """Listens wherever it is told to.

    Attributes:
        dialled: Addresses and ports that connections came to.
    """

    def __init__(self) -> None:
        self.dialled: set[tuple[str, int]] = set()
        self._talks: dict[str, Talk] = {}
        self._servers: list[_Server] = []

    def listen(self, host: str, port: int, *, tls: bool = False) -> int:
        """Listen on an address, `::` for all; returns the port."""
        server = _Server(self, host, port, tls)
        self._servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return int(server.server_address[1])

    def put(self, path: str, answer: bytes | Talk) -> None:
        """Say this at a path."""
        if isinstance(answer, bytes):
            data = answer
            self._talks[path] = lambda connection: connection.sendall(data)
        else:
            self._talks[path] = answer

    def serve(self, connection: socket.socket) -> None:
        """Note where a connection was meant to go, read its request and answer it."""
        address, port = connection.getsockname()[:2]
        self.dialled.add((str(_plain(address)), port))
        path = requested_path(connection)
        if path is not None:
            talk = self._talks.get(path)
            connection.sendall(http(PICTURE)) if talk is None else talk(connection)

    def close(self) -> None:
        """Stop listening."""
        for server in self._servers:
            server.shutdown()
            server.server_close()


def requested_path(connection: socket.socket) -> str | None:
    """Read one request; its path, or None when the client is gone."""
    head = b""
    while b"\r\n\r\n" not in head:
        received = connection.recv(65536)
        if not received:
            return None
        head += received
    return head.split(b" ")[1].partition(b"?")[0].decode("latin-1")


def _plain(address: str) -> object:
    parsed = ip_address(address.partition("%")[0])
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, IPv6Address) else parsed


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, site: Site, host: str, port: int, tls: bool) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):  # the client had enough
                    site.serve(_with_tls(self.request) if tls else self.request)

        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def _with_tls(connection: socket.socket) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context.wrap_socket(connection, server_side=True)
