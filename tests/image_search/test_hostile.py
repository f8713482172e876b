"""A server that means the client harm: answers without an end, compressed ones, redirects."""

import asyncio
import gzip
import json
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from image_search import (
    AsyncClient,
    Client,
    OverloadedError,
    Retries,
    UnexpectedAnswerError,
)
from image_search.request import MOST_BYTES, MOST_LIST_BYTES, bytes_of

ONCE = Retries(attempts=1)
PIECE = b"[" * (1 << 16)
HEAD = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n%sConnection: close\r\n\r\n"


class Hostile:
    """Answers every request with a head, and then with the same piece until nobody reads."""

    def __init__(self, head: bytes, piece: bytes, pieces: int) -> None:
        self._answer = head, piece, pieces
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.sent = 0
        self.asked: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        head, piece, pieces = self._answer
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with client:
                self.asked.append(client.recv(1 << 16))
                try:
                    client.sendall(head)
                    for _ in range(pieces):
                        client.sendall(piece)
                        self.sent += len(piece)
                except OSError:
                    continue

    def close(self) -> None:
        self._socket.close()


@contextmanager
def hostile(
    piece: bytes, pieces: int, status: bytes = b"200 OK", headers: bytes = b""
) -> Iterator[Hostile]:
    server = Hostile(HEAD % (status, headers), piece, pieces)
    yield server
    server.close()


def by_client(url: str, call: Callable[[Any], Any]) -> Any:
    with Client(url, retries=ONCE) as client:
        return call(client)


def by_async_client(url: str, call: Callable[[Any], Any]) -> Any:
    async def run() -> Any:
        async with AsyncClient(url, retries=ONCE) as client:
            return await call(client)

    return asyncio.run(run())


BOTH = pytest.mark.parametrize("by", [by_client, by_async_client])
CALLS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "heartbeat": (lambda client: client.heartbeat(), MOST_BYTES),
    "get": (lambda client: client.get("x"), MOST_BYTES),
    "search": (lambda client: client.search("x"), bytes_of(10)),
    "a thousand": (lambda client: client.search("x", limit=1000), MOST_LIST_BYTES),
    "list": (lambda client: client.list(limit=2), bytes_of(2)),
    "thumbnail": (lambda client: client.thumbnail("x"), 8 << 20),
    "declare_column": (lambda client: client.declare_column("x", "string"), MOST_BYTES),
    "drop_column": (lambda client: client.drop_column("x"), MOST_BYTES),
}


@BOTH
@pytest.mark.parametrize("name", CALLS)
def test_an_answer_without_an_end_is_given_up(name: str, by: Callable[..., Any]) -> None:
    call, most = CALLS[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    with hostile(PIECE, 10_000) as server:
        with pytest.raises(UnexpectedAnswerError, match=r"larger than the .* bytes that are read"):
            by(server.url, call)
        # What is on its way lies in the sockets' buffers.
        assert server.sent <= most + (16 << 20)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10 < before + 3 * most + (64 << 20)


@BOTH
@pytest.mark.parametrize("status", [b"400 Bad Request", b"502 Bad Gateway", b"302 Found"])
def test_an_error_without_an_end_is_given_up(status: bytes, by: Callable[..., Any]) -> None:
    with (
        hostile(PIECE, 10_000, status, b"Location: /elsewhere\r\n") as server,
        pytest.raises(UnexpectedAnswerError, match="larger than"),
    ):
        by(server.url, lambda client: client.original("x"))


@BOTH
@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"zstd", b"gzip, gzip"])
def test_a_compressed_answer_is_refused(encoding: bytes, by: Callable[..., Any]) -> None:
    bomb = gzip.compress(gzip.compress(bytes(200 << 20)))
    header = b"Content-Encoding: %s\r\n" % encoding
    with hostile(bomb, 1, headers=header) as server:
        with pytest.raises(UnexpectedAnswerError, match="is compressed, which was not asked for"):
            by(server.url, lambda client: client.status())
        assert b"accept-encoding: identity\r\n" in server.asked[0].lower()


@BOTH
def test_a_redirect_is_not_followed(by: Callable[..., Any]) -> None:
    with hostile(b"{}", 1) as elsewhere:
        location = b"Location: %s/heartbeat\r\n" % elsewhere.url.encode()
        with (
            hostile(b"{}", 1, b"307 Temporary Redirect", location) as server,
            pytest.raises(UnexpectedAnswerError, match="answered 307"),
        ):
            by(server.url, lambda client: client.heartbeat())
        assert elsewhere.asked == []


@BOTH
def test_what_fits_is_read(by: Callable[..., Any]) -> None:
    body = json.dumps({"message": "x" * (MOST_BYTES - 20)}).encode()
    with hostile(body, 1) as server:
        assert len(by(server.url, lambda client: client.heartbeat())) == MOST_BYTES - 20
    busy = b'{"message": "too many", "code": "overloaded"}'
    with (
        hostile(busy, 1, b"429 Too Many Requests") as server,
        pytest.raises(OverloadedError, match="too many"),
    ):
        by(server.url, lambda client: client.heartbeat())


def test_a_list_may_be_as_long_as_its_images() -> None:
    assert bytes_of(0) == MOST_BYTES < bytes_of(1) < bytes_of(10) < bytes_of(1000)
    assert bytes_of(1000) == bytes_of(10**9) == MOST_LIST_BYTES
    assert bytes_of(-1) == MOST_BYTES
