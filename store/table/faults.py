"""The open table, and LanceDB's errors: conflicts are retried, others become the store's.

LanceDB has one class for nearly everything, so the operating system's number is read from its
text (Rust's ``(os error 28)``), and for conflicts and damaged files its own phrases are.
"""

import asyncio
import errno
import random
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from store.errors import (
    StoreClosedError,
    StoreDamagedError,
    StoreError,
    StoreFault,
    StoreFullError,
    StoreMovedError,
    StoreReadError,
    StoreReadOnlyError,
    StoreWriteError,
)
from store.schemas import ModelIdentity
from store.table.disk.location import FULL, Location
from store.table.names import table_number

if TYPE_CHECKING:
    from lancedb import AsyncConnection, AsyncTable

ATTEMPTS = 6
# Doubled each time: 20 ms to 0.3 s are waited, give or take half, so that two do not meet again.
_FIRST_PAUSE_S = 0.02
_DOUBLED = 4
_T = TypeVar("_T")

READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})

_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_CONFLICT = re.compile(
    r"commit conflict|too many concurrent writers|incompatible transaction", re.IGNORECASE
)
_DAMAGED = re.compile(
    r"Not found: .*\.lance/|Invalid range|failed to decode Protobuf|file size is too small"
    r"|Invalid magic|magic number|sliced Buffer cannot exceed|CorruptFile|corrupt file",
    re.IGNORECASE,
)


class CommitConflictError(Exception):
    """A commit was not made because another process came first. It never leaves the store."""


def is_conflict(error: Exception) -> bool:
    """Whether a commit was refused because another one came first; nothing of it was written."""
    return isinstance(error, CommitConflictError) or _CONFLICT.search(str(error)) is not None


async def retried(
    commit: Callable[[], Awaitable[_T]],
    lost: Callable[[], None] = lambda: None,
    attempts: int = ATTEMPTS,
) -> _T:
    """Commits, and again where another commit was faster.

    Args:
        commit: makes the commit.
        lost: is told of each race that was lost.
        attempts: how many there are.

    Raises:
        Exception: whatever LanceDB raised that is no conflict, or the last one that is.
    """
    for failed in range(attempts - 1):
        try:
            return await commit()
        except Exception as error:
            if not is_conflict(error):
                raise
        lost()
        pause_s = _FIRST_PAUSE_S * 2 ** min(failed, _DOUBLED)
        await asyncio.sleep(random.uniform(0.5, 1.5) * pause_s)  # noqa: S311 - no secret
    return await commit()


async def until_committed(write: Callable[[], Awaitable[None]]) -> None:
    """The same; whatever else LanceDB raises is an error of the store.

    Raises:
        StoreWriteError: whatever LanceDB raised that is no conflict, or the sixth one that is.
    """
    with as_store_errors():
        await retried(write)


def as_store_errors() -> AbstractContextManager[None]:
    """Turns whatever LanceDB raises into an error of the store."""
    return translated(StoreWriteError, "the index could not be read or written")


def is_failure(error: BaseException) -> bool:
    """Whether LanceDB or the system has failed, and not somebody ended the work.

    Where Rust code has panicked, the class for that is none of `Exception`'s.
    """
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


@dataclass(eq=False)
class OpenTable:
    """The index's table while it is open; what fails with it is an error of the store.

    Attributes:
        connection: to the database.
        table: the handle that requests read and write with.
        identity: the model that makes its vectors.
        location: of the database.
    """

    connection: "AsyncConnection"
    table: "AsyncTable"
    identity: ModelIdentity
    location: Location
    _is_closed: bool = False

    def reading(self) -> AbstractContextManager[None]:
        """Turns whatever the block raises into an error of the store.

        Raises:
            StoreClosedError: it is closed already.
        """
        if self._is_closed:
            raise StoreClosedError("the index is closed")
        return translated(
            StoreReadError, "the index could not be read", self.location.uri, self.table.name
        )

    def writing(self) -> AbstractContextManager[None]:
        """The same for a block that writes files."""
        return translated(
            StoreWriteError, "the index could not be written", self.location.uri, self.table.name
        )

    def close(self) -> None:
        """Closes the handle and the connection."""
        self._is_closed = True
        self.table.close()
        self.connection.close()


@contextmanager
def translated(
    otherwise: type[StoreFault], message: str, uri: str | None = None, table: str = ""
) -> Iterator[None]:
    """Turns what LanceDB or the system raises into an error of the store, where it is none yet.

    Args:
        otherwise: the error where nothing more is known.
        message: of that error.
        uri: of the store, if more is to be found out.
        table: name of the table that is read or written.
    """
    try:
        yield
    except StoreError:
        raise
    except BaseException as error:
        if not is_failure(error):
            raise
        fault = otherwise(message, detail=repr(error))
        raise (fault if uri is None else fault_of(error, fault, uri=uri, table=table)) from error


def fault_of(error: BaseException, otherwise: StoreFault, *, uri: str, table: str) -> StoreFault:
    """The store's error for whatever LanceDB or the system raised at a table; or `otherwise`."""
    number, detail = _number(error), repr(error)
    if number in FULL:
        return StoreFullError(detail)
    if number in READ_ONLY and not isinstance(otherwise, StoreReadError):
        return StoreReadOnlyError(detail)
    if _is_gone(table, error) and _has_successor(uri, table):
        return StoreMovedError()
    if _DAMAGED.search(str(error)):
        return StoreDamagedError(detail)
    return otherwise


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = _OS_ERROR.search(str(error))
    return int(found[1]) if found else None


def _is_gone(table: str, error: BaseException) -> bool:
    """Whether a whole table was deleted while it was in use, as `image-search reembed` may."""
    return re.search(rf"Not found: .*{table}\.lance/_versions,", str(error)) is not None


def _has_successor(uri: str, table: str) -> bool:
    """Whether a later table is there; on an object store that is taken for granted."""
    folder = Location(uri).folder
    if folder is None:
        return True
    numbers = (table_number(each.stem) or 0 for each in folder.glob("*.lance"))
    return max(numbers, default=0) > (table_number(table) or 0)
