"""Files that a command writes: no link leads it elsewhere, and its own notes are nobody else's.

Where others may write in a folder, too, a link that one of them has put there under the name that a
command is about to use would have it write, or go by, another file of the person's.
"""

import errno
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_DEVICES = Path("/dev")
"""Its links, such as /dev/stdout, are the system's."""

_NO_LINKS, _NO_WAITING = getattr(os, "O_NOFOLLOW", 0), getattr(os, "O_NONBLOCK", 0)
_FLAGS = os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""Windows has neither the first nor the rights of files: a folder's rights are its files' there."""


def opened_anew(path: Path) -> IO[bytes]:
    """A file that the person has named, emptied, or made with the rights that their umask leaves.

    Raises:
        OSError: it cannot be written, or is a link.
    """
    links = 0 if path.parent == _DEVICES else _NO_LINKS
    return os.fdopen(_open(path, os.O_WRONLY | os.O_TRUNC | links, 0o666), "wb")


def opened_notes(path: Path) -> IO[bytes]:
    """A file of the command's own notes, to read and to add to; nobody else can open it.

    Raises:
        OSError: it cannot be written, is a link or no plain file, or is another user's.
    """
    # Not to wait for who opens a pipe's other end.
    flags = os.O_RDWR | os.O_APPEND | _NO_LINKS | _NO_WAITING
    descriptor = _open(path, flags, 0o600)
    try:
        _keep_to_owner(descriptor, path)
        return os.fdopen(descriptor, "ab+")
    except OSError:
        os.close(descriptor)
        raise


def _keep_to_owner(descriptor: int, path: Path) -> None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise OSError(errno.EINVAL, "not a plain file of its own", str(path))
    if sys.platform == "win32":
        return
    if found.st_uid != os.geteuid():
        raise OSError(errno.EPERM, "the file belongs to another user", str(path))
    if found.st_mode & 0o077:
        os.fchmod(descriptor, 0o600)


@contextmanager
def made_whole(path: Path) -> Iterator[IO[bytes]]:
    """Context manager: a file beside the path, which takes its place when the block succeeds.

    Raises:
        OSError: it cannot be written, or the path is neither a file nor free.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a file that could be replaced", str(path))
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        file = os.fdopen(_open(part, os.O_WRONLY | os.O_EXCL, 0o666), "wb")
    except OSError as error:  # told by the name that the person knows
        raise OSError(error.errno, error.strerror, str(path)) from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _open(path: Path, flags: int, mode: int) -> int:
    try:
        return os.open(path, flags | _FLAGS, mode)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a link, which is not followed", str(path)) from None
        raise
