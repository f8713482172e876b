"""A file server in a process of its own: photographs, and the bad answers of the benchmarks.

Written on bare asyncio, because it shares the machine's cores with the service that is measured.
Photographs are made of two that ultralytics brings along, `bus.jpg` and `zidane.jpg`, scaled. A
query is ignored, so that one file has as many URLs as are wanted; but with `?pixels=N` a JPEG file
has other pixels for every number (`repixelled`)::

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

import argparse
import asyncio
import io
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from PIL import Image

PHOTO_SIDES = (480, 640, 800, 1024, 1280)
PHOTOS = 2 * len(PHOTO_SIDES)
_DRIP_S = 0.5
_MOST_REQUEST_BYTES = 1 << 16
_PIXELS = b"pixels="
_QUANTIZATION = b"\xff\xdb"
_FIRST_STEP = 5 + 2
"""Of the table's bytes: marker, length and number, then the steps of the lowest frequencies, which
would change the picture most."""
_STEPS = 24


def photograph(name: str) -> Path:
    """The file of a photograph that ultralytics brings along, without importing it."""
    found = find_spec("ultralytics")
    if found is None or found.origin is None:
        raise RuntimeError("ultralytics is not installed")
    return Path(found.origin).parent / "assets" / name


def scaled(path: Path, long_side: int) -> bytes:
    """A photograph as a JPEG file of this size."""
    with Image.open(path) as original:
        factor = long_side / max(original.size)
        size = (round(original.width * factor), round(original.height * factor))
        return _encoded(original.convert("RGB").resize(size, Image.Resampling.LANCZOS), "JPEG")


def repixelled(data: bytes, number: int) -> bytes:
    """What holds a JPEG file, with other pixels of the same kind for each number below 2 ** 24.

    The steps by which the first table of quantization multiplies are the number's bits greater:
    the same file decodes to other pixels in the same time, and nothing is encoded anew.
    """
    first = data.find(_QUANTIZATION) + _FIRST_STEP
    steps = bytearray(data[first : first + _STEPS])
    for place in range(_STEPS):
        steps[place] = min(255, steps[place] + (number >> place & 1))
    return b"".join((data[:first], steps, data[first + _STEPS :]))


class FileServer:
    """The server as a child process; `with` starts and stops it, and it can be started again.

    Args:
        files: more files to serve, by name.
        host: address to listen on; the unspecified one takes every address of loopback.
    """

    def __init__(self, files: Mapping[str, Path] | None = None, host: str = "127.0.0.1") -> None:
        with socket.socket() as probe:
            probe.bind((host, 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        named = [f"{name}={path}" for name, path in (files or {}).items()]
        self._command = [sys.executable, "-m", "bench.fileserver", host, str(self.port), *named]
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start and wait until it listens."""
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        if self.process.stdout is None or self.process.stdout.readline() != "ready\n":
            raise RuntimeError("the file server did not start")

    def stop(self) -> None:
        """End it; its connections are cut."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
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
            self._write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            self._drip()
        else:
            answer = self._answers.get(path, self._answers[b"/missing.jpg"])
            number = query.removeprefix(_PIXELS)
            self._write(repixelled(answer, int(number)) if number.isdigit() else answer)
            if is_last:
                self._transport.close()

    def _drip(self) -> None:
        if not self._transport.is_closing():
            self._write(b"\xff")
            asyncio.get_running_loop().call_later(_DRIP_S, self._drip)

    def _write(self, data: bytes) -> None:
        assert isinstance(self._transport, asyncio.WriteTransport)  # noqa: S101 - for mypy
        self._transport.write(data)


def _answers(files: Mapping[str, bytes]) -> dict[bytes, bytes]:
    photos = [
        scaled(photograph(name), side) for name in ("bus.jpg", "zidane.jpg") for side in PHOTO_SIDES
    ]
    gzip = b"Content-Encoding: gzip\r\n"
    return {
        b"/missing.jpg": _answer("404 Not Found", b"nothing here"),
        b"/text": _answer("200 OK", b"<html>not an image</html>"),
        b"/bomb.png": _answer("200 OK", _encoded(Image.new("1", (20_000, 20_000)), "PNG")),
        b"/strip.png": _answer("200 OK", _encoded(Image.new("RGB", (1, 20_000)), "PNG")),
        b"/gzip.jpg": _answer("200 OK", photos[0], gzip),
        b"/cut.jpg": _answer("200 OK", photos[0][: len(photos[0]) // 2]),
        b"/loop": _answer("302 Found", b"", b"Location: /loop\r\n"),
        **{f"/photo/{n}.jpg".encode(): _answer("200 OK", body) for n, body in enumerate(photos)},
        **{f"/{name}".encode(): _answer("200 OK", body) for name, body in files.items()},
    }


def _answer(status: str, body: bytes, more: bytes = b"") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + more + b"\r\n" + body


def _encoded(picture: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, quality=90)
    return buffer.getvalue()


async def _serve(host: str, port: int, answers: Mapping[bytes, bytes]) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await loop.create_server(
        lambda: _Connection(answers), host, port, backlog=1024, reuse_address=True
    )
    print("ready", flush=True)
    await ended.wait()


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("files", nargs="*", help="NAME=PATH")
    given = parser.parse_args()
    files = dict(each.split("=", 1) for each in given.files)
    read = {name: Path(path).read_bytes() for name, path in files.items()}
    asyncio.run(_serve(given.host, given.port, _answers(read)))


if __name__ == "__main__":
    main()
