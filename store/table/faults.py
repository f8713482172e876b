"""What a failing disk or a damaged file makes LanceDB say, as an error of the store.

LanceDB has one class for nearly everything, so the operating system's number is read from its
text (Rust's ``(os error 28)``), and for a damaged file its own phrases are.
"""

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from store.errors import (
    StoreDamagedError,
    StoreError,
    StoreFault,
    StoreFullError,
    StoreMovedError,
    StoreReadError,
    StoreReadOnlyError,
)
from store.table.disk.lock import is_local
from store.table.names import table_number

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""No space, a quota that is used up, and a limit on the size of a file."""

READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})

_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_DAMAGED = re.compile(
    r"Not found: .*\.lance/|Invalid range|failed to decode Protobuf|file size is too small"
    r"|Invalid magic|magic number|sliced Buffer cannot exceed|CorruptFile|corrupt file",
    re.IGNORECASE,
)


def is_failure(error: BaseException) -> bool:
    """Whether LanceDB or the system has failed, and not somebody ended the work.

    Where Rust code has panicked, the class for that is none of `Exception`'s.
    """
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


@contextmanager
def translated(fault: Callable[[BaseException], StoreError]) -> Iterator[None]:
    """Turns what LanceDB or the system raises into an error of the store, where it is none yet.

    Args:
        fault: makes the store's error of it.
    """
    try:
        yield
    except StoreError:
        raise
    except BaseException as error:
        if not is_failure(error):
            raise
        raise fault(error) from error


def fault_of(error: BaseException, otherwise: StoreFault, *, uri: str, table: str) -> StoreFault:
    """The store's error for whatever LanceDB or the system raised.

    Args:
        error: what was raised.
        otherwise: the error where nothing more is known.
        uri: of the store.
        table: name of the table that was read or written.
    """
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
    if not is_local(uri):
        return True
    numbers = (table_number(folder.stem) or 0 for folder in Path(uri).glob("*.lance"))
    return max(numbers, default=0) > (table_number(table) or 0)
