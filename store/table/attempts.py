"""What LanceDB raises: conflicts are tried again, the rest becomes an error of the store."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from store.errors import StoreWriteError
from store.table.faults import translated
from store.table.open import is_conflict

ATTEMPTS = 6
# Doubled each time: 20 ms to 0.3 s are waited.
_FIRST_PAUSE_S = 0.02
_T = TypeVar("_T")


def as_store_errors() -> AbstractContextManager[None]:
    """Turns whatever LanceDB raises into an error of the store."""
    message = "the index could not be read or written"
    return translated(lambda error: StoreWriteError(message, detail=repr(error)))


async def retried(
    commit: Callable[[], Awaitable[_T]], lost: Callable[[], None] = lambda: None
) -> _T:
    """Commits, and again where another commit was faster.

    Args:
        commit: makes the commit.
        lost: is told of each race that was lost.

    Raises:
        Exception: whatever LanceDB raised that is no conflict, or the sixth one that is.
    """
    for failed in range(ATTEMPTS - 1):
        try:
            return await commit()
        except Exception as error:
            if not is_conflict(error):
                raise
        lost()
        await asyncio.sleep(_FIRST_PAUSE_S * 2**failed)
    return await commit()


async def until_committed(write: Callable[[], Awaitable[None]]) -> None:
    """Commits, and again where another commit was faster.

    Raises:
        StoreWriteError: whatever LanceDB raised that is no conflict, or the sixth one that is.
    """
    with as_store_errors():
        await retried(write)
