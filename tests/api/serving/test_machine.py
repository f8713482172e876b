"""What the machine must have, each said in one line."""

import resource
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest

from api.serving.machine import (
    MachineError,
    check_libraries,
    check_memory,
    check_port,
    raise_descriptor_limit,
    try_to_listen,
)


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        other.listen()
        with pytest.raises(MachineError, match=f"port {port}: another program does"):
            try_to_listen("127.0.0.1", port)
    try_to_listen("127.0.0.1", port)
    try_to_listen("127.0.0.1", port)  # it let go of it


def test_the_port_is_the_one_that_serving_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr("api.serving.machine.try_to_listen", lambda *address: asked.append(address))
    check_port(open_to_others=True)
    for is_open in (True, False):
        for host, port in (("127.0.0.1", 1234), ("::1", 1), ("::", 2), (None, None)):
            with click.Context(click.Command("serve")) as context:
                context.params = {"host": host, "port": port}
                check_port(open_to_others=is_open)
    own = [("127.0.0.1", 1234), ("::1", 1)]
    assert asked[:4] == [*own, ("::", 2), ("0.0.0.0", 3000)]
    assert asked[4:] == [*own, ("127.0.0.1", 2), ("127.0.0.1", 3000)]


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(MachineError, match="no address of this machine"):
        try_to_listen(host, 0)


def test_a_port_out_of_range_is_refused() -> None:
    with pytest.raises(MachineError, match="cannot listen on port 99999"):
        try_to_listen("127.0.0.1", 99_999)


@pytest.mark.parametrize(
    ("allowed", "content", "fits"),
    [
        (None, "MemTotal:       24000000 kB\n", True),
        (8 << 30, "MemTotal:       24000000 kB\n", True),
        (512 << 20, "MemTotal:       24000000 kB\n", False),
        (9223372036854771712, "MemTotal:         524288 kB\nMemFree: 1 kB\n", False),
        (None, "nonsense", True),
        (None, "", True),
    ],
)
def test_too_little_memory_is_refused(
    tmp_path: Path, allowed: int | None, content: str, fits: bool
) -> None:
    file = tmp_path / "memory"
    file.write_text(content)
    if fits:
        check_memory(allowed, file)
    else:
        with pytest.raises(MachineError, match="512 MiB of memory"):
            check_memory(allowed, file)


def test_the_limit_of_open_files_is_raised_or_refused() -> None:
    """In a process of its own: a hard limit that was lowered stays."""
    code = (
        "import resource\n"
        "from api.serving.machine import MachineError, raise_descriptor_limit\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, 1024))\n"
        "raise_descriptor_limit(256)\n"
        "assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1024, 1024)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, 512))\n"
        "try: raise_descriptor_limit(256)\n"
        "except MachineError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "only 512 files" in done.stdout
    assert "768 are needed" in done.stdout
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    raise_descriptor_limit(1)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= before[0]


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    check_libraries()
    monkeypatch.setattr("PIL.features.check", lambda name: name != "webp")
    with pytest.raises(MachineError, match="cannot read WebP"):
        check_libraries()
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MachineError, match="opencv-python-headless"):
        check_libraries()


HIDDEN = """
import ctypes, sys
from pathlib import Path
from api.serving.machine import hide_process
print(hide_process(*map(Path, sys.argv[1:])), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""


@pytest.mark.parametrize(
    ("options", "said"), [("rw", "True 0"), ("rw,hidepid=invisible", "False 1")]
)
def test_a_process_is_hidden_where_that_does_no_harm(
    tmp_path: Path, options: str, said: str
) -> None:
    """prctl(PR_GET_DUMPABLE) says 0 then."""
    (tmp_path / "mounts").write_text(f"22 27 0:21 / /proc rw,relatime - proc proc {options}\n")
    command = [sys.executable, "-c", HIDDEN, str(tmp_path / "mounts")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.split("\n")[0] == said
