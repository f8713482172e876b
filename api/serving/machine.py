"""The machine: checks of port, memory, open files and libraries; a worker's memory settings."""

import ctypes
import errno
import gc
import resource
import socket
from contextlib import suppress
from pathlib import Path

import click
from bentoml._internal.configuration.containers import BentoMLContainer

from api.access.hosts import listening_on

LEAST_MEMORY_BYTES = 1 << 30
"""Two processes with torch and one with Arrow take about this much before the first request."""

_MEMORY = Path("/proc/meminfo")

_WANTED_DESCRIPTORS = 65_536
_OWN_DESCRIPTORS = 256
"""Libraries, logs, the table's files and the connections to the models."""

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_LARGE_BYTES = 1 << 20
_ARENAS = 2

_MOUNTS = Path("/proc/self/mountinfo")
_PR_SET_DUMPABLE = 4

_PILLOW_LIBRARIES = {"jpg": "JPEG", "zlib": "PNG", "webp": "WebP"}


class MachineError(Exception):
    """The service cannot run here; the message is one line."""


def check_port(*, open_to_others: bool) -> None:
    """Refuse a port that cannot be listened on; outside of `bentoml serve` there is none to check.

    Args:
        open_to_others: whether others than this machine may reach it.

    Raises:
        MachineError: it is taken, or not allowed, or the address is not this machine's.
    """
    context = click.get_current_context(silent=True)
    asked = context.params if context is not None else {}
    if "port" in asked:
        host = asked.get("host") or BentoMLContainer.http.host.get()
        host = listening_on(host, open_to_others=open_to_others)
        try_to_listen(host, asked["port"] or BentoMLContainer.http.port.get())


def try_to_listen(host: str, port: int) -> None:
    """Listen on an address for a moment.

    Raises:
        MachineError: that is not possible.
    """
    if not 0 <= port < 1 << 16:  # the resolver would take it modulo that
        raise MachineError(f"cannot listen on port {port}: a port is at most {(1 << 16) - 1}")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the supervisor does
            probe.bind(address)
            probe.listen()
    except OSError as error:
        raise MachineError(f"cannot listen on {host} port {port}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program does; stop it or choose another --port"
    if error.errno == errno.EACCES:
        return "not allowed; choose a --port above 1023"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return "that is no address of this machine; choose another --host"
    return error.strerror or str(error)


def raise_descriptor_limit(max_in_flight: int) -> None:
    """Allow this process, and those it starts, as many open files as it may have.

    Args:
        max_in_flight: requests at once; each has a connection, and may have a download's.

    Raises:
        MachineError: that is too few.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * max_in_flight + _OWN_DESCRIPTORS
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise MachineError(
            f"only {hard} files may be open at once (ulimit -Hn), {needed} are needed: raise the"
            " limit, or lower IMAGE_SEARCH_MAX_IN_FLIGHT"
        )
    wanted = max(needed, _WANTED_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))


def check_memory(allowed: int | None = None, machine: Path = _MEMORY) -> None:
    """Refuse a machine, or a container, that is obviously too small.

    Args:
        allowed: bytes that this process and those beside it may have; None without a limit.
        machine: the file that tells the machine's own.

    Raises:
        MachineError: it has less memory than the models alone take.
    """
    known = [size for size in (allowed, _machine_bytes(machine)) if size is not None]
    if known and min(known) < LEAST_MEMORY_BYTES:
        raise MachineError(
            f"there are {min(known) >> 20} MiB of memory in all, the models alone take"
            f" {LEAST_MEMORY_BYTES >> 20}"
        )


def _machine_bytes(file: Path) -> int | None:
    """The first line of /proc/meminfo; None where there is none."""
    try:
        return int(file.read_text().split(maxsplit=2)[1]) << 10
    except (OSError, ValueError, IndexError):
        return None


def check_libraries() -> None:
    """Load what is compiled, and see that pictures can be read.

    Raises:
        MachineError: it names the library that is missing.
    """
    try:
        import cv2  # noqa: F401, PLC0415 - only in the child of the supervisor
    except ImportError as error:
        raise MachineError(
            f"OpenCV cannot be loaded ({error}); install the opencv-python-headless of"
            " requirements.lock"
        ) from error
    from PIL import features  # noqa: PLC0415 - likewise

    missing = [format for name, format in _PILLOW_LIBRARIES.items() if not features.check(name)]
    if missing:
        raise MachineError(
            f"this Pillow cannot read {' or '.join(missing)}; install the one of requirements.lock"
        )


def hide_process(mounts: Path = _MOUNTS) -> bool:
    """Keep others of the same user out of this process: environment, memory, open files, tracing.

    Only root can look into it from then on, its user's debuggers and core dumps cannot
    (PR_SET_DUMPABLE, prctl(2)). It ends with exec(2): each process calls this for itself, first
    thing.

    Returns:
        False where that would do harm: with hidepid (proc(5), systemd's `ProtectProc`) such a
        process cannot be seen at all, and a supervisor that is not root lost sight of its workers.
    """
    with suppress(OSError, AttributeError):
        if "hidepid=" in mounts.read_text():
            return False
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    return True


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
