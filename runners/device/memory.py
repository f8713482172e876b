"""Returns memory to the operating system that only the loading of a model needs."""

import ctypes
import gc
from contextlib import suppress
from pathlib import Path

_MADV_PAGEOUT = 21
_MAPS = Path("/proc/self/maps")


def trim_memory() -> None:
    """Return memory that was freed."""
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)


def page_out(file: Path) -> None:
    """Have this process's pages of a file that it has mapped and reads no more taken back.

    They count as its own memory otherwise until the system is short of it. What is read of them
    later is read from the disk again. Does nothing where there is no such call (Linux 5.4).
    """
    with suppress(OSError, AttributeError):
        advise = ctypes.CDLL(None).madvise
        advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        for line in _MAPS.read_text().splitlines():
            if line.endswith(f" {file}"):
                first, last = (int(each, 16) for each in line.split()[0].split("-"))
                advise(first, last - first, _MADV_PAGEOUT)
