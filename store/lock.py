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
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

_FOLDER = ".locks"


def is_local(uri: str) -> bool:
    """Whether a store's URI is a folder of this machine."""
    return "://" not in uri


class FileLock:
    """A lock that one holder at a time has, over all processes of this machine.

    Args:
        path: of the file to lock; it and its folder are made, and stay.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._table = _opened(path)
        self._door = _opened(path.with_suffix(".door"))

    def try_acquire(self) -> bool:
        """Takes the lock if it is free and nobody waits for it."""
        if not _try_flock(self._door):
            return False
        try:
            return _try_flock(self._table)
        finally:
            fcntl.flock(self._door, fcntl.LOCK_UN)

    async def acquire(self) -> None:
        """Takes the lock, waiting for it behind those who came before."""
        if self.try_acquire():
            return
        waiting = asyncio.create_task(asyncio.to_thread(self._acquire_blocking))
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError:
            # The thread cannot be called back: what it gets is given back.
            waiting.add_done_callback(lambda _: self.release())
            raise

    def release(self) -> None:
        """Gives the lock back."""
        fcntl.flock(self._table, fcntl.LOCK_UN)

    def close(self) -> None:
        """Gives the lock back for good. A second call does nothing more."""
        for descriptor in (self._table, self._door):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    async def __aenter__(self) -> Self:
        await self.acquire()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _acquire_blocking(self) -> None:
        fcntl.flock(self._door, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._table, fcntl.LOCK_EX)
        finally:
            fcntl.flock(self._door, fcntl.LOCK_UN)


class NoLock:
    """Stands in for a lock where there is none: on an object store."""

    def try_acquire(self) -> bool:
        """Always lets in."""
        return True

    def release(self) -> None:
        """Nothing to give back."""

    def close(self) -> None:
        """Nothing to give back."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


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
    """Holds the lock under which every commit to a table is made, for work besides the writer's.

    Raises:
        OSError: the folder cannot be written.
    """
    lock = table_lock(uri, f"{table}.write")
    try:
        async with lock:
            yield
    finally:
        lock.close()


@contextlib.contextmanager
def held_if_free(lock: TableLock) -> Iterator[bool]:
    """Holds a lock if it is free; the value says whether."""
    free = lock.try_acquire()
    try:
        yield free
    finally:
        if free:
            lock.release()


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _try_flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
