import asyncio
import time

import pytest

from api.errors import HostBusyError
from api.pipeline.downloads import HostLimits, Slot


def held(slots: HostLimits) -> int:
    """Places that downloads hold, and files that wait for the decoder."""
    return slots._places - slots._free


def waiting(slots: HostLimits) -> int:
    return sum(len(host.waiting) for host in slots._hosts.values())


async def settled() -> None:
    """Those that may go on have done so."""
    for _ in range(100):
        await asyncio.sleep(0)


async def takes(slots: HostLimits, host: str, many: int) -> list[asyncio.Task[Slot]]:
    """Ask many times, and let those have a slot who may."""
    tasks = [asyncio.create_task(slots.take(host)) for _ in range(many)]
    await settled()
    return tasks


def got(tasks: list[asyncio.Task[Slot]]) -> int:
    return sum(task.done() and task.exception() is None for task in tasks)


def refused(tasks: list[asyncio.Task[Slot]]) -> int:
    return sum(task.done() and isinstance(task.exception(), HostBusyError) for task in tasks)


def cancel(*lines: list[asyncio.Task[Slot]]) -> None:
    for line in lines:
        for task in line:
            task.cancel()


async def _one_host(places: int, per_host: int, most: int) -> None:
    slots = HostLimits(places, per_host)
    line = await takes(slots, "one", 40)
    assert got(line) == most
    assert (held(slots), waiting(slots)) == (most, 40 - most)
    cancel(line)


@pytest.mark.parametrize(
    ("places", "per_host", "most"),
    [(32, 0, 16), (32, 4, 4), (32, 32, 16), (5, 0, 3), (2, 0, 1), (1, 0, 1), (1, 9, 1)],
)
def test_a_host_gets_half_of_all_at_most(places: int, per_host: int, most: int) -> None:
    asyncio.run(_one_host(places, per_host, most))


def test_several_hosts_leave_room_for_one_more() -> None:
    async def check() -> None:
        slots = HostLimits(32)
        lines = [await takes(slots, f"slow {number}", 40) for number in range(3)]
        assert [got(line) for line in lines] == [16, 8, 4]
        newcomer = await takes(slots, "new", 1)
        assert got(newcomer) == 1
        for task in lines[0][:16]:  # in time, all of them have a like number
            slots.end(await task)
            await settled()
        ended = 16
        assert [got(line) for line in lines] == [ended + 8, 8, 8]
        cancel(*lines, newcomer)

    asyncio.run(check())


def test_a_host_that_has_nothing_comes_first_when_all_is_taken() -> None:
    async def check() -> None:
        slots = HostLimits(32)
        lines = [await takes(slots, f"slow {number}", 40) for number in range(6)]
        assert [got(line) for line in lines] == [16, 8, 4, 2, 1, 1]
        newcomer = await takes(slots, "new", 1)
        assert got(newcomer) == 0
        slots.end(await lines[1][0])
        await settled()
        assert (got(newcomer), sum(map(got, lines))) == (1, 32)
        cancel(*lines, newcomer)

    asyncio.run(check())


def test_hosts_take_turns() -> None:
    async def check() -> None:
        slots = HostLimits(2)
        (holder,) = await takes(slots, "busy", 1)
        (other,) = await takes(slots, "other", 1)
        line = await takes(slots, "busy", 9)
        newcomer = await takes(slots, "new", 1)
        assert (got(line), got(newcomer)) == (0, 0)
        slots.end(await other)
        slots.end(await holder)
        await settled()
        assert (got(line), got(newcomer)) == (1, 1)
        cancel(line)

    asyncio.run(check())


def test_a_share_counts_for_its_host_and_a_place_for_all() -> None:
    async def check() -> None:
        slots = HostLimits(4)
        first = await takes(slots, "one", 3)
        assert got(first) == 2
        slots.end_place(await first[0])  # waits for the time of its answer only
        await settled()
        assert (got(first), held(slots)) == (2, 1)
        slots.end_share(await first[0])
        await settled()
        assert (got(first), held(slots)) == (3, 2)
        for task in first[1:]:
            slots.end_share(await task)  # waits for the decoder only
        assert held(slots) == 2
        for task in first:
            slots.end(await task)
            slots.end(await task)
        assert held(slots) == 0

    asyncio.run(check())


def test_a_burst_has_room_while_its_host_is_fast() -> None:
    async def check() -> None:
        slots = HostLimits(32)

        async def download() -> None:
            slot = await slots.take("fast")
            await asyncio.sleep(0.01)
            slots.end(slot)

        await asyncio.gather(*(download() for _ in range(500)))
        assert (held(slots), waiting(slots)) == (0, 0)

    asyncio.run(check())


def test_the_last_in_a_line_are_refused_when_their_host_is_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.pipeline.downloads.LONGEST_WAIT_S", 0.3)

    async def check() -> None:
        slots = HostLimits(8)
        line = await takes(slots, "slow", 200)
        assert (got(line), refused(line)) == (4, 0)
        start = time.monotonic()
        while waiting(slots) > 4:
            await asyncio.sleep(0.05)
            assert time.monotonic() - start < 30
        assert (got(line), refused(line)) == (4, 200 - 4 - 4)
        assert refused(line[:8]) == 0  # those that came first still wait
        late = await takes(slots, "slow", 1)
        assert refused(late) == 1
        for task in line[:4]:
            slots.end(await task)
        await settled()
        assert got(line) == 8
        cancel(line)

    asyncio.run(check())


def test_nothing_is_kept_of_a_host_that_nobody_uses() -> None:
    async def check() -> None:
        slots = HostLimits(4)
        line = await takes(slots, "one", 3)
        slots.end(await line[0])
        slots.end(await line[1])
        slots.end_share(await line[2])  # its bytes wait for the decoder only
        assert not slots._hosts
        assert held(slots) == 1

    asyncio.run(check())


def test_who_is_cancelled_leaves_nothing_behind() -> None:
    async def check() -> None:
        slots = HostLimits(4)
        line = await takes(slots, "one", 9)
        for task in line[2:]:
            task.cancel()
        slots.end(await line[0])  # gives its slot to nobody: those that waited are gone
        await asyncio.gather(*line, return_exceptions=True)
        slots.end(await line[1])
        assert (held(slots), waiting(slots)) == (0, 0)
        first, _, last = await takes(slots, "one", 3)
        slots.end(await first)
        last.cancel()  # which has just been given the slot, but does not know yet
        await asyncio.gather(last, return_exceptions=True)
        assert (held(slots), waiting(slots)) == (1, 0)

    asyncio.run(check())
