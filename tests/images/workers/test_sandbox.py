"""A decoder that was taken over: as root and as a user, it reaches nothing of the system."""

import asyncio
import json
import os
import platform
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from images.decode.decode import decode_pixels, open_header
from images.decode.draw import draw_boxes, encode_jpeg
from images.decode.prepare import pixel_digest, thumbnail
from images.errors import ImageError
from images.schemas import Head, LabelledBox, SharedPicture
from images.workers import process, sandbox
from images.workers.decoders import Decoders
from images.workers.process import Decoder, DecoderGoneError
from tests.images.samples import all_files
from tests.images.workers.decoder_processes import (
    CLIP,
    LETTERBOX,
    LIMITS,
    MEMORY_BYTES,
    pids,
    run,
)
from tests.images.workers.taken_over import ATTACKS, DONE, become

NOBODY = 65534
THUMBNAIL = replace(CLIP, thumbnail_side=64)
SECRET = "hunter2-hunter2-hunter2"
REFUSED = {"EPERM", "ENOSYS"}
"""Also what the C library makes of it (clone3)."""

WORKING = [
    "read the keys in an environment",
    "see what another has open",
    "list processes",
    "read a file",
    "look for a file",
    "write over a file",
    "make a file",
    "make a link",
    "open to others",
    "delete a file",
    "open a TCP socket",
    "open a UDP socket",
    "connect to a model",
    "fork",
    "read a file in a thread",
    "start a program",
    "signal another",
    "have its own socket signal another",
    "make a file in memory",
    "map code",
    "make memory code",
    "change its folder",
    "raise another's limit",
    "make itself readable",
]
"""What an ordinary process may do to another of its user, wherever the tests run."""

pytestmark = pytest.mark.skipif(
    platform.machine() not in sandbox.ARCHITECTURES, reason="no filter for this processor"
)
users = pytest.mark.parametrize(
    "uid",
    [
        pytest.param(0, id="its own user"),
        pytest.param(
            NOBODY,
            id="an ordinary user",
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another"),
        ),
    ],
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter and change; those of pytest are its user's own."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.fixture
def model_socket(folder: Path) -> Iterator[Path]:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "model.sock"))
        listening.listen()
        (folder / "model.sock").chmod(0o777)
        yield folder / "model.sock"


def victim(uid: int) -> "subprocess.Popen[bytes]":
    """Another process of that user, with keys in its environment."""
    keys = {"IMAGE_SEARCH_API_KEYS": SECRET}
    own: dict[str, Any] = {"user": uid, "group": uid, "extra_groups": []} if uid else {}
    return subprocess.Popen(["/bin/sleep", "600"], env=keys, cwd="/", **own)


Answer = tuple[dict[str, str], str]
"""What became of attempts, and how the process ended."""


def ask(uid: int, guarded: bool, task: str, at: dict[str, Any], names: Iterable[str]) -> Answer:
    """Have a decoder's process try something; its parent is of the same user."""
    head = {"task": task, "memory_bytes": MEMORY_BYTES, "with": at, "names": list(names)}

    async def asked(decoder: Decoder) -> Answer:
        reply: Head = {}
        try:
            await decoder.ready()
            assert decoder.sandbox == ("seccomp" if guarded else "")
            with suppress(DecoderGoneError):
                reply, _ = await decoder.ask(head, b"", None, 0)
        finally:
            ended = await decoder.end()
        return reply.get("outcomes", {}), ended

    def answer() -> Answer:
        # The interpreter and its modules may be where only root can read them.
        asyncio.run(asyncio.to_thread(int))
        decoder = Decoder(LIMITS)
        become(uid)
        return asyncio.run(asked(decoder))

    with pytest.MonkeyPatch.context() as patch:
        entry = [sys.executable, "-P", "-m", "tests.images.workers.taken_over"]
        patch.setattr(process, "COMMAND", (*entry, str(uid), str(int(guarded))))
        return in_a_fork(answer)


def in_a_fork(function: Callable[[], Answer]) -> Answer:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, json.dumps(function()).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as said:
        outcomes, ended = json.load(said)
    os.waitpid(pid, 0)
    return outcomes, ended


def attempted(
    uid: int, guarded: bool, folder: Path, model_socket: Path, names: list[str]
) -> dict[str, str]:
    (folder / "table").write_text("rows")
    (folder / "table").chmod(0o777)
    if uid:
        os.chown(folder / "table", uid, uid)
    other = victim(uid)
    try:
        at = {"pid": other.pid, "file": str(folder / "table"), "socket": str(model_socket)}
        outcomes, _ = ask(uid, guarded, "attack", at, names)
        assert other.poll() is None
        return outcomes
    finally:
        other.kill()
        other.wait()


@users
def test_code_that_took_a_decoder_over_is_refused_everything(
    uid: int, folder: Path, model_socket: Path
) -> None:
    outcomes = attempted(uid, True, folder, model_socket, list(ATTACKS))
    assert {name: was for name, was in outcomes.items() if was not in REFUSED} == {}
    assert len(outcomes) >= 60
    assert {each.name for each in folder.iterdir()} == {"table", "model.sock"}
    assert (folder / "table").read_text() == "rows"


@users
def test_the_same_works_without_the_sandbox(uid: int, folder: Path, model_socket: Path) -> None:
    outcomes = attempted(uid, False, folder, model_socket, WORKING)
    assert outcomes == dict.fromkeys(WORKING, DONE)


def test_no_call_that_is_not_listed_does_anything() -> None:
    outcomes, _ = ask(0, True, "every other call", {}, [])
    assert set(outcomes.values()) == {"EPERM"}
    assert len(outcomes) > 450


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x32 is x86-64's")
def test_a_call_by_an_x32_number_ends_the_process() -> None:
    assert ask(0, True, "call by an x32 number", {}, [])[1].endswith(f"-{signal.SIGSYS}")


def test_an_abort_of_the_c_library_is_told_as_one() -> None:
    """Its signal to itself gets through, so that the log says what it was."""
    assert ask(0, True, "abort", {}, [])[1].endswith(f"-{signal.SIGABRT}")


def test_every_format_and_script_gets_through() -> None:
    """Decoded, prepared and drawn, by one process, with the same pixels as outside of it."""

    async def test(decoders: Decoders) -> None:
        before = pids(decoders)
        for data in all_files():
            picture = decode_pixels(open_header(data, LIMITS))
            done = await decoders.clip(data, THUMBNAIL, MEMORY_BYTES)
            assert done.thumbnail == thumbnail(picture, THUMBNAIL.thumbnail_side)
            assert done.digest == pixel_digest(picture)
            with SharedPicture() as held:
                await decoders.letterbox(data, LETTERBOX, MEMORY_BYTES, held)
                boxes = [LabelledBox((2, 2, 9, 9), 0.5, 1, name) for name in SCRIPTS]
                drawn = await decoders.draw(held, boxes, 90)
            assert drawn == encode_jpeg(draw_boxes(picture, boxes), 90)
        for data in (b"", b"GIF89a", all_files()[0][:99]):
            with pytest.raises(ImageError):
                await decoders.clip(data, CLIP, MEMORY_BYTES)
        assert (pids(decoders), dict(decoders.restarts)) == (before, {})
        assert decoders.sandbox == "seccomp"
        status = Path(f"/proc/{before[0]}/status").read_text()  # noqa: ASYNC240
        assert "Seccomp:\t2\n" in status
        assert "NoNewPrivs:\t1\n" in status

    run(test)


SCRIPTS = ["person", "Übergröße", "жук", "猫", "قطة", "कुत्ता", "👩‍🚀", "\0\ud7ff\uffff"]


FALLBACK = """
import os, sys
from images.workers import child, sandbox
child.confine(os.getppid(), 1 << 20)
sandbox._install = lambda machine: False
print(sandbox.enter(), end=" ")
import socket
for attempt in (
    lambda: os.open(sys.argv[1], os.O_RDONLY),
    lambda: os.listdir("/proc"),
    lambda: os.execv("/bin/true", ["true"]),
    lambda: socket.create_connection(("127.0.0.1", 9)),
):
    try:
        attempt()
        print("done", end=" ")
    except PermissionError:
        print("refused", end=" ")
"""


def test_landlock_stands_in_where_there_is_no_seccomp(tmp_path: Path) -> None:
    (tmp_path / "table").write_text("rows")
    ran = subprocess.run(
        [sys.executable, "-c", FALLBACK, str(tmp_path / "table")],
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    if not ran.stdout.startswith("landlock"):
        assert ran.stdout.startswith(" ")
        pytest.skip("no Landlock here")
    assert ran.stdout.split()[:4] == ["landlock", "refused", "refused", "refused"]


ALLOWED, ENDED, UNKNOWN, FORBIDDEN = 0x7FFF0000, 0x80000000, 0x50000 + 38, 0x50000 + 1
PID = 4711


def judged(machine: str, architecture: int, number: int, *arguments: int) -> int:
    """What a filter returns: classic BPF, interpreted."""
    words = {0: number, 4: architecture}
    words |= {16 + 8 * n: value for n, value in enumerate([*arguments, *[0] * 6][:6])}
    program, at, value = list(sandbox.program(machine, PID)), 0, 0
    while True:
        operation, if_true, if_not, operand = program[at]
        at += 1
        if operation == 0x06:
            return operand
        if operation == 0x20:
            value = words[operand]
        elif operation == 0x54:
            value &= operand
        else:
            is_true = {0x15: value == operand, 0x35: value >= operand}[operation]
            at += if_true if is_true else if_not


@pytest.mark.parametrize("machine", sandbox.ARCHITECTURES)
def test_the_filter_of_each_processor(machine: str) -> None:
    own, column = sandbox.ARCHITECTURES[machine], list(sandbox.ARCHITECTURES).index(machine)
    numbers = {name: both[column] for name, both in sandbox.CALLS.items()}

    def of(name: str, *arguments: int) -> int:
        return judged(machine, own, numbers[name], *arguments)

    assert of("read") == of("sendmsg", 5) == of("exit_group", 1) == ALLOWED
    assert of("mmap", 0, 1, 3) == of("mprotect", 0, 1, 1) == ALLOWED
    assert of("mmap", 0, 1, 5) == of("mprotect", 0, 1, 7) == FORBIDDEN
    assert (of("tgkill", PID), of("tgkill", PID + 1)) == (ALLOWED, FORBIDDEN)
    assert (of("fcntl", 0, 1030), of("fcntl", 0, 8, 1)) == (ALLOWED, FORBIDDEN)
    assert of("clone3") == UNKNOWN
    for number in set(range(600)) - set(numbers.values()):
        assert judged(machine, own, number) == FORBIDDEN
    assert judged(machine, own, 0x40000000 | numbers["read"]) == ENDED
    for other in (0x40000003, *(set(sandbox.ARCHITECTURES.values()) - {own})):
        assert judged(machine, other, numbers["read"]) == ENDED
