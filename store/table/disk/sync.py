"""What LanceDB leaves open about a power cut, for a table in a folder.

LanceDB never calls fsync: what it has written may be in the system's memory alone. So after each
group's commit, and before its callers are answered, the file system is asked to write everything
down. A cut in the middle of a commit may then leave a torn manifest (the file that makes a version)
of a commit that was never acknowledged; LanceDB refuses the whole table over it, so it is set aside
when the table is opened.
"""

import ctypes
import logging
import os
import struct
from pathlib import Path

logger = logging.getLogger(__name__)

_MAGIC = b"LANC"
_FOOTER = struct.Struct("<QHH4s")
"""The end of a whole manifest: where its content begins, the format's version, the magic bytes
(`lance-file`). The content is four bytes of length and the manifest."""
_LENGTH = struct.Struct("<I")


def sync_to_disk(folder: Path) -> None:
    """Waits until everything written to the folder's file system is on the disk.

    `syncfs` and not `fsync`, because which files a commit has made is LanceDB's own affair.

    Raises:
        OSError: the disk reports that it could not write.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _syncfs(descriptor)
    finally:
        os.close(descriptor)


def _syncfs(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "syncfs"):  # only Linux has it
        os.sync()
    elif libc.syncfs(descriptor) != 0:
        raise OSError(ctypes.get_errno(), "the table could not be written to the disk")


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
    manifests = _newest_first(table / "_versions")
    for manifest in manifests:
        if _is_whole(manifest):
            return True
        manifest.rename(manifest.with_name(manifest.name + ".torn"))
        logger.warning("the table's manifest %s was torn, by a power cut?: set aside", manifest)
    return len(manifests) <= 1


def _newest_first(versions: Path) -> list[Path]:
    # A manifest is called 2**64 - 1 - version, in twenty digits.
    return sorted(versions.glob("*.manifest")) if versions.is_dir() else []


def _is_whole(manifest: Path) -> bool:
    content = manifest.read_bytes()
    end = len(content) - _FOOTER.size
    if end < _LENGTH.size:
        return False
    begin, _, _, magic = _FOOTER.unpack_from(content, end)
    if magic != _MAGIC or begin > end - _LENGTH.size:
        return False
    return bool(begin + _LENGTH.size + _LENGTH.unpack_from(content, begin)[0] == end)
