"""Which version of a table callers were last told of: a small file beside it.

LanceDB takes the newest manifest that it finds for the table. Where the newest is lost, it goes on
with the one before, without a word, and what was acknowledged since is gone. The number in this
file is what tells: a table that is older than it has lost something.

It is written after the version is on the disk, and before the answer: the other way round, a power
cut in between could keep the number and lose the version, and a start would be refused over a
change that nobody was told of. A crash or a power cut may leave an older number than the table's,
which is harmless. The file keeps its length, so that a full disk still takes it.

The table's lock is free again by then, so two processes may come here in either order. A lock on
the file itself sees to it that the number only grows.
"""

import contextlib
import fcntl
import logging
import os
from pathlib import Path

from store.errors import StoreDamagedError

logger = logging.getLogger(__name__)

_DIGITS = 20


class Acknowledged:
    """The number in the file of one table.

    Args:
        folder: of the store.
        table: the table's name.
    """

    def __init__(self, folder: Path, table: str) -> None:
        self._file = folder / f"{table}.acknowledged"

    def read(self) -> int:
        """The version; 0 where none is written down."""
        try:
            return _number(self._file.read_bytes())
        except OSError:
            return 0

    def write(self, version: int) -> None:
        """Writes the version down, unless a later one is. Blocks, if only for a moment.

        Where that fails, it is logged: the commit stands.
        """
        try:
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
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
        if version < known:
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


def recorded(folder: Path) -> list[str]:
    """The names of the tables that callers were told of."""
    return sorted(file.stem for file in folder.glob("*.acknowledged"))
