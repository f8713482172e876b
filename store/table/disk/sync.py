"""Power-loss durability for local tables: sync after commit, recovery of torn manifests, detection
of a lost one.

LanceDB never calls fsync: what it has written may be in the system's memory alone. So after each
group's commit, and before its callers are answered, the file system is synced. A cut in the middle
of a commit may then leave a torn manifest (the file that makes a version) of a commit that was
never acknowledged; LanceDB refuses the whole table over it, so it is set aside when the table is
opened.

Where the newest manifest is lost, LanceDB goes on with the one before, without a word, and what was
acknowledged since is gone. A small file beside the table has the last acknowledged version: a table
that is older has lost something.
"""

import contextlib
import ctypes
import fcntl
import logging
import os
import struct
from pathlib import Path

from store.errors import StoreDamagedError
from store.private import open_private

logger = logging.getLogger(__name__)

LEAST_FREE_BYTES = 64 << 20
LEAST_FREE_SHARE = 0.02
"""Of the file system; the smaller of the two is reserved."""

_MAGIC = b"LANC"
_FOOTER = struct.Struct("<QHH4s")
"""The end of a whole manifest: where its content begins, the format's version, the magic bytes
(`lance-file`). The content is four bytes of length and the manifest."""
_LENGTH = struct.Struct("<I")
_SUFFIX = ".acknowledged"
_DIGITS = 20


def sync_to_disk(folder: Path) -> None:
    """Waits until everything written to the folder's file system is on the disk.

    `syncfs` and not `fsync`, because which files a commit has made is LanceDB's own affair.

    Raises:
        OSError: the disk reports that it could not write.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(libc, "syncfs"):  # only Linux has it
            os.sync()
        elif libc.syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), "the table could not be written to the disk")
    finally:
        os.close(descriptor)


def has_space(folder: Path | None) -> bool:
    """Whether more is free on a folder's disk than is reserved; True where nobody can tell.

    Adds stop before the disk is full: a commit that runs out of space half-way leaves the files of
    its attempt behind, which Lance removes only after days. The last of the space would be lost to
    them, and then not even a delete would fit. So a little is reserved for deletes and for removing
    old versions, which make room.
    """
    if folder is None:
        return True
    try:
        disk = os.statvfs(folder)
    except OSError:
        return True
    least = min(LEAST_FREE_BYTES, LEAST_FREE_SHARE * disk.f_blocks * disk.f_frsize)
    return disk.f_bavail * disk.f_frsize >= least


class Acknowledged:
    """The last version of a table that callers were told of, in a small file beside it.

    It is read when the table is opened and before each commit, and written after it: 9 and 7
    microseconds. Without it, each of five ways to lose the newest manifests passes for a table that
    was always so, and the next commit, of any process, settles the loss.

    Args:
        folder: of the store.
        table: the table's name.
    """

    def __init__(self, folder: Path, table: str) -> None:
        self._file = folder / f"{table}{_SUFFIX}"

    def read(self) -> int:
        """The version; 0 where none is written down."""
        try:
            return _number(self._file.read_bytes())
        except OSError:
            return 0

    def write(self, version: int) -> None:
        """Writes down a version that is on the disk, unless a later one is. Blocks for a moment.

        The other way round, a power cut in between could keep the number and lose the version, and
        a start would be refused over a change that nobody was told of. The table's lock is free
        again by then, so two processes may come here in either order: a lock on the file itself
        lets the number only grow. It has a fixed length, so that a full disk still takes it. A
        failure is logged: the commit stands.
        """
        try:
            descriptor = open_private(str(self._file), os.O_RDWR | os.O_CREAT)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if version > _number(os.pread(descriptor, _DIGITS, 0)):
                    os.pwrite(descriptor, b"%0*d\n" % (_DIGITS, version), 0)
            finally:
                os.close(descriptor)
        except OSError as error:
            logger.warning("the version of the index could not be written down: %r", error)

    def forget(self) -> None:
        """Removes the file: its table is deleted, or its loss is accepted."""
        with contextlib.suppress(FileNotFoundError):
            self._file.unlink()

    def refuse_older(self, version: int, known: int) -> None:
        """Refuses a table that has lost its newest version.

        Args:
            version: the newest that the table has; 0 if there is no table.
            known: what `read` said *before* the version was looked at. Read later, it may be of a
                commit that another process made in between.

        Raises:
            StoreDamagedError: a later one was acknowledged.
        """
        if version >= known:
            return
        there = f"version {version} is the newest that is there" if version else "it is missing"
        raise StoreDamagedError(
            f"{self._file.stem}: version {known} was acknowledged, but {there}; put the folder"
            f" back from a backup, or delete {self._file.name} beside it to go on without what"
            " is lost",
            "the index has lost its newest changes",
        )


def _number(content: bytes) -> int:
    try:
        return int(content)
    except ValueError:
        return 0


def acknowledged_tables(folder: Path) -> list[str]:
    """The names of the tables with an acknowledged version, whether they are there or not."""
    return sorted(file.stem for file in folder.glob(f"*{_SUFFIX}"))


def set_aside_torn_manifests(table: Path) -> bool:
    """Renames the newest manifests of a table, ``.torn`` at their end, as long as they are torn.

    Lance puts a manifest in its place whole, by a rename, so none that is being written is taken
    for torn; the table's write lock keeps two processes from doing this at once.

    Args:
        table: the table's folder, ``<name>.lance``.

    Returns:
        Whether a version is left. One that was torn while the table was made leaves none, and
        nothing is lost by it.
    """
    # A manifest is called 2**64 - 1 - version, in twenty digits: the newest comes first.
    manifests = sorted((table / "_versions").glob("*.manifest"))
    for manifest in manifests:
        if _is_whole(manifest):
            return True
        manifest.rename(manifest.with_name(manifest.name + ".torn"))
        logger.warning("the table's manifest %s was torn, by a power cut?: set aside", manifest)
    return len(manifests) <= 1


def _is_whole(manifest: Path) -> bool:
    content = manifest.read_bytes()
    end = len(content) - _FOOTER.size
    if end < _LENGTH.size:
        return False
    begin, _, _, magic = _FOOTER.unpack_from(content, end)
    if magic != _MAGIC or begin > end - _LENGTH.size:
        return False
    return bool(begin + _LENGTH.size + _LENGTH.unpack_from(content, begin)[0] == end)
