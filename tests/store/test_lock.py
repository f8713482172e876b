"""The lock between processes: one holder, first come first served, freed by a crash."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from store.lock import FileLock, held_if_free, table_lock, write_lock
from tests.store.support import run

HOLD = """
import asyncio, sys
from pathlib import Path
from store.lock import FileLock

async def main():
    async with FileLock(Path(sys.argv[1])):
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
        assert not lock.try_acquire()
        waiting = asyncio.create_task(lock.acquire())
        await asyncio.sleep(0.1)
        assert not waiting.done()
        holder.kill()
        await waiting
        holder.communicate()
        lock.close()

    run(check())


def test_who_waits_comes_before_who_had_it(tmp_path: Path) -> None:
    async def check() -> None:
        greedy, patient = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
        order: list[str] = []

        async def wait() -> None:
            async with patient:
                order.append("patient")

        await greedy.acquire()
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0.1)
        greedy.release()
        async with greedy:
            order.append("greedy")
        await waiting
        assert order == ["patient", "greedy"]

    run(check())


def test_many_holders_never_hold_it_together(tmp_path: Path) -> None:
    async def check() -> None:
        inside = 0

        async def work() -> None:
            nonlocal inside
            lock = FileLock(tmp_path / "lock")
            for _ in range(5):
                async with lock:
                    inside += 1
                    assert inside == 1
                    await asyncio.sleep(0.001)
                    inside -= 1
            lock.close()

        await asyncio.gather(*(work() for _ in range(5)))

    run(check())


def test_one_who_gives_up_waiting_does_not_keep_it(tmp_path: Path) -> None:
    async def check() -> None:
        holder, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
        await holder.acquire()
        waiting = asyncio.create_task(other.acquire())
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        holder.release()
        async with asyncio.timeout(20), FileLock(tmp_path / "lock"):
            pass

    run(check())


def test_held_if_free_gives_back_only_what_it_got(tmp_path: Path) -> None:
    one, other = table_lock(str(tmp_path), "t.write"), table_lock(str(tmp_path), "t.write")
    with held_if_free(one) as first:
        assert first
        with held_if_free(other) as second:
            assert not second
        with held_if_free(other) as third:
            assert not third
    with held_if_free(other) as last:
        assert last


def test_an_object_store_has_no_lock() -> None:
    async def check() -> None:
        async with write_lock("s3://bucket/index", "images"), write_lock("s3://b/index", "images"):
            pass

    run(check())
