"""What LanceDB raises: conflicts are tried again, the rest becomes an error of the store."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from store.engine import is_conflict
from store.errors import StoreError, StoreWriteError

_ATTEMPTS = 6
_FIRST_PAUSE_S = 0.05


@contextmanager
def translated() -> Iterator[None]:
    """Turns whatever LanceDB raises into an error of the store."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        message = "the index could not be read or written"
        raise StoreWriteError(message, detail=repr(error)) from error


async def until_committed(write: Callable[[], Awaitable[None]]) -> None:
    """Commits, and again where another commit was faster: after 50 ms to 0.8 s.

    Raises:
        StoreWriteError: whatever LanceDB raised that is no conflict, or the sixth one that is.
    """
    with translated():
        for failed in range(_ATTEMPTS - 1):
            try:
                return await write()
            except Exception as error:
                if not is_conflict(error):
                    raise
            await asyncio.sleep(_FIRST_PAUSE_S * 2**failed)
        return await write()
