"""Downloads off the event loop: their threads, whose turn it is, and how they end."""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from api.limits.hosts import Slot, Slots
from api.limits.in_flight import waiting_for_others
from api.telemetry.metrics import DOWNLOAD, DOWNLOAD_QUEUE, DOWNLOADED_BYTES
from images.errors import UnreachableError
from images.fetch.connections import KEEP_S
from images.fetch.fetcher import Download, Fetcher


class Downloads:
    """Fetches files, each hop in a thread; lives in one event loop.

    Each hop needs a slot of the host that it goes to. A redirect to another host gives its slot
    back and waits for that host's: neither a thread nor another host's slot is held meanwhile.

    Args:
        fetcher: what downloads.
        threads: downloads at once, and files between download and decoding.
        per_host: of them from one host; 0 for half.
    """

    def __init__(self, fetcher: Fetcher, threads: int, per_host: int = 0) -> None:
        self._fetcher = fetcher
        self._slots = Slots(threads, per_host)
        self._threads = ThreadPoolExecutor(threads, "download")
        self._sweep: asyncio.TimerHandle | None = None

    @property
    def in_flight(self) -> int:
        """Downloads that run, and files that are not yet decoded."""
        return self._slots.held

    @property
    def waiting(self) -> int:
        """Downloads that wait for their turn."""
        return self._slots.waiting

    async def fetch(self, url: str) -> bytes:
        """Download what a URL leads to; see `fetched`."""
        async with self.fetched(url) as data:
            return data

    @asynccontextmanager
    async def fetched(self, url: str) -> AsyncIterator[bytes]:
        """Download what a URL leads to, and count the file until the block ends.

        Where the task is cancelled, the download ends at once.

        Raises:
            ImageError: it could not be had. A host that cannot be reached is told after the time
                that a connection may take, whatever the reason and however early it was known.
            HostBusyError: more wait for the host than it serves.
        """
        download = self._fetcher.begin(url)
        with waiting_for_others():
            slot, data = await self._followed(download)
        try:
            yield data
        finally:
            self._slots.end_place(slot)

    def close(self) -> None:
        """Take no more work; what runs may end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._fetcher.close_idle(0)

    async def _followed(self, download: Download) -> tuple[Slot, bytes]:
        """Make hop after hop; the slot that is left has its place alone."""
        slot = await self._taken(download)
        with DOWNLOAD():
            while (data := await self._hop(download, slot)) is None:
                if slot.host != _host(download):
                    self._slots.end(slot)
                    slot = await self._taken(download)
        DOWNLOADED_BYTES.inc(len(data))
        self._slots.end_share(slot)
        self._sweep_later()
        return slot, data

    async def _taken(self, download: Download) -> Slot:
        with DOWNLOAD_QUEUE.wait():
            return await self._slots.take(_host(download))

    async def _hop(self, download: Download, slot: Slot) -> bytes | None:
        """Run a hop in a thread; unless it goes well, the slot is given back."""
        try:
            hop = asyncio.get_running_loop().run_in_executor(self._threads, download.hop)
            return await _uninterrupted(hop)
        except asyncio.CancelledError:
            download.cancel()
            # The slot is free when the thread is, and not before.
            hop.add_done_callback(lambda _: self._slots.end(slot))
            raise
        except UnreachableError:
            self._slots.end_place(slot)
            try:
                await asyncio.sleep(download.unreachable_at - time.monotonic())
            finally:
                self._slots.end_share(slot)
            raise
        except BaseException:
            self._slots.end(slot)
            raise

    def _sweep_later(self) -> None:
        if self._sweep is None:
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_later(KEEP_S, self._close_idle)

    def _close_idle(self) -> None:
        self._sweep = None
        if self._fetcher.close_idle(KEEP_S):
            self._sweep_later()


def _host(download: Download) -> tuple[str, int]:
    """Whom a hop burdens: http and https of one port are one, and so is a name with its dot."""
    return download.origin.host.rstrip("."), download.origin.port


async def _uninterrupted(hop: asyncio.Future[bytes | None]) -> bytes | None:
    """Wait for a thread; when the wait is cancelled, the thread is not."""
    hop.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may ask
    return await asyncio.shield(hop)
