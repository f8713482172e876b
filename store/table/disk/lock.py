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
import threading
from collections.abc import AsyncIterator, Iterator
from io import FileIO
from pathlib import Path

from store.private import make_private, open_private


class FileLock:
    """A fair lock between all tasks and processes of this machine.

    Whoever has it has an open file, and gives it back by closing that. Each has one of its own: the
    kernel's locks belong to a descriptor, and its number is used again. Whatever takes the lock
    raises an OSError where the file cannot be written.

    Args:
        path: of the file to lock; it and its folder are made, and stay.
    """

    def __init__(self, path: Path) -> None:
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        make_private(path.parent)
        self._table = path
        self._door = path.with_name(f"{path.name}.door")

    def try_acquire(self) -> FileIO | None:
        """Takes the lock if it is free and nobody waits for it; None if not."""
        return self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB)

    async def acquire(self) -> FileIO:
        """Takes the lock, waiting for it behind those who came before."""
        if (lock := self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB)) is not None:
            return lock
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[FileIO] = loop.create_future()
        # A thread of its own, which the end of the process does not wait for.
        threading.Thread(target=self._wait, args=(loop, answer), daemon=True).start()
        return await answer

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Holds the lock during the block, once it is free."""
        with await self.acquire():
            yield

    @contextlib.contextmanager
    def held_if_free(self) -> Iterator[bool]:
        """Holds the lock during the block if it is free; the value says whether."""
        with self.try_acquire() or contextlib.nullcontext() as lock:
            yield lock is not None

    def _wait(self, loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[FileIO]") -> None:
        """Takes the lock in a thread, and gives it back where nobody waits for it any more."""
        lock: FileIO | None = None
        error: Exception | None = None
        try:
            lock = self._locked(fcntl.LOCK_EX)
        except OSError as failed:
            error = failed

        def deliver() -> None:
            if answer.done():
                if lock is not None:
                    lock.close()
            elif lock is None:
                answer.set_exception(error or AssertionError("flock waits until it is locked"))
            else:
                answer.set_result(lock)

        try:
            loop.call_soon_threadsafe(deliver)
        except RuntimeError:  # the loop has ended
            if lock is not None:
                lock.close()

    def _locked(self, operation: int) -> FileIO | None:
        with contextlib.ExitStack() as unless_locked, self._opened(self._door) as door:
            table = unless_locked.enter_context(self._opened(self._table))
            try:
                fcntl.flock(door, operation)
                fcntl.flock(table, operation)
            except BlockingIOError:
                return None
            unless_locked.pop_all()
        return table

    @staticmethod
    def _opened(path: Path) -> FileIO:
        return FileIO(path, "a", opener=open_private)


class NoLock:
    """Stands in for a lock where there is none: on an object store."""

    def held(self) -> contextlib.nullcontext[None]:
        """Lets everybody in."""
        return contextlib.nullcontext()

    def held_if_free(self) -> contextlib.nullcontext[bool]:
        """Lets everybody in."""
        return contextlib.nullcontext(True)


TableLock = FileLock | NoLock
