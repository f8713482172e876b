"""Who may open the files of a local table: their modes, and files that other users cannot lock.

Whoever can open a file can lock it (`flock`), reading it is enough; and who holds a table's lock
stops all writes.
"""

import logging
import os
import re
import stat
from pathlib import Path

logger = logging.getLogger(__name__)

_OWN = re.compile(r"images(_\d+)?\..*|pictures|changes|\.locks")
"""Names of what a store has in its folder."""

_LOOK = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


def open_private(path: str, flags: int) -> int:
    """Opens a file, or makes it, that only who may write in its folder can open; for `open`.

    One of an earlier release, which others can open, is narrowed by its owner.
    """
    folder = os.path.dirname(path)  # noqa: PTH120 - each commit opens four: a Path costs as much again
    mode = 0o660 if os.stat(folder).st_mode & stat.S_IWGRP else 0o600  # noqa: PTH116
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    _narrow(descriptor, 0o777 & ~mode)
    return descriptor


def make_private(folder: Path) -> None:
    """Makes a folder, unless it is there, that only who may write in the one above it can enter."""
    folder.mkdir(mode=0o770 if _is_groups(folder.parent) else 0o700, exist_ok=True)


def close_to_others(folder: Path, umask: int) -> None:
    """Takes a store's folder, and what lies in it, from the machine's other users. Blocks.

    What lies deeper is out of their reach with that. A folder that has other things in it, too, is
    left as it is, and so is what belongs to another user; what is done or left is said in a line.
    """
    names = [entry.name for entry in os.scandir(folder)]
    mine = [folder / name for name in names if _OWN.fullmatch(name)]
    found = folder.resolve()
    is_stores = len(mine) == len(names) and not found.stat().st_mode & stat.S_ISVTX
    narrowed = [_narrowed(path, umask) for path in (*([found] if is_stores else []), *mine)]
    if any(narrowed) and mine:
        logger.warning(
            "other users of this machine could read the index's folder: it is for its owner alone"
            " now (IMAGE_SEARCH_STORE_SHARED=true shares it with its group)"
        )
    elif is_stores and found.stat().st_mode & stat.S_IRWXO:
        logger.warning(
            "the index's folder belongs to another user and is open to all users of this machine:"
            " have its owner close it with chmod o-rwx"
        )


def _is_groups(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IWGRP)


def _narrowed(path: Path, umask: int) -> bool:
    try:
        descriptor = os.open(path, _LOOK)
    except OSError:  # a link, or what is closed to this user, too
        return False
    try:
        return _narrow(descriptor, umask)
    finally:
        os.close(descriptor)


def _narrow(descriptor: int, umask: int) -> bool:
    """Takes permissions from an open file of this user's; whether it had any of them."""
    found = os.fstat(descriptor)
    if not found.st_mode & umask or found.st_uid != os.geteuid():
        return False
    os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & ~umask)
    return True
