"""A repair of Prometheus' files: a full disk must not kill the process that counts.

Each process keeps its metrics in files of BentoML's folder that are mapped into memory, and that
are made without their space being taken (prometheus_client 0.26 `mmap_dict`). The first number
that falls on a page for which the disk has no room ends the process with SIGBUS: measured here, all
workers of a service whose disk was full. So the space is taken when a file is made or grows; where
there is none, the numbers are kept in memory alone and are missing from `/metrics` until the
process starts again.
"""

import logging
import mmap
import os
from contextlib import suppress
from typing import Any

from prometheus_client import mmap_dict

logger = logging.getLogger("bentoml.image_search")

_ENTRY_BYTES = 64
"""What an entry takes beside its key, at the most."""

_files: Any = mmap_dict.MmapedDict
_make, _grow = _files.__init__, _files._init_value


def reserve_metric_files() -> None:
    """Take the space of this process's files beforehand. More than once does no harm."""
    _files.__init__ = _reserved
    _files._init_value = _grown


def _reserved(self: Any, filename: str, read_mode: bool = False) -> None:
    if not read_mode:
        try:
            with open(filename, "a+b") as file:  # noqa: PTH123 - as the original does
                os.posix_fallocate(file.fileno(), 0, mmap_dict._INITIAL_MMAP_SIZE)
        except OSError as error:
            with suppress(OSError):
                os.unlink(filename)  # noqa: PTH108 - an empty one makes /metrics fail
            filename = _in_memory(error)
    _make(self, filename, read_mode)


def _grown(self: Any, key: str) -> None:
    needed = self._used + len(key.encode()) + _ENTRY_BYTES
    capacity = self._capacity
    while needed > capacity:
        capacity *= 2
    if capacity > self._capacity:
        try:
            os.posix_fallocate(self._f.fileno(), 0, capacity)
        except OSError as error:
            _move(self, _in_memory(error))
    _grow(self, key)


def _move(values: Any, filename: str) -> None:
    content = bytes(values._m)
    values._f.close()
    values._f = open(filename, "a+b")  # noqa: PTH123, SIM115 - as the original does
    values._f.truncate(len(content))
    values._m = mmap.mmap(values._f.fileno(), len(content))
    values._m[:] = content


def _in_memory(error: OSError) -> str:
    logger.warning("metrics are kept in memory alone: their files cannot grow (%s)", error.strerror)
    return f"/proc/self/fd/{os.memfd_create('metrics')}"
