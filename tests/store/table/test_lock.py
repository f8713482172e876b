"""The lock between processes: one holder, first come first served, freed by a crash."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from store.table.disk.location import Location
from store.table.disk.lock import FileLock
from tests.store.support import run

HOLD = """
import asyncio, sys
from pathlib import Path
from store.table.disk.location import Location
from store.table.disk.lock import FileLock

async def main():
    async with FileLock(Path(sys.argv[1])).held():
        print("held", flush=True)
        await asyncio.sleep(1000)

asyncio.run(main())
"""


def held_by_another_process(path: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HOLD, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_crash_of_the_holder_frees_it(tmp_path: Path) -> None:
    async def check() -> None:
        holder = held_by_another_process(tmp_path / "lock")
        lock = FileLock(tmp_path / "lock")
        assert lock.try_acquire() is None
        waiting = asyncio.create_task(lock.acquire())
        await asyncio.sleep(0.1)
        assert not waiting.done()
        holder.kill()
        (await waiting).close()
        holder.communicate()

    run(check())


def test_who_waits_comes_before_who_had_it(tmp_path: Path) -> None:
    async def check() -> None:
        lock = FileLock(tmp_path / "lock")
        order: list[str] = []

        async def wait() -> None:
            async with lock.held():
                order.append("patient")

        hold = await lock.acquire()
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0.1)
        hold.close()
        async with lock.held():
            order.append("greedy")
        await waiting
        assert order == ["patient", "greedy"]

    run(check())


def test_many_holders_never_hold_it_together(tmp_path: Path) -> None:
    async def check() -> None:
        inside = 0
        lock = FileLock(tmp_path / "lock")

        async def work() -> None:
            nonlocal inside
            for _ in range(5):
                async with lock.held():
                    inside += 1
                    assert inside == 1
                    await asyncio.sleep(0.001)
                    inside -= 1

        await asyncio.gather(*(work() for _ in range(5)))

    run(check())


def test_one_who_gives_up_waiting_shares_nothing_with_the_next(tmp_path: Path) -> None:
    async def check() -> None:
        lock = FileLock(tmp_path / "lock")
        hold = await lock.acquire()
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await lock.acquire()
        hold.close()
        hold.close()  # a second time gives nothing back that is another's
        async with asyncio.timeout(20):
            again = await lock.acquire()
        await asyncio.sleep(0.2)  # those who gave up have had and left it by now
        assert lock.try_acquire() is None
        again.close()
        async with asyncio.timeout(20), lock.held():
            pass

    run(check())


def test_held_if_free_gives_back_only_what_it_got(tmp_path: Path) -> None:
    one, other = (Location(str(tmp_path)).lock("t.write") for _ in range(2))
    with one.held_if_free() as first:
        assert first
        with other.held_if_free() as second:
            assert not second
        with other.held_if_free() as third:
            assert not third
    with other.held_if_free() as last:
        assert last


def test_who_waits_to_write_does_not_bar_upkeep(tmp_path: Path) -> None:
    async def check() -> None:
        write, upkeep = (Location(str(tmp_path)).lock(f"t.{name}") for name in ("write", "upkeep"))
        async with write.held():
            waiting = asyncio.create_task(_held_once(tmp_path))
            await asyncio.sleep(0.1)
            with upkeep.held_if_free() as free:
                assert free
        await waiting

    run(check())


async def _held_once(folder: Path) -> None:
    async with Location(str(folder)).write_lock("t"):
        pass


def test_an_object_store_has_no_lock() -> None:
    async def check() -> None:
        location = Location("s3://bucket/index")
        async with location.write_lock("images"), location.write_lock("images"):
            pass

    run(check())
