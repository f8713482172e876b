"""Sandbox of a decoder process: the system calls that code which took one over may still make.

A decoder reads its socket, computes in memory, and writes its answer and shared pictures. A seccomp
filter (seccomp(2)) lets the calls for that through and answers all others with EPERM, so that a
fault becomes an error of Python's and no crash: nothing is opened, connected, started, signalled or
traced, and no memory becomes executable. Where the system has no seccomp, Landlock (landlock(7))
refuses files, programs, TCP, signals and tracing.

By hand, as pyseccomp needs a libseccomp of the system and had its last release in 2021, and
seccompy 0.1 compares whole arguments, while the protection of a mapping is a set of bits.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import platform
import struct
from collections.abc import Iterator
from typing import Literal

Sandbox = Literal["seccomp", "landlock", ""]
"""What keeps a decoder in; nothing where the system has neither."""

Instruction = tuple[int, int, int, int]
"""Of classic BPF: operation, instructions to skip if it is true and if not, operand."""

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""Names for the processors of `CALLS`, as the kernel's audit numbers."""

CALLS = {
    # Messages, pictures and what is open; there is nothing that opens more.
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "lseek": (8, 62),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "sendmsg": (46, 211),
    "recvmsg": (47, 212),
    # Memory.
    "munmap": (11, 215),
    "brk": (12, 214),
    "mremap": (25, 216),
    "madvise": (28, 233),
    # Its threads, its own signals, time and chance.
    "futex": (202, 98),
    "sched_yield": (24, 124),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "getpid": (39, 172),
    "getcwd": (79, 17),  # Pillow's `save` compares the names of files, also where it has none
    "gettid": (186, 178),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),  # without it the C library ends a process that starts a thread
    "gettimeofday": (96, 169),
    "clock_gettime": (228, 113),
    "getrandom": (318, 278),
    "exit": (60, 93),
    "exit_group": (231, 94),
    # Allowed with one argument only, see `_with_argument`.
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "fcntl": (72, 25),
    "tgkill": (234, 131),
    "clone": (56, 220),
    # Refused as unknown: the C library then tries a call that is refused as forbidden.
    "clone3": (435, 435),
}
"""Numbers of system calls by name, on x86-64 and on 64-bit ARM."""

_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
"""Offsets in what a filter sees (struct seccomp_data); an argument has 8 bytes, the lower first."""

_THREAD = 0x3D0F00
"""Flags with which pthread_create(3) calls clone(2): a thread under the same filter, no process."""

_X32 = 0x40000000
_WHOLE = 0xFFFFFFFF
_SYS_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_FILTER, _ALL_THREADS, _NO_MITIGATION = 1, 1, 4
_SYS_LANDLOCK_CREATE, _SYS_LANDLOCK_RESTRICT, _LANDLOCK_VERSION = 444, 446, 1
_LANDLOCK_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_LANDLOCK_TCP, _LANDLOCK_SIGNALS_AND_ABSTRACT_SOCKETS = 3, 3

_libc = ctypes.CDLL(None, use_errno=True)


def enter() -> Sandbox:
    """Close all but the standard streams, and keep this process in, its threads included.

    It must have set no_new_privs (prctl(2)). There is no way back.

    Returns:
        What keeps it in from now on, after an attempt to get out.
    """
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    machine = platform.machine()
    if machine in ARCHITECTURES and _install(machine) and not _can_open():
        return "seccomp"
    if _landlock() and not _can_open():
        return "landlock"
    return ""


def program(machine: str, pid: int) -> Iterator[Instruction]:
    """The filter of a process, for a processor of `ARCHITECTURES`."""
    column = list(ARCHITECTURES).index(machine)
    numbers = {name: both[column] for name, both in CALLS.items()}
    unknown, conditions = numbers.pop("clone3"), _with_argument(pid)
    yield _LOAD, 0, 0, _ARCHITECTURE
    yield _EQUAL, 1, 0, ARCHITECTURES[machine]
    yield _RETURN, 0, 0, _KILL
    yield _LOAD, 0, 0, _NUMBER
    yield _AT_LEAST, 0, 1, _X32  # x86-64's calls under other numbers
    yield _RETURN, 0, 0, _KILL
    for name, number in numbers.items():
        if name not in conditions:
            yield _EQUAL, 0, 1, number
            yield _RETURN, 0, 0, _ALLOW
    for name, (argument, bits, value) in conditions.items():
        yield _EQUAL, 0, 5, numbers[name]
        yield _LOAD, 0, 0, _ARGUMENTS + 8 * argument
        yield _AND, 0, 0, bits
        yield _EQUAL, 0, 1, value
        yield _RETURN, 0, 0, _ALLOW
        yield _RETURN, 0, 0, _FAIL | errno.EPERM
    yield _EQUAL, 0, 1, unknown
    yield _RETURN, 0, 0, _FAIL | errno.ENOSYS
    yield _RETURN, 0, 0, _FAIL | errno.EPERM


def _with_argument(pid: int) -> dict[str, tuple[int, int, int]]:
    """By call: which argument, which bits of its lower half, what they must be."""
    return {
        "mmap": (2, mmap.PROT_EXEC, 0),
        "mprotect": (2, mmap.PROT_EXEC, 0),
        "fcntl": (1, _WHOLE, fcntl.F_DUPFD_CLOEXEC),  # of `mmap.mmap`; others send signals
        "tgkill": (0, _WHOLE, pid),  # of abort(3)
        "clone": (0, _WHOLE, _THREAD),  # libde265 (HEIC) always decodes in one
    }


def _install(machine: str) -> bool:
    """Have the kernel apply the filter; whether it does.

    Kernels before 5.16 would also slow the process down against Spectre, by several percent. That
    keeps secrets of the same process from code that runs in it; here there are none.
    """
    packed = b"".join(struct.pack("HBBI", *each) for each in program(machine, os.getpid()))
    instructions = ctypes.create_string_buffer(packed, len(packed))
    whole = struct.pack("HP", len(packed) // 8, ctypes.addressof(instructions))
    flags = _ALL_THREADS | _NO_MITIGATION
    failed: int = _libc.syscall(_SYS_SECCOMP[machine], _SET_FILTER, flags, whole)
    return failed == 0


def _landlock() -> bool:
    """Have Landlock refuse what it knows, without exception; whether it does."""
    version = _libc.syscall(_SYS_LANDLOCK_CREATE, None, 0, _LANDLOCK_VERSION)
    if version < 1:
        return False
    files = max(bits for since, bits in _LANDLOCK_FILES.items() if since <= version)
    network = _LANDLOCK_TCP if version >= 4 else 0
    scope = _LANDLOCK_SIGNALS_AND_ABSTRACT_SOCKETS if version >= 6 else 0
    rules = struct.pack("QQQ", files, network, scope)
    ruleset: int = _libc.syscall(_SYS_LANDLOCK_CREATE, rules, len(rules), 0)
    if ruleset < 0:
        return False
    failed: int = _libc.syscall(_SYS_LANDLOCK_RESTRICT, ruleset, 0)
    os.close(ruleset)
    return failed == 0


def _can_open() -> bool:
    """Whether the kernel only said that it keeps this process in."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return False
    return True
