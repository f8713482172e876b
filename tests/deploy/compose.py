"""The compose files, as Docker's own compose reads them: `uv run --group deploy` brings it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = PROJECT / "deploy" / "compose"
COMBINATIONS = (("compose.yaml",), ("compose.yaml", "gpu.yaml"))
"""The files of each `docker compose` line in docs/containers.md."""
COMPOSE = next(
    (
        str(path)
        for path in (Path(sys.executable).with_name("docker-compose"), "docker-compose")
        if shutil.which(path)
    ),
    "",
)


def config(*files: str) -> dict[str, Any]:
    """What compose makes of files, each path and port written out.

    Raises:
        subprocess.CalledProcessError: it refuses them; `stderr` says why.
    """
    named = [part for file in files for part in ("-f", str(FOLDER / file))]
    done = subprocess.run(
        [COMPOSE, *named, "config", "--format", "json"], capture_output=True, text=True, check=True
    )
    read: dict[str, Any] = json.loads(done.stdout)
    return read
