"""An environment of its own for each peer, made on demand by uv, kept in the temporary folder."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

_FOLDER = Path(tempfile.gettempdir()) / "image-search-peers"
_DONE = "installed.txt"
_INSTALL_S = 900
_OURS = ("torch", "torchvision")


class PeerError(Exception):
    """A peer cannot be installed, or does not start; the message is the line that says why."""


def same_as_ours(*names: str) -> tuple[str, ...]:
    """Requirements for the versions that our own service runs with."""
    return tuple(f"{name}=={version(name)}" for name in names)


def environment(name: str, packages: Sequence[str]) -> Path:
    """The folder of programs of an environment with these packages, and with our torch.

    Raises:
        PeerError: uv is not there, or the packages cannot be had or do not go together.
    """
    wanted = "\n".join([sys.version, *packages, *same_as_ours(*_OURS)])
    folder = _FOLDER / f"{name}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    if not (folder / _DONE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        _uv("venv", "--quiet", "--python", sys.executable, str(folder))
        python = str(folder / "bin" / "python")
        _uv("pip", "install", "--quiet", "--python", python, *packages, *same_as_ours(*_OURS))
        (folder / _DONE).write_text(wanted)
    return folder / "bin"


def child_environment(added: Mapping[str, str]) -> dict[str, str]:
    """Variables for a peer's process: this one's, without what belongs to our own environment."""
    ours = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    # Nothing that runs here may ask the internet, or tell it anything.
    quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    return {**kept, **quiet, **added}


def _uv(*arguments: str) -> None:
    program = shutil.which("uv")
    if program is None:
        raise PeerError("uv is not installed")
    try:
        done = subprocess.run(
            [program, *arguments],
            env=child_environment({}),
            capture_output=True,
            text=True,
            timeout=_INSTALL_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PeerError(f"not installed within {_INSTALL_S} s") from None
    if done.returncode:
        raise PeerError(_reason(done.stderr))


def _reason(text: str) -> str:
    """The error that uv prints, in one line."""
    lines = [line.strip(" ╰─▶\N{MULTIPLICATION SIGN}├│").strip() for line in text.splitlines()]
    return " ".join(line for line in lines if line)[:300]
