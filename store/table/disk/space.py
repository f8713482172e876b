"""Room on the disk: adds stop before it is full.

A commit that runs out of space half-way leaves the files of its attempt behind, which Lance
removes only after days: the last of the space is lost to them, and then not even a delete fits.
So a little is kept free, for deletes and for removing old versions, which make room.
"""

import os
from pathlib import Path

LEAST_FREE_BYTES = 64 << 20
LEAST_FREE_SHARE = 0.02
"""Of the file system; the smaller of the two is kept."""


def has_room(folder: Path) -> bool:
    """Whether more than what is kept free is free. True where nobody can tell."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return True
    least = min(LEAST_FREE_BYTES, LEAST_FREE_SHARE * disk.f_blocks * disk.f_frsize)
    return disk.f_bavail * disk.f_frsize >= least
