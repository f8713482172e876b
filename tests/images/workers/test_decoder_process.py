"""A decoder process among others: what it has of its parent, and when it ends."""

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from images.workers.decoders import Decoders
from tests.images.workers.decoder_processes import clip, descriptors, pids, run
from tests.unprivileged import needs_root

PROJECT = Path(__file__).resolve().parents[3]


@needs_root
def test_a_process_holds_nothing_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(decoders: Decoders) -> None:
        (pid,) = pids(decoders)
        process = psutil.Process(pid)
        assert "IMAGE_SEARCH" not in " ".join(process.environ())
        assert "hunter2" not in str(process.environ())
        assert descriptors(pid) == {"0", "1", "2"}
        assert not process.net_connections("inet")
        assert process.nice() == os.nice(0) + 2
        assert process.rlimit(resource.RLIMIT_CORE) == (0, 0)
        loaded = " ".join(each.path for each in process.memory_maps())
        assert "_imaging" in loaded
        for heavy in ("torch", "lance", "arrow", "pydantic", "_ssl"):
            assert heavy not in loaded

    monkeypatch.setenv("IMAGE_SEARCH_API_KEYS", "hunter2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    with socket.create_server(("127.0.0.1", 0)), Path(__file__).open() as file:
        os.set_inheritable(file.fileno(), True)
        run(test)


PARENT = """
import asyncio, sys
from images.workers.decoders import Decoders
from images.settings import DecodeSettings

async def main():
    decoders = Decoders(DecodeSettings().limits, 2, 60)
    await decoders.ready()
    print(*(one.pid for one in decoders._all), flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_no_process_outlives_its_parent() -> None:
    """One of them hangs, so that it cannot notice by itself."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    assert len(children) == 2
    os.kill(children[0].pid, signal.SIGSTOP)
    parent.kill()
    parent.communicate()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]


def test_a_signal_to_the_whole_group_does_not_end_it() -> None:
    """It is needed until its parent has answered what it works on."""

    async def test(decoders: Decoders) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(pids(decoders)[0], number)
        time.sleep(0.1)  # noqa: ASYNC251
        assert await clip(decoders)
        assert not decoders.restarts

    run(test)
