"""Downloads off the event loop: how many run at once, in all and of one host."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from api.errors import HostBusyError
from api.limits.in_flight import waiting_for_others
from api.limits.memory import Line
from api.telemetry.metrics import DOWNLOAD, DOWNLOAD_QUEUE, DOWNLOAD_RETRIES, DOWNLOADED_BYTES
from images.errors import ImageError, UnreachableError
from images.fetch.fetcher import Download, Fetcher

LONGEST_WAIT_S = 8.0
"""A host whose next download has waited for so long is busy: those beyond the patient ones are
refused. A burst of hundreds to a host that answers at once never waits so long."""

_RETRIES = 3
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0
"""A server that asks to wait for longer is asked again by a later request only."""

_LEAST_S = 0.5
"""Of a download's time, for another attempt."""


class Downloads:
    """Fetches files, each hop in a thread; lives in one event loop.

    Each hop needs a slot of the host that it goes to. A redirect to another host gives its slot
    back and waits for that host's: neither a thread nor another host's slot is taken meanwhile.

    What may pass is tried again after a pause, in which a download holds nothing; no more of them
    pause at once than there are threads.

    Args:
        fetcher: what downloads.
        threads: downloads at once, and files between download and decoding.
        per_host: of them from one host; 0 for half.
        patience_s: seconds since its begin in which a download may be tried again.
        hosts: gives out the slots, in place of one by the numbers before.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        threads: int,
        per_host: int = 0,
        patience_s: float = 30.0,
        hosts: "HostLimits | None" = None,
    ) -> None:
        self._fetcher, self._patience_s = fetcher, patience_s
        self._may_pause = threads
        self._hosts = hosts or HostLimits(threads, per_host)
        self._threads = ThreadPoolExecutor(threads, "download")

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
            data, slot = await self._downloaded(download)
        DOWNLOADED_BYTES.inc(len(data))
        self._hosts.end_share(slot)
        try:
            yield data
        finally:
            self._hosts.end_place(slot)

    def close(self) -> None:
        """Take no more work; what runs may end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._fetcher.close()

    async def _downloaded(self, download: Download) -> tuple[bytes, "Slot"]:
        end = time.monotonic() + self._patience_s
        slot = await self._slot(download)
        with DOWNLOAD():
            for retry in count(1):
                try:
                    return await self._hops(download, slot)
                except ImageError as error:
                    await self._pause(download, error, retry, end)
                slot = await self._slot(download)
        raise AssertionError

    async def _hops(self, download: Download, slot: "Slot") -> tuple[bytes, "Slot"]:
        while (data := await self._hop(download, slot)) is None:
            if slot.name != _host(download):
                self._hosts.end(slot)
                slot = await self._slot(download)
        return data, slot

    async def _pause(self, download: Download, error: ImageError, retry: int, end: float) -> None:
        """Wait until a download may be tried again; raises its error where it may not."""
        drawn_s = random.random() * _FIRST_PAUSE_S * 2 ** (retry - 1)  # noqa: S311 - full jitter
        pause_s = error.retry_after_s + drawn_s
        in_time = pause_s <= _LONGEST_PAUSE_S and time.monotonic() + pause_s < end
        may = error.may_pass and retry <= _RETRIES and in_time and self._may_pause
        if not (may and download.repeat(_LEAST_S)):
            raise error
        DOWNLOAD_RETRIES.labels(error.code).inc()
        self._may_pause -= 1
        try:
            await asyncio.sleep(pause_s)
        finally:
            self._may_pause += 1

    async def _slot(self, download: Download) -> "Slot":
        with DOWNLOAD_QUEUE.wait():
            return await self._hosts.take(_host(download))

    async def _hop(self, download: Download, slot: "Slot") -> bytes | None:
        """Run a hop in a thread; unless it goes well, the slot is given back."""
        hop = asyncio.get_running_loop().run_in_executor(self._threads, download.hop)
        try:
            return await asyncio.shield(hop)
        except asyncio.CancelledError:
            download.cancel()
            hop.add_done_callback(partial(self._left, slot))
            raise
        except UnreachableError:
            self._hosts.end_place(slot)
            try:
                await asyncio.sleep(download.unreachable_at - time.monotonic())
            finally:
                self._hosts.end_share(slot)
            raise
        except BaseException:
            self._hosts.end(slot)
            raise

    def _left(self, slot: "Slot", hop: "asyncio.Future[bytes | None]") -> None:
        """End a hop that nobody waits for: its slot is free when its thread is, and not before."""
        self._hosts.end(slot)
        if not hop.cancelled():
            hop.exception()  # nobody misses it; unasked, it would be logged as an error


def _host(download: Download) -> Hashable:
    """Whom a hop burdens: http and https of one port are one, and so is a name with its dot."""
    return download.origin.host.rstrip("."), download.origin.port


@dataclass(eq=False)
class _Host:
    """A host in use: since when each of its line waits, in their order, and what it has."""

    line: Line
    waiting: dict[object, float] = field(default_factory=dict)
    shares: int = 0
    places: int = 0


@dataclass(eq=False)
class Slot:
    """A share of a host, and a place among all downloads.

    The place outlasts the share while the bytes wait for the decoder, which bounds their number.
    The share outlasts the place while nothing is left of a failed download but to answer it in
    its time: whether that download had to wait for the network is not to be seen from the next.
    """

    name: Hashable
    host: _Host
    has_share: bool = True
    has_place: bool = True


class HostLimits:
    """Gives out slots for downloads: few of one host; lives in one event loop.

    A host may take another place only while its downloads hold fewer than are still free (dynamic
    thresholds: Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998). One slow host
    gets half of all, two end up with a third each, and what is left, or is given back first, goes
    to the host that has least.

    The first of a host's line wait for as long as it takes, as many as make up all places with
    those that run: a caller with no more than these under way, such as `image-search reembed`, is
    only slowed down. The others are refused after `LONGEST_WAIT_S`, and at once while the first of
    the line waits for longer.

    Args:
        places: downloads at once.
        per_host: of them from one host; 0 leaves it at what the thresholds give, half of all.
    """

    def __init__(self, places: int, per_host: int = 0) -> None:
        self._free = self._places = places
        self._per_host = min(per_host, places) or (places + 1) // 2
        self._patient = max(places - self._per_host, 1)
        self._returned = asyncio.Event()
        self._hosts: dict[Hashable, _Host] = {}

    async def take(self, name: Hashable) -> "Slot":
        """Wait for a slot of the host with this name.

        Raises:
            HostBusyError: more wait for this host than it serves in a reasonable time.
        """
        host = self._hosts.setdefault(name, _Host(Line(self._returned)))
        now, waiter = time.monotonic(), object()
        is_patient = len(host.waiting) < self._patient
        if not is_patient and now - next(iter(host.waiting.values())) > LONGEST_WAIT_S:
            raise HostBusyError
        host.waiting[waiter] = now
        try:
            async with asyncio.timeout(None if is_patient else LONGEST_WAIT_S):
                await host.line.wait(lambda: self._may_take(host))
            host.shares += 1
            host.places += 1
            self._free -= 1
        except TimeoutError:
            raise HostBusyError from None
        finally:
            del host.waiting[waiter]
            self._forget(name, host)
        return Slot(name, host)

    def end_share(self, slot: Slot) -> None:
        """The host has done what it was to do, or has not done it in time."""
        if slot.has_share:
            slot.has_share = False
            slot.host.shares -= 1
            slot.host.places -= slot.has_place
            self._forget(slot.name, slot.host)
            self._returned.set()

    def end_place(self, slot: Slot) -> None:
        """The download holds no thread any more, nor bytes."""
        if slot.has_place:
            slot.has_place = False
            slot.host.places -= slot.has_share
            self._free += 1
            self._returned.set()

    def end(self, slot: Slot) -> None:
        """All of the download is over."""
        self.end_share(slot)
        self.end_place(slot)

    def _may_take(self, host: _Host) -> bool:
        return host.shares < self._per_host and host.places < self._free

    def _forget(self, name: Hashable, host: _Host) -> None:
        if not (host.waiting or host.shares):
            self._hosts.pop(name, None)
