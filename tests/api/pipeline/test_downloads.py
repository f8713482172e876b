"""Downloads against real servers: who waits for whom, and what is told when."""

import asyncio
import gc
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from api.errors import HostBusyError
from api.pipeline.downloads import Downloads
from images.errors import FetchTimeoutError, UnreachableError
from images.fetch.dial import system_resolver
from images.fetch.fetcher import Fetcher
from images.settings import FetchSettings
from tests.api.pipeline.test_host_limits import held, waiting
from tests.images.fetch.servers import ALLOWED, Answer, Server, http_server

CLOSED_PORT = 9_999


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_ALLOW_NETWORKS", f"{ALLOWED},127.0.0.8/29")
    monkeypatch.setenv("IMAGE_SEARCH_FETCH_TIMEOUT_S", "30")


@asynccontextmanager
async def downloading(threads: int = 8, per_host: int = 0) -> AsyncIterator[Downloads]:
    downloads = Downloads(Fetcher(FetchSettings(), system_resolver), threads, per_host)
    try:
        yield downloads
    finally:
        downloads.close()


async def fetch(downloads: Downloads, url: str) -> bytes:
    async with downloads.fetched(url) as data:
        return data


class Gate:
    """Lets answers through once it is opened, and knows how many wait at it."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.waiting = 0
        self.most = 0
        self._lock = threading.Lock()

    def answer(self, _path: str) -> Answer:
        with self._lock:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
        self.open.wait(60)
        with self._lock:
            self.waiting -= 1
        return 200, {}, b"slow"


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - what happens in threads sets no asyncio.Event
            await asyncio.sleep(0.01)


def start(downloads: Downloads, url: str, many: int) -> list[asyncio.Task[bytes]]:
    return [asyncio.create_task(fetch(downloads, url)) for _ in range(many)]


def fast(_path: str) -> Answer:
    return 200, {}, b"fast"


def test_slow_hosts_do_not_starve_another_one(gate: Gate) -> None:
    async def check(slow: list[Server], other: Server) -> None:
        async with downloading(threads=8) as downloads:
            stuck = [task for server in slow for task in start(downloads, server.url, 20)]
            await until(lambda: gate.waiting == 7)
            async with asyncio.timeout(20):
                for _ in range(10):
                    assert await fetch(downloads, other.url) == b"fast"
            assert gate.most < 8
            assert waiting(downloads._hosts) == 60 - gate.waiting
            gate.open.set()
            assert await asyncio.gather(*stuck) == [b"slow"] * 60
            assert (held(downloads._hosts), waiting(downloads._hosts)) == (0, 0)

    with (
        http_server(gate.answer) as one,
        http_server(gate.answer) as two,
        http_server(gate.answer) as three,
        http_server(fast) as other,
    ):
        asyncio.run(check([one, two, three], other))


@pytest.mark.parametrize(("per_host", "most"), [(0, 4), (2, 2)])
def test_no_more_than_set_come_from_one_host(per_host: int, most: int, gate: Gate) -> None:
    async def check(server: Server) -> None:
        async with downloading(8, per_host) as downloads:
            tasks = start(downloads, server.url, 9)
            await until(lambda: gate.waiting == most)
            gate.open.set()
            await asyncio.gather(*tasks)

    with http_server(gate.answer) as server:
        asyncio.run(check(server))
    assert gate.most == most


def test_redirects_are_no_way_round_it(gate: Gate) -> None:
    async def check(hub: Server, slow: Server, other: Server) -> None:
        async with downloading(threads=8) as downloads:
            urls = [f"{hub.url}/{number}" for number in range(40)]
            stuck = [asyncio.create_task(fetch(downloads, url)) for url in urls]
            await until(lambda: len(hub.requests) == 40 and waiting(downloads._hosts) == 36)
            async with asyncio.timeout(20):  # those that wait for the slow one hold nothing
                assert await fetch(downloads, other.url) == b"fast"
                assert await fetch(downloads, f"{hub.url}/fast") == b"fast"
            gate.open.set()
            assert await asyncio.gather(*stuck) == [b"slow"] * 40

    def redirect(path: str) -> Answer:
        return 302, {"Location": other.url if path == "/fast" else slow.url + path}, b""

    with http_server(gate.answer) as slow, http_server(fast) as other, http_server(redirect) as hub:
        asyncio.run(check(hub, slow, other))
    assert gate.most == 4


def test_a_burst_to_one_fast_host_goes_through() -> None:
    async def check(server: Server) -> None:
        async with downloading(threads=32) as downloads:
            assert await asyncio.gather(*start(downloads, server.url, 200)) == [b"fast"] * 200

    with http_server(fast) as server:
        asyncio.run(check(server))
    assert server.connections <= 32


def test_who_waits_for_a_slow_host_is_told_early(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.pipeline.downloads.LONGEST_WAIT_S", 0.2)

    async def check(server: Server) -> None:
        async with downloading(threads=8) as downloads:
            tasks = start(downloads, server.url, 200)
            await until(lambda: waiting(downloads._hosts) == 4)
            gate.open.set()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert ends.count(b"slow") == 8
            busy = [end for end in ends if isinstance(end, HostBusyError)]
            assert len(busy) == 192
            assert busy[0].code == "host_busy"
            assert "try again" in str(busy[0])

    with http_server(gate.answer) as server:
        asyncio.run(check(server))


def test_a_cancelled_download_gives_its_slot_back_when_its_thread_is_done(gate: Gate) -> None:
    async def check(server: Server, other: Server) -> None:
        async with downloading(threads=2) as downloads:
            (stuck,) = start(downloads, server.url, 1)
            await until(lambda: gate.waiting == 1)
            (second,) = start(downloads, server.url, 1)
            await asyncio.sleep(0.05)
            assert (held(downloads._hosts), waiting(downloads._hosts)) == (1, 1)
            for task in (second, stuck):
                task.cancel()
            await asyncio.gather(stuck, second, return_exceptions=True)
            assert waiting(downloads._hosts) == 0
            await until(
                lambda: held(downloads._hosts) == 0
            )  # long before the download's 30 seconds
            assert await fetch(downloads, other.url) == b"fast"

    with http_server(gate.answer) as server, http_server(fast) as other:
        before = time.monotonic()
        asyncio.run(check(server, other))
        assert time.monotonic() - before < 20


def test_a_download_that_nobody_waits_for_is_no_error_of_the_log(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    async def check(server: Server) -> None:
        async with downloading() as downloads:
            (task,) = start(downloads, server.url, 1)
            await until(lambda: gate.waiting == 1)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            del task
            await until(lambda: held(downloads._hosts) == 0)
            gc.collect()

    with http_server(gate.answer) as server:
        asyncio.run(check(server))
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_deadline_around_it_cancels_it(gate: Gate) -> None:
    async def check(server: Server) -> None:
        async with downloading() as downloads:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await fetch(downloads, server.url)
            await until(lambda: held(downloads._hosts) == 0)

    with http_server(gate.answer) as server:
        asyncio.run(check(server))


def test_a_file_counts_until_its_block_ends() -> None:
    async def check(server: Server) -> None:
        async with downloading(threads=2) as downloads:
            async with downloads.fetched(server.url) as one, downloads.fetched(server.url) as two:
                assert (one, two) == (b"fast", b"fast")
                (third,) = start(downloads, server.url, 1)
                await asyncio.sleep(0.2)
                assert (held(downloads._hosts), waiting(downloads._hosts)) == (2, 1)
            assert await third == b"fast"

    with http_server(fast) as server:
        asyncio.run(check(server))


async def _told_after(ask: Awaitable[bytes]) -> tuple[float, str]:
    before = time.monotonic()
    with pytest.raises(UnreachableError) as caught:
        await ask
    return time.monotonic() - before, str(caught.value)


def test_a_host_that_cannot_be_reached_is_told_at_one_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also at a redirect, and however many ask: slots are held alike, whatever the reason is."""
    monkeypatch.setenv("IMAGE_SEARCH_CONNECT_TIMEOUT_S", "1")

    async def check(hub: Server) -> None:
        async with downloading(threads=32) as downloads:
            urls = [
                "http://127.0.0.2/",
                "http://10.0.0.1/",
                "https://[::1]/",
                "http://8.8.8.8:22/",
                "http://localhost/",
                f"http://{ALLOWED}:{CLOSED_PORT}/",
                f"https://{ALLOWED}:{CLOSED_PORT}/",
                "http://unknown.invalid/",
                f"{hub.url}/blocked",
                f"{hub.url}/closed",
            ]
            told = await asyncio.gather(*(_told_after(fetch(downloads, url)) for url in urls))
            assert len({message for _, message in told}) == 1
            assert min(seconds for seconds, _ in told) > 0.99
            assert max(seconds for seconds, _ in told) < 20
            assert (held(downloads._hosts), waiting(downloads._hosts)) == (0, 0)

    def redirect(path: str) -> Answer:
        host = "127.0.0.2" if path == "/blocked" else ALLOWED
        return 302, {"Location": f"http://{host}:{CLOSED_PORT}/"}, b""

    with http_server(redirect) as hub:
        asyncio.run(check(hub))


def test_a_host_that_cannot_be_reached_holds_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_CONNECT_TIMEOUT_S", "20")

    async def check(server: Server) -> None:
        async with downloading(threads=2) as downloads:
            blocked = [*start(downloads, "http://127.0.0.2/", 5)]
            blocked += start(downloads, "http://127.0.0.3/", 5)
            await until(lambda: waiting(downloads._hosts) == 8 and held(downloads._hosts) == 0)
            assert await fetch(downloads, server.url) == b"fast"
            for task in blocked:
                task.cancel()
            await asyncio.gather(*blocked, return_exceptions=True)
            assert (held(downloads._hosts), waiting(downloads._hosts)) == (0, 0)

    with http_server(fast) as server:
        asyncio.run(check(server))


def test_waiting_for_another_host_is_not_the_downloads_time(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_FETCH_TIMEOUT_S", "1")

    def redirect(_path: str) -> Answer:
        return 302, {"Location": slow.url}, b""

    async def check(hub: Server) -> None:
        async with downloading(threads=1) as downloads:
            async with downloads.fetched(hub.url.replace(str(hub.port), str(other.port))):
                task = asyncio.create_task(fetch(downloads, hub.url))
                await asyncio.sleep(1.3)
            gate.open.set()
            assert await task == b"slow"
            gate.open.clear()
            with pytest.raises(FetchTimeoutError):
                await fetch(downloads, slow.url)

    with http_server(gate.answer) as slow, http_server(fast) as other, http_server(redirect) as hub:
        asyncio.run(check(hub))
