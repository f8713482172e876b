"""Processes of this user without privileges, root's own included."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a service shows it to root only")
"""Of tests that look into processes which are not dumpable."""

DROPS = os.geteuid() == 0 and shutil.which("setpriv") is not None
PREFIX = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if DROPS else []
"""Of a command, which is then without root's capabilities: a user like any other of its id."""


def interpreter(folder: Path) -> Path:
    """An executable that is Python without privileges."""
    path = folder / "python"
    path.write_text("#!/bin/sh\nexec " + " ".join([*PREFIX, sys.executable, '"$@"\n']))
    path.chmod(0o755)
    return path


def can_open(pid: int, part: str) -> bool:
    """Whether another process can open a file of /proc/PID."""
    command = [*PREFIX, "dd", f"if=/proc/{pid}/{part}", "of=/dev/null", "count=0"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0 or "Permission denied" in ran.stderr, ran.stderr
    return ran.returncode == 0
