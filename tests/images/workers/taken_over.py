"""A decoder process whose code is a stranger's: `python -m ... UID GUARDED LIMITS PARENT`.

Everything but its tasks is the real process's own. Instead of decoding it tries what a request
names, within its sandbox or, to see that the attempts would work, without it.
"""

# ruff: noqa: PTH101, PTH102, PTH104, PTH108, PTH116, PTH208, PTH211

import ctypes
import fcntl
import mmap
import os
import platform
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from errno import errorcode
from typing import Any

from images.schemas import Body, Head
from images.workers import child, sandbox

Attack = Callable[[dict[str, Any]], object]
LIBC = ctypes.CDLL(None, use_errno=True)
COLUMN = list(sandbox.ARCHITECTURES).index(platform.machine())
HIGHEST_CALL = 512
ENDING = {335, 336} if COLUMN == 0 else set()
"""x86-64's uretprobe and uprobe: outside of the kernel's own trampolines they end the process."""

DONE = "done"


def call(x86: int, arm: int | None = None, *arguments: Any) -> int:
    """A system call by its numbers; arguments that are missing are 0.

    Raises:
        OSError: it fails.
    """
    whole = [*arguments, *[0] * (6 - len(arguments))]
    words = [ctypes.c_void_p(one) if isinstance(one, int | None) else one for one in whole]
    result: int = LIBC.syscall([x86, x86 if arm is None else arm][COLUMN], *words)
    if result == -1:
        raise OSError(ctypes.get_errno(), "")
    return result


def opened(path: str, flags: int) -> None:
    os.close(os.open(path, flags, 0o600))


def forked(pid: int) -> None:
    """End a child that should not have been."""
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def threaded(attack: Callable[[], object]) -> None:
    """The same from a thread of its own, which a decoder may have."""
    failures: list[OSError] = []

    def attempt() -> None:
        try:
            attack()
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def paired() -> None:
    for one in socket.socketpair():
        one.close()


def connected(address: str) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(address)


def connected_over_its_own(address: str) -> None:
    """Connect the socket that it has; a sockaddr_un."""
    name = socket.AF_UNIX.to_bytes(2, sys.byteorder) + address.encode() + b"\0"
    call(42, 203, 0, name, len(name))


def traced(pid: int) -> None:
    attach, detach = 16, 17
    call(101, 117, attach, pid)
    os.waitpid(pid, 0)
    call(101, 117, detach, pid)


def peeked(pid: int) -> None:
    """process_vm_readv(2) of no bytes: what is checked is the process."""
    call(310, 270, pid, None, 0, None, 0)


def executable(change: bool) -> None:
    protection = mmap.PROT_READ if change else mmap.PROT_READ | mmap.PROT_EXEC
    LIBC.mmap.restype = ctypes.c_void_p
    address = LIBC.mmap(None, 4096, ctypes.c_int(protection), 0x22, -1, ctypes.c_long(0))
    if address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "")
    if change:
        call(10, 226, address, 4096, 5)


def raised_limit() -> None:
    """Of memory, back to what the start allowed: prlimit(2), whose EPERM Python translates."""
    call(302, 261, 0, resource.RLIMIT_AS, bytes([255] * 16))


def stolen(pid: int) -> None:
    os.close(call(438, 438, call(434, 434, pid), 1))


ATTACKS: dict[str, Attack] = {
    "read the keys in an environment": lambda at: opened(f"/proc/{at['pid']}/environ", 0),
    "read another's memory": lambda at: opened(f"/proc/{at['pid']}/mem", 0),
    "write another's memory": lambda at: opened(f"/proc/{at['pid']}/mem", 1),
    "read its parent's environment": lambda _: opened(f"/proc/{os.getppid()}/environ", 0),
    "see what another has open": lambda at: os.listdir(f"/proc/{at['pid']}/fd"),
    "list processes": lambda _: os.listdir("/proc"),
    "read a file": lambda at: opened(at["file"], os.O_RDONLY),
    "look for a file": lambda at: os.stat(at["file"]),
    "write over a file": lambda at: opened(at["file"], os.O_WRONLY),
    "write code": lambda _: opened(str(child.__file__), os.O_WRONLY),
    "make a file": lambda at: opened(at["file"] + ".new", os.O_CREAT | os.O_WRONLY),
    "make a folder": lambda at: os.mkdir(at["file"] + ".folder"),
    "make a link": lambda at: os.symlink("/", at["file"] + ".link"),
    "rename a file": lambda at: os.rename(at["file"], at["file"]),
    "open to others": lambda at: os.chmod(at["file"], 0o777),
    "cut a file": lambda at: os.truncate(at["file"], 0),
    "delete a file": lambda at: os.unlink(at["file"] + ".new"),
    "open a file by openat2": lambda at: call(437, 437, -100, at["file"].encode(), bytes(24), 24),
    "open a TCP socket": lambda _: socket.socket(socket.AF_INET).close(),
    "open a UDP socket": lambda _: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close(),
    "open a Unix socket": lambda _: socket.socket(socket.AF_UNIX).close(),
    "open a netlink socket": lambda _: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    "make a pair of sockets": lambda _: paired(),
    "connect to a model": lambda at: connected(at["socket"]),
    "connect its own socket to a model": lambda at: connected_over_its_own(at["socket"]),
    "listen on its own socket": lambda _: call(50, 201, 0, 1),
    "fork": lambda _: forked(os.fork()),
    "clone": lambda _: forked(call(56, 220, signal.SIGCHLD)),
    "clone3": lambda _: call(435),
    "read a file in a thread": lambda _: threaded(
        lambda: os.close(os.open("/etc/passwd", os.O_RDONLY))
    ),
    "start a program": lambda _: os.posix_spawn("/bin/true", ["true"], {}),
    "become a program": lambda _: os.execv("/bin/true", ["true"]),
    "signal its parent": lambda _: os.kill(os.getppid(), 0),
    "signal another": lambda at: os.kill(at["pid"], 0),
    "signal a group": lambda _: os.killpg(os.getpgid(0), 0),
    "signal another's thread": lambda at: call(234, 131, at["pid"], at["pid"], 0),
    "signal by a descriptor": lambda at: call(424, 424, call(434, 434, at["pid"]), 0),
    "have its own socket signal another": lambda at: fcntl.fcntl(0, fcntl.F_SETOWN, at["pid"]),
    "trace another": lambda at: traced(at["pid"]),
    "read by process_vm_readv": lambda at: peeked(at["pid"]),
    "write by process_vm_writev": lambda at: call(311, 271, at["pid"]),
    "take a descriptor": lambda at: stolen(at["pid"]),
    "use io_uring": lambda _: os.close(call(425, 425, 1, bytes(120))),
    "use bpf": lambda _: call(321, 280),
    "use userfaultfd": lambda _: os.close(call(323, 282)),
    "watch by perf": lambda _: call(298, 241),
    "use the keyring": lambda _: call(250, 219),
    "make a file in memory": lambda _: os.close(os.memfd_create("code")),
    "share memory": lambda _: call(29, 194, 0, 4096, 0o1600),
    "map code": lambda _: executable(change=False),
    "make memory code": lambda _: executable(change=True),
    "mount": lambda _: call(165, 40, b"none", b"/mnt", b"tmpfs"),
    "enter namespaces": lambda _: call(272, 97, 0x10000000),
    "change its root": lambda _: os.chroot("/"),
    "change its folder": lambda _: os.chdir("/"),
    "become another user": lambda _: os.setresuid(65534, 65534, 65534),
    "gain capabilities": lambda _: call(126, 91),
    "raise its memory limit": lambda _: raised_limit(),
    "raise another's limit": lambda at: resource.prlimit(at["pid"], resource.RLIMIT_NOFILE),
    "raise its priority": lambda _: os.setpriority(os.PRIO_PROCESS, 0, -20),
    "make itself readable": lambda _: call(157, 167, 4, 1),
    "take its filter off": lambda _: call(157, 167, 22, 0),
    "put another filter on": lambda _: call(317, 277, 1, 0, bytes(16)),
    "load a module": lambda _: call(175, 105),
    "restart the machine": lambda _: call(169, 142),
}


def outcome(attack: Attack, at: dict[str, Any]) -> str:
    """`DONE`, or why not: the name of an error number, or of another error."""
    try:
        attack(at)
    except OSError as error:
        return errorcode.get(error.errno or 0, str(error))
    except Exception as error:
        return type(error).__name__
    return DONE


def other_calls() -> dict[str, str]:
    """What every system call answers that is not on the filter's list."""
    listed = {numbers[COLUMN] for numbers in sandbox.CALLS.values()}
    numbers = sorted(set(range(HIGHEST_CALL)) - listed - ENDING)
    return {
        str(number): outcome(lambda at: call(at["number"]), {"number": number})
        for number in numbers
    }


class TakenOver(child.Tasks):
    """Tries what a request names."""

    def answer(self, request: Head, data: bytes, fd: int | None) -> tuple[Head, Body]:
        """The outcome of each attempt."""
        task, at = request["task"], request["with"]
        if task == "abort":
            os.abort()
        if task == "call by an x32 number":
            call(0x40000000 | 39)
        if task == "every other call":
            return {"outcomes": other_calls()}, b""
        return {"outcomes": {name: outcome(ATTACKS[name], at) for name in request["names"]}}, b""


def become(uid: int) -> None:
    """Go on as another user; 0 changes nothing."""
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def main() -> None:
    """The real process with other tasks; as a user, where one is named."""
    uid, guarded, *given = sys.argv[1:]
    become(int(uid))
    setattr(child, "Tasks", TakenOver)  # noqa: B010 - another class to mypy
    if not int(guarded):
        setattr(sandbox, "enter", lambda: "")  # noqa: B010
    child.main(*given)


if __name__ == "__main__":
    main()
