"""Parent side of one decoder process: starts it, sends it tasks, ends it at its time limit.

Decoders are written in C and read what strangers made. In a process of their own, their faults cost
one picture: a crash, an endless loop, all memory.

Code that a file brought along gets no further: its process has no settings and no keys in memory
or environment, nothing open but its socket, and a sandbox (`images.workers.sandbox`) in which it
can open, connect to, start and signal nothing. It can answer for the pictures that its process is
given from then on, and look at them; what a reply may say is checked (`images.workers.replies`).
"""

import asyncio
import json
import os
import resource
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from images.schemas import LENGTHS, MAX_HEAD_BYTES, Body, DecodeLimits, Head
from images.workers.sandbox import Sandbox

COMMAND: tuple[str, ...] = (sys.executable, "-P", "-m", "images.workers.child")
"""What a decoder process runs; its limits and its parent's id follow as arguments."""

_START_TIMEOUT_S = 60.0
_SLACK_BYTES = 48 << 20
_PAGE_BYTES = resource.getpagesize()
_PROJECT = Path(__file__).resolve().parents[2]
_PASSED_VARIABLES = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH")
_OWN_VARIABLES = {
    # One thread each: pictures are decoded beside each other.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # The memory of ordinary pictures is used again, that of large ones goes back to the system:
    # fresh pages took 4 of the 6 ms of a picture of a megapixel. Pillow's blocks have 16 MB.
    "PILLOW_BLOCKS_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(8 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 20),
    "MALLOC_ARENA_MAX": "1",
}

Bytes = NDArray[np.uint8]


class DecoderGoneError(Exception):
    """The process ended, or gave a reply that makes no sense; it cannot be used any more."""


class NotTakenError(DecoderGoneError):
    """The process had ended before it got the request, which therefore can be sent to another."""


class Decoder:
    """Starts a process at once, and talks to it, one request at a time.

    Attributes:
        sandbox: what keeps the process in; known once it is ready.
    """

    def __init__(self, limits: DecodeLimits) -> None:
        self.sandbox: Sandbox = ""
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        with theirs:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                [*COMMAND, json.dumps(asdict(limits)), str(os.getpid())],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                cwd="/",
                env=_environment(),
            )
        # Opened at once: with hidepid (proc(5)) a process that is not dumpable cannot be seen.
        self._size = Path(f"/proc/{self.pid}/statm").open("rb", buffering=0)  # noqa: SIM115

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    async def ready(self) -> None:
        """Wait until it has imported what it needs.

        Raises:
            DecoderGoneError: it ended instead.
            TimeoutError: it takes too long for anything but a machine that is stuck.
        """
        async with asyncio.timeout(_START_TIMEOUT_S):
            head, _ = await self._received(0)
        self.sandbox = head["sandbox"]

    async def ask(
        self, head: Head, body: Body, fd: int | None, most_bytes: int
    ) -> tuple[Head, Bytes]:
        """Send a request, with a descriptor that stays the caller's, and wait for its reply.

        Raises:
            NotTakenError: the process is gone already.
            DecoderGoneError: there is no reply, or it makes no sense.
        """
        text = json.dumps(head, separators=(",", ":")).encode()
        start = LENGTHS.pack(len(text), len(body)) + text
        loop = asyncio.get_running_loop()
        try:
            self._limit_memory(head["memory_bytes"] + len(body))
            # It waits for this and has read all that came before: some of it is taken at once.
            sent = socket.send_fds(self._socket, [start, body], [] if fd is None else [fd])
            for part, skipped in ((start, sent), (body, max(0, sent - len(start)))):
                if skipped < len(part):
                    await loop.sock_sendall(self._socket, memoryview(part)[skipped:])
        except (OSError, ValueError) as error:  # also of files that were closed
            raise NotTakenError(f"it took no request: {error}") from error
        return await self._received(most_bytes)

    async def end(self) -> str:
        """End the process, whatever it does, and return how it ended."""
        self._kill()
        status = await asyncio.to_thread(self._process.wait)
        return f"process {self.pid} ended with status {status}"

    def kill(self) -> None:
        """The same at once, where nobody can wait."""
        self._kill()
        self._process.wait()

    def _kill(self) -> None:
        self._process.kill()
        self._socket.close()
        self._size.close()

    def _limit_memory(self, more_bytes: int) -> None:
        """Let the process, which is idle, grow by so much, and a little: malloc fails beyond it.

        The limit is on addresses (RLIMIT_AS), the only one that Linux keeps for malloc and mmap
        alike. It is set from here, as the process cannot change its own limits.
        """
        pages = int(os.pread(self._size.fileno(), 64, 0).split()[0])
        limit = pages * _PAGE_BYTES + more_bytes + _SLACK_BYTES
        _, most = resource.prlimit(self.pid, resource.RLIMIT_AS)
        limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
        resource.prlimit(self.pid, resource.RLIMIT_AS, (limit, most))

    async def _received(self, most_bytes: int) -> tuple[Head, Bytes]:
        head_bytes, body_bytes = LENGTHS.unpack((await self._exactly(LENGTHS.size)).data)
        if head_bytes > MAX_HEAD_BYTES or body_bytes > most_bytes:
            raise DecoderGoneError(f"a reply of {head_bytes} and {body_bytes} bytes")
        received = await self._exactly(head_bytes + body_bytes)
        try:
            head = json.loads(received[:head_bytes].tobytes())
        except (ValueError, RecursionError) as error:
            raise DecoderGoneError(f"a reply that is no JSON: {error}") from error
        return head, received[head_bytes:]

    async def _exactly(self, length: int) -> Bytes:
        """Receive the next bytes, into the array that is returned."""
        received = np.empty(length, np.uint8)
        left = received.data
        while left:
            try:
                count = await asyncio.get_running_loop().sock_recv_into(self._socket, left)
            except ConnectionResetError as error:  # the request lay there unread when it ended
                raise NotTakenError("it ended before it read the request") from error
            except OSError as error:
                raise DecoderGoneError(f"its reply broke off: {error}") from error
            if count == 0:
                raise DecoderGoneError("it gave no reply")
            left = left[count:]
        return received


def _environment() -> dict[str, str]:
    """Environment with what Python needs to find its modules; no settings, and so no keys."""
    own = {name: os.environ[name] for name in _PASSED_VARIABLES if name in os.environ}
    paths = [str(_PROJECT), *filter(None, [own.get("PYTHONPATH")])]
    return {**own, **_OWN_VARIABLES, "PYTHONPATH": os.pathsep.join(paths)}
