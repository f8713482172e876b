"""One limit per host over all workers: no more slots are out than it says, and none is lost."""

import asyncio
from collections.abc import Hashable

from cli.bulk.hosts import HostSlots, LentHostLimits

HOST, OTHER = ("shop.example", 443), ("other.example", 443)
LIMIT, PER_HOST = 3, 32


class Direct:
    """The slots of all workers without a network between, for one of the workers."""

    def __init__(self, slots: HostSlots, holder: str) -> None:
        self._slots, self._holder = slots, holder
        self.asked = 0
        self._giving: set[asyncio.Task[None]] = set()

    async def take(self, host: Hashable) -> None:
        self.asked += 1
        await self._slots.take(self._holder, host)

    def give(self, host: Hashable) -> None:
        self._giving.add(asyncio.create_task(self._slots.give(self._holder, host)))


async def _download(limits: LentHostLimits, now: list[int]) -> int:
    slot = await limits.take(HOST)
    now[0] += 1
    most = now[0]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    now[0] -= 1
    limits.end(slot)
    return most


def test_all_workers_together_keep_to_one_limit() -> None:
    async def check() -> None:
        slots, now = HostSlots(LIMIT), [0]
        lenders = [Direct(slots, f"worker-{n}") for n in range(4)]
        workers = [LentHostLimits(64, PER_HOST, lender) for lender in lenders]
        downloads = [_download(each, now) for each in workers for _ in range(50)]
        seen = await asyncio.wait_for(asyncio.gather(*downloads), 60)
        assert max(seen) == LIMIT == slots.most
        # Each slot came back: another host's and this one's are to be had at once.
        for _ in range(LIMIT):
            await asyncio.wait_for(slots.take("anybody", HOST), 60)
        # A slot goes from one download to the next of the same worker.
        assert all(lender.asked <= PER_HOST for lender in lenders)

    asyncio.run(check())


def test_a_worker_that_is_lost_gives_its_slots_back() -> None:
    async def check() -> None:
        slots = HostSlots(LIMIT)
        for _ in range(LIMIT):
            await slots.take("lost", HOST)
        waits_too = asyncio.create_task(slots.take("lost", HOST))
        waits = asyncio.create_task(slots.take("there", HOST))
        await asyncio.wait_for(slots.take("there", OTHER), 60)
        assert not waits.done()
        await slots.gone("lost")
        await asyncio.wait_for(waits, 60)
        assert not waits_too.done()
        waits_too.cancel()

    asyncio.run(check())


def test_slots_that_another_has_lent_raise_no_limit() -> None:
    async def check() -> None:
        slots = HostSlots(LIMIT)
        for _ in range(LIMIT):
            await slots.give("lent before", HOST)
        for _ in range(LIMIT):
            await asyncio.wait_for(slots.take("there", HOST), 60)
        waits = asyncio.create_task(slots.take("there", HOST))
        await asyncio.wait_for(slots.take("there", OTHER), 60)
        assert not waits.done()
        waits.cancel()

    asyncio.run(check())


def test_a_download_that_is_given_up_leaves_no_slot_behind() -> None:
    async def check() -> None:
        slots = HostSlots(1)
        limits = LentHostLimits(8, 4, Direct(slots, "worker"))
        held = await limits.take(HOST)
        given_up = asyncio.create_task(limits.take(HOST))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        limits.end(held)
        await asyncio.wait_for(slots.take("another", HOST), 60)

    asyncio.run(check())
