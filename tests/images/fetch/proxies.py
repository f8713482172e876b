"""Proxies on loopback: a small one of our own, and tinyproxy where it is installed."""

import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.images.fetch.servers import ALLOWED, _running


@dataclass
class SmallProxy:
    """A proxy that leads every name to loopback.

    Attributes:
        heads: of the requests that it was sent.
        answers: what it says in place of connecting, if anything.
    """

    port: int = 0
    answers: bytes = b""
    heads: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{ALLOWED}:{self.port}"

    @property
    def targets(self) -> list[str]:
        """What it was asked for."""
        return [head.split(" ")[1] for head in self.heads]

    def serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            if not (received := client.recv(65536)):
                return
            head += received
        self.heads.append(head.decode("latin-1"))
        if self.answers:
            client.sendall(self.answers)
            return
        method, target, _ = self.heads[-1].split(" ", 2)
        url = urlsplit(f"//{target}" if method == "CONNECT" else target)
        with socket.create_connection((ALLOWED, url.port or 80), 10) as server:
            if method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = url.path + (f"?{url.query}" if url.query else "")
                _, *lines = self.heads[-1].split("\r\n")
                own = [line for line in lines if not line.lower().startswith("proxy-")]
                lines = [f"GET {path} HTTP/1.1", "Connection: close", *own]
                server.sendall("\r\n".join(lines).encode("latin-1"))
            thread = threading.Thread(target=_pump, args=(client, server), daemon=True)
            thread.start()
            _pump(server, client)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def small_proxy(answers: bytes = b"") -> Iterator[SmallProxy]:
    """Run one; `answers` is all that it says, where it is given."""
    proxy = SmallProxy(answers=answers)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                proxy.serve(self.request)

    class Quiet(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    tcp = Quiet((ALLOWED, 0), Handler)
    proxy.port = tcp.server_address[1]
    with _running(tcp):
        yield proxy


@contextmanager
def tinyproxy(program: str, folder: Path, more: str = "") -> Iterator[str]:
    """Run Debian's tinyproxy; yields its URL."""
    with socket.create_server((ALLOWED, 0)) as free:
        port = free.getsockname()[1]
    config = folder / "tinyproxy.conf"
    config.write_text(f"Port {port}\nListen {ALLOWED}\nTimeout 60\nLogLevel Critical\n{more}")
    process = subprocess.Popen([program, "-d", "-c", str(config)], stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 20
        while True:
            with suppress(OSError), socket.create_connection((ALLOWED, port), 1):
                break
            assert time.monotonic() < end
            time.sleep(0.05)
        yield f"http://{ALLOWED}:{port}"
    finally:
        process.terminate()
        process.wait(20)
