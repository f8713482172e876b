"""Slow readers of a real server: they go, those who take their answers stay, nothing is left."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access.caller import CALLER, Caller
from api.access.caller import Scope as KeyScope
from api.limits import slow_readers
from api.limits.slow_readers import SLOW_READERS
from api.middleware.stack import Answers
from api.serving.patches.server import BoundedHttp
from tests.api.telemetry.metrics import rise

MIB = 1 << 20
GET = b"GET /%d HTTP/1.1\r\nHost: x\r\nX-Owner: %s\r\n\r\n"
CLOSE = b"Connection: close\r\n\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers as many bytes as its path says."""
    owner = dict(scope["headers"])[b"x-owner"].decode()
    CALLER.set(Caller(owner, KeyScope.READ, owner))
    await Response(bytes(int(scope["path"][1:])))(scope, receive, send)


@asynccontextmanager
async def serving(answer: ASGIApp = app) -> AsyncIterator[int]:
    config = uvicorn.Config(Answers(answer), http=BoundedHttp, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        task = asyncio.create_task(server.serve([listening]))
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await task


class Client:
    """A client with a small buffer, which reads when it is told to."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.setblocking(False)
        self._port = port

    async def ask(self, size: int, owner: bytes = b"a", times: int = 1) -> "Client":
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self.socket, ("127.0.0.1", self._port))
        *kept, last = [GET % (size, owner)] * times
        await loop.sock_sendall(self.socket, b"".join(kept) + last[:-2] + CLOSE)
        return self

    async def read(self, most: int = MIB) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.socket, most)

    async def read_all(self, at_a_time: int = MIB) -> int:
        """How many bytes come, heads of answers included, until the connection ends."""
        got = 0
        with suppress(ConnectionError):
            while part := await self.read(at_a_time):
                got += len(part)
                if at_a_time == 1:
                    await asyncio.sleep(0.01)
        return got


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_readers, "LOOK_S", 0.02)
    monkeypatch.setattr(slow_readers, "STALL_S", 0.3)
    monkeypatch.setattr(slow_readers, "LONGEST_STALL_S", 0.9)
    monkeypatch.setattr(slow_readers, "LEAST_BYTES_S", 64_000)


def _patiently(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STALL_S", "LONGEST_STALL_S"):
        monkeypatch.setattr(slow_readers, name, 60)


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - many small events, of a server and the kernel
            await asyncio.sleep(0.01)


def at_rest() -> bool:
    return not (SLOW_READERS._sending or SLOW_READERS._backlogs)


@pytest.mark.parametrize(
    ("size", "times"), [(20 * MIB, 1), (300_000, 1), (60_000, 60), (2_000, 640)], ids=str
)
def test_who_reads_nothing_is_disconnected(size: int, times: int) -> None:
    """One large answer, one that fits into buffers almost, many small ones."""
    ended, sending = rise("slow_readers_total", reason="stalled"), rise("sending_bytes")

    async def run() -> None:
        async with serving() as port:
            clients = [await Client(port).ask(size, times=times) for _ in range(8)]
            await until(lambda: ended() == 8)
            await until(lambda: at_rest() and not sending())
            for client in clients:
                assert await client.read_all() < size * times

    asyncio.run(run())


def test_what_is_answered_while_others_wait_ends_with_its_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is told, and nothing is written to nobody, which would be a trace in the log."""
    gone = asyncio.Event()

    async def answer(_: Scope, receive: Receive, send: Send) -> None:
        try:
            await receive()
            async with asyncio.timeout(5):
                assert (await receive())["type"] == "http.disconnect"
            await send({"type": "http.response.start", "status": 200})
        finally:
            gone.set()

    async def run() -> None:
        async with serving(answer) as port:
            client = await Client(port).ask(1, times=2)
            await until(lambda: SLOW_READERS._backlogs)
            client.socket.close()
            await gone.wait()
            await until(at_rest)

    asyncio.run(run())
    assert not caplog.records


def test_who_reads_slowly_gets_all_of_it() -> None:
    """A tenth of a second's bytes of a slow phone at a time, for longer than a stall."""
    ended = rise("slow_readers_total", reason="stalled")

    async def run() -> None:
        async with serving() as port:
            client, got = await Client(port).ask(MIB), 0
            stall = asyncio.get_running_loop().time() + 3 * slow_readers.STALL_S
            while asyncio.get_running_loop().time() < stall:
                got += len(await client.read(8192))
                await asyncio.sleep(0.03)
            assert MIB < got + await client.read_all() < MIB + 1000  # with its head

    asyncio.run(run())
    assert ended() == 0


def test_who_stops_in_the_middle_or_takes_a_byte_at_a_time_goes() -> None:
    ended = rise("slow_readers_total", reason="stalled")

    async def run() -> None:
        async with serving() as port:
            stops = await Client(port).ask(20 * MIB)
            for _ in range(50):
                await stops.read()
            trickles = await Client(port).ask(20 * MIB)
            half_closed = await Client(port).ask(20 * MIB)
            half_closed.socket.shutdown(socket.SHUT_WR)
            trickling = asyncio.create_task(trickles.read_all(at_a_time=1))
            await until(at_rest)
            trickling.cancel()

    asyncio.run(run())
    assert ended() >= 2


def test_the_owner_of_most_makes_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """One key's many connections give way to each other, and not another's to them."""
    _patiently(monkeypatch)
    monkeypatch.setattr(slow_readers, "MAX_BYTES", 100 * MIB)
    ended, sending = rise("slow_readers_total", reason="memory"), rise("sending_bytes")

    async def run() -> None:
        async with serving() as port:
            other = await Client(port).ask(10 * MIB, b"other")
            await until(sending)
            greedy = [await Client(port).ask(10 * MIB, b"greedy") for _ in range(30)]
            await until(lambda: ended() >= 21)
            await until(lambda: sending() <= 100 * MIB)
            assert await other.read_all() > 10 * MIB
            for client in greedy:
                client.socket.close()
            other.socket.close()
            await until(at_rest)

    asyncio.run(run())


def test_slow_readers_give_way_where_an_answer_waits_for_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _patiently(monkeypatch)
    monkeypatch.setattr(slow_readers, "SLOW_SHARE_BYTES", 20 * MIB)
    missing = [0]
    monkeypatch.setattr(SLOW_READERS, "missing_bytes", lambda: missing[0])
    ended, sending = rise("slow_readers_total", reason="memory"), rise("sending_bytes")

    async def run() -> None:
        async with serving() as port:
            clients = [await Client(port).ask(10 * MIB) for _ in range(8)]
            await until(lambda: sending() == 80 * MIB)
            missing[0] = 15 * MIB
            await until(lambda: ended() >= 2)
            missing[0] = 1 << 40
            await until(lambda: sending() == 20 * MIB)
            assert ended() == 6
            for client in clients:
                client.socket.close()
            await until(at_rest)

    asyncio.run(run())
