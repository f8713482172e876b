"""Decoder limits: what a process gives up before it reads a file, and memory per picture.

Linux only, as the service is: prctl(2), setrlimit(2).
"""

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ORDINARY_BYTES = 64 << 20
"""Memory that a picture is given without asking its file: enough for up to 5 megapixels."""

_DRAWN_BYTES = 14
"""Per pixel: 3 for the shared pixels, 8 for two copies of 4, 3 for the JPEG file."""

_DECODED_BYTES = {
    # A progressive one: 2 for each coefficient of 4 channels, beside the picture.
    "JPEG": 12,
    # Its own mode, its copy in RGB, and that turned upright: 4 each.
    "PNG": 13,
    "BMP": 13,
    "GIF": 13,
    # Two canvases of 4 and a frame of 4 in libwebp; 4 as bytes; the picture, and its copy in RGB.
    "WEBP": 24,
    # Planes of 16 bits, with alpha 8, twice where it is a grid; 4 in RGBA, 4 as bytes; as above.
    "AVIF": 32,
}

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_MAX_OPEN_FILES = 32
_NICENESS = 2
_SLACK_BYTES = 48 << 20

_libc = ctypes.CDLL(None, use_errno=True)


def needed_bytes(file_format: str, pixels: int, file_bytes: int) -> int:
    """The memory that a picture takes at most: decoded, prepared, drawn, its file included.

    An upper bound per pixel, by format: how the readers of Pillow 13 go about it, and checked
    against real processes in every mode (tests/images/workers/test_decode_memory.py).
    """
    return max(_DECODED_BYTES[file_format], _DRAWN_BYTES) * pixels + 3 * file_bytes


def confine(parent: int, max_file_bytes: int) -> None:
    """Bind this process to its parent, and take away what decoding does not need.

    Args:
        parent: the process that started this one; this one ends with it, also when it hangs.
        max_file_bytes: length of the longest file that is written, in memory as they are.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before it was watched
        sys.exit(0)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Both also reach a whole group of processes; this one is needed until its parent has drained.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_MAX_OPEN_FILES, _MAX_OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))
    os.nice(_NICENESS)  # the event loop of the API goes first


@contextmanager
def limited_memory(memory_bytes: int) -> Iterator[None]:
    """Let this process grow by so much, and a little, from here: malloc fails beyond it.

    The limit is on addresses (RLIMIT_AS), the only one that Linux keeps for malloc and mmap alike.
    """
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + memory_bytes + _SLACK_BYTES
    before, most = resource.getrlimit(resource.RLIMIT_AS)
    unlimited = most == resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_AS, (limit if unlimited else min(limit, most), most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, most))
