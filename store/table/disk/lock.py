"""Locks between processes: one writer at a time for a local table.

LanceDB's merges are unique and quick only while nobody else writes (measured: racing merges with
an index on the key made 20 to 80 duplicates of 400 keys). So every commit is made under a lock on
a file, which the kernel frees whatever ends its holder. `flock` itself is unfair: who unlocks and
locks again at once wins over who waits. Two files make a queue of it: one waits for the table
while holding the place at the door, and nobody can pass.

An object store has no such lock; there the engine's own conflict checks have to do.
"""

import asyncio
import contextlib
import fcntl
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

_FOLDER = ".locks"


def is_local(uri: str) -> bool:
    """Whether a store's URI is a folder of this machine."""
    return "://" not in uri


class Hold:
    """A lock that is held, until `release`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Gives the lock back. A second call does nothing more."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)  # which unlocks it


class FileLock:
    """A lock that one holder at a time has, over all tasks and processes of this machine.

    Each hold has descriptors of its own, so that one that was given up shares nothing with the
    next: the kernel's locks belong to a descriptor, and its number is used again.

    Args:
        path: of the file to lock; it and its folder are made, and stay.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._table = path
        self._door = path.with_name(f"{path.name}.door")

    def try_acquire(self) -> Hold | None:
        """Takes the lock if it is free and nobody waits for it; None if not.

        Raises:
            OSError: the file cannot be written.
        """
        return self._acquire(fcntl.LOCK_EX | fcntl.LOCK_NB)

    async def acquire(self) -> Hold:
        """Takes the lock, waiting for it behind those who came before.

        Raises:
            OSError: the file cannot be written.
        """
        if (hold := self.try_acquire()) is not None:
            return hold
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Hold] = loop.create_future()
        # A thread of its own, which the end of the process does not wait for.
        threading.Thread(target=self._wait, args=(loop, answer), daemon=True).start()
        return await answer

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Holds the lock, once it is free.

        Raises:
            OSError: the file cannot be written.
        """
        hold = await self.acquire()
        try:
            yield
        finally:
            hold.release()

    @contextlib.contextmanager
    def held_if_free(self) -> Iterator[bool]:
        """Holds the lock if it is free; the value says whether.

        Raises:
            OSError: the file cannot be written.
        """
        hold = self.try_acquire()
        try:
            yield hold is not None
        finally:
            if hold is not None:
                hold.release()

    def _wait(self, loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[Hold]") -> None:
        """Takes the lock in a thread, and gives it back where nobody waits for it any more."""
        try:
            hold, error = self._acquire(fcntl.LOCK_EX), None
        except OSError as failed:
            hold, error = None, failed

        def deliver() -> None:
            if hold is None:
                if not answer.done():
                    answer.set_exception(error or AssertionError("flock waits until it is locked"))
            elif answer.done():
                hold.release()
            else:
                answer.set_result(hold)

        try:
            loop.call_soon_threadsafe(deliver)
        except RuntimeError:  # the loop has ended
            if hold is not None:
                hold.release()

    def _acquire(self, operation: int) -> Hold | None:
        with contextlib.ExitStack() as unless_locked:
            door, table = _opened(self._door), _opened(self._table)
            unless_locked.callback(os.close, table)
            try:
                fcntl.flock(door, operation)
                fcntl.flock(table, operation)
            except BlockingIOError:
                return None
            finally:
                os.close(door)
            unless_locked.pop_all()
        return Hold(table)


class NoLock:
    """Stands in for a lock where there is none: on an object store."""

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Lets everybody in."""
        yield

    @contextlib.contextmanager
    def held_if_free(self) -> Iterator[bool]:
        """Lets everybody in."""
        yield True


TableLock = FileLock | NoLock


def table_lock(uri: str, name: str) -> TableLock:
    """The lock of a table for one purpose.

    Args:
        uri: of the store.
        name: of the table and the purpose, such as ``images.write``.

    Raises:
        OSError: the folder cannot be written.
    """
    return FileLock(Path(uri) / _FOLDER / name) if is_local(uri) else NoLock()


@contextlib.asynccontextmanager
async def write_lock(uri: str, table: str) -> AsyncIterator[None]:
    """Holds the lock under which every commit to a table is made.

    Raises:
        OSError: the folder cannot be written.
    """
    async with table_lock(uri, f"{table}.write").held():
        yield


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
