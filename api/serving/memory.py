"""Memory settings of an API worker: glibc's malloc and Python's garbage collector."""

import ctypes
import gc
from contextlib import suppress

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_LARGE_BYTES = 1 << 20
_ARENAS = 2


def return_freed_memory() -> None:
    """Tell glibc's malloc to keep little of what is freed; does nothing with another C library.

    By default it raises the size from which it asks the system for a block of its own up to the
    largest block that was ever freed, and keeps an arena for each of the many threads, so that a
    worker stays as large as its busiest moment (mallopt(3)). After 90 adds of 12 megapixels, 16 at
    once, it has 751 MiB with this and 844 without. For this process alone: the model workers use
    the same large blocks again and again, and are better off keeping them.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_ARENA_MAX, _ARENAS)


def freeze_startup_objects() -> None:
    """Take what the start has made out of the garbage collector's sight, as it stays for ever.

    The 190 000 objects of the libraries take a full collection 0.1 to 0.4 s, in which no request
    goes on, about once for every thousand requests.
    """
    gc.collect()
    gc.freeze()
