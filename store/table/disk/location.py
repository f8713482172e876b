"""Where the database lies: a folder of this machine or an object store; what follows from it."""

import errno
import fcntl
import logging
import os
import pwd
import stat
import tempfile
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path

from store.errors import StoreOpenError
from store.private import close_to_others
from store.table.disk.lock import FileLock, NoLock, TableLock
from store.table.disk.sync import has_space, sync_to_disk

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""No space, a quota that is used up, and a limit on the size of a file."""

_PROBE_BYTES = 1 << 20
_NO_LOCKS = (
    "the folder's file system has no locks (flock), without which writers would damage the table"
)
_NO_SYNC = (
    "the folder's file system cannot be synced (syncfs); IMAGE_SEARCH_STORE_SYNC=false does without"
)

logger = logging.getLogger(__name__)


class Location:
    """The place that a store's URI, or a table's, names.

    Whatever reads or writes the folder raises an OSError where that fails.

    Args:
        uri: a folder or an object store's.

    Attributes:
        folder: None on an object store, which has no locks and looks after its own disks.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.folder = None if "://" in uri else Path(uri)

    def lock(self, name: str) -> TableLock:
        """A lock for one purpose, such as ``images.write``."""
        return NoLock() if self.folder is None else FileLock(self.folder / ".locks" / name)

    def write_lock(self, table: str) -> AbstractAsyncContextManager[None]:
        """Holds the lock under which every commit to a table is made."""
        return self.lock(f"{table}.write").held()

    def sync(self) -> None:
        """Waits until everything in the folder is on the disk. Blocks."""
        if self.folder is not None:
            sync_to_disk(self.folder)

    def has_tables(self) -> bool:
        """Whether there may be tables; in a folder, by the names in it. Blocks."""
        return self.folder is None or any(each.suffix == ".lance" for each in self.folder.iterdir())

    def check(self, *, sync: bool) -> None:
        """Makes the folder if need be, writes a file in it, locks it, and syncs it. Blocks.

        Raises:
            StoreOpenError: something of that fails; it says what.
        """
        folder = self.folder
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as probe:
                probe.write(bytes(_PROBE_BYTES))
                probe.flush()
                with _refusal(_NO_LOCKS):
                    fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if sync:
                with _refusal(_NO_SYNC):
                    sync_to_disk(folder)
        except OSError as error:
            full = error.errno in FULL
            said = "'s disk is full" if full else f" cannot be written: {error.strerror}"
            message = f"IMAGE_SEARCH_STORE_URI: the folder{said}"
            raise StoreOpenError(message, str(folder)) from error
        if not has_space(folder):
            logger.warning(
                "the index's disk is nearly full: images cannot be added until there is room"
            )

    def close_to_others(self, umask: int) -> None:
        """Takes from other users what of the folder they could open, by this umask. Blocks."""
        if self.folder is not None:
            close_to_others(self.folder, umask)

    def refuse_anothers(self, umask: int) -> None:
        """Refuses a folder whose tables are another user's, who could not open what is written.

        Raises:
            StoreOpenError: they are.
        """
        if self.folder is None or not umask & stat.S_IRWXG:
            return
        owners = {table.stat().st_uid for table in self.folder.glob("*.lance")}
        for owner in owners - {os.geteuid()}:
            raise StoreOpenError(
                f"the index belongs to the user {_user(owner)}, who could not open what is written"
                f" now: run this as that user (sudo -u {_user(owner)})"
            )

    def refuse_unless_folder(self) -> None:
        """Looks before connecting, which would make the folder. Blocks.

        Raises:
            StoreOpenError: nothing is there, or a file.
        """
        if self.folder is None or self.folder.is_dir():
            return
        if self.folder.exists():
            raise StoreOpenError(
                f"IMAGE_SEARCH_STORE_URI must name a folder, but {self.uri} is a file"
            )
        raise self.no_index()

    def no_index(self) -> StoreOpenError:
        """The error where nothing was indexed yet."""
        place = self.uri if self.folder is None else self.folder.absolute()
        return StoreOpenError(
            f"there is no index yet at {place}: the service makes one as it starts"
        )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # as of another container
        return f"'#{number}'"


@contextmanager
def _refusal(message: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreOpenError(f"IMAGE_SEARCH_STORE_URI: {message}", repr(error)) from error
