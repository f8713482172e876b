"""File server in a process of its own: photographs, and the bad answers that must be refused.

On bare asyncio, because it shares the machine's cores with the service. A query is ignored, so that
one file has any number of URLs; with `?pixels=N` a JPEG file has other pixels for every number::

    /photo/0.jpg ...      photographs of 480 to 1280 pixels, 200
    /missing.jpg          404
    /text                 200, no image
    /bomb.png             a PNG of 20,000 x 20,000 pixels in 60 KB
    /strip.png            1 x 20,000 pixels
    /gzip.jpg             answers compressed although nobody asked for it
    /cut.jpg              half a photograph
    /loop                 redirects to itself
    /slow                 a byte each half second, for ever
"""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from PIL import Image

from bench.load.photos import NAMES, SIDES, encoded, photograph, repixelled, scaled

_DRIP_S = 0.5
_MOST_REQUEST_BYTES = 1 << 16
_PIXELS = b"pixels="


class FileServer:
    """The server as a child process, with more files by name; it listens on all of loopback."""

    def __init__(self, files: Mapping[str, Path] | None = None, host: str = "0.0.0.0") -> None:  # noqa: S104
        with socket.socket() as probe:
            probe.bind((host, 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        named = [f"{name}={path}" for name, path in (files or {}).items()]
        self._command = [sys.executable, "-m", __name__, host, str(self.port), *named]
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        if self.process.stdout is None or self.process.stdout.readline() != "ready\n":
            raise RuntimeError("the file server did not start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Connection(asyncio.Protocol):
    """Answers one GET after another on a connection."""

    def __init__(self, answers: Mapping[bytes, bytes]) -> None:
        self._answers = answers
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101 - for mypy
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            path, _, query = head.split(b" ", 2)[1].partition(b"?")
            self._answer(path, query, b"close" in head.lower())
        if len(self._received) > _MOST_REQUEST_BYTES:
            self._transport.close()

    def _answer(self, path: bytes, query: bytes, is_last: bool) -> None:
        if path == b"/slow":
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            self._drip()
            return
        answer = self._answers.get(path, self._answers[b"/missing.jpg"])
        number = query.removeprefix(_PIXELS)
        self._transport.write(repixelled(answer, int(number)) if number.isdigit() else answer)
        if is_last:
            self._transport.close()

    def _drip(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(b"\xff")
            asyncio.get_running_loop().call_later(_DRIP_S, self._drip)


def _answers(files: Mapping[str, bytes]) -> dict[bytes, bytes]:
    photos = [scaled(photograph(f"{name}.jpg"), side) for name in NAMES for side in SIDES]
    gzip = b"Content-Encoding: gzip\r\n"
    return {
        b"/missing.jpg": _answer("404 Not Found", b"nothing here"),
        b"/text": _answer("200 OK", b"<html>not an image</html>"),
        b"/bomb.png": _answer("200 OK", encoded(Image.new("1", (20_000, 20_000)), "PNG")),
        b"/strip.png": _answer("200 OK", encoded(Image.new("RGB", (1, 20_000)), "PNG")),
        b"/gzip.jpg": _answer("200 OK", photos[0], gzip),
        b"/cut.jpg": _answer("200 OK", photos[0][: len(photos[0]) // 2]),
        b"/loop": _answer("302 Found", b"", b"Location: /loop\r\n"),
        **{f"/photo/{n}.jpg".encode(): _answer("200 OK", body) for n, body in enumerate(photos)},
        **{f"/{name}".encode(): _answer("200 OK", body) for name, body in files.items()},
    }


def _answer(status: str, body: bytes, more: bytes = b"") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + more + b"\r\n" + body


async def _serve(host: str, port: int, answers: Mapping[bytes, bytes]) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await loop.create_server(
        lambda: _Connection(answers), host, port, backlog=1024, reuse_address=True
    )
    print("ready", flush=True)
    await ended.wait()


if __name__ == "__main__":
    _named = (each.split("=", 1) for each in sys.argv[3:])
    _files = {name: Path(path).read_bytes() for name, path in _named}
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), _answers(_files)))
