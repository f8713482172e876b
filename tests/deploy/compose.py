"""The compose files, as Docker's own compose reads them: `uv run --group deploy` brings it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = PROJECT / "deploy" / "compose"
COMBINATIONS = (
    ("compose.yaml",),
    ("compose.yaml", "gpu.yaml"),
    ("compose.yaml", "apart.yaml"),
    ("models.yaml",),
    ("models.yaml", "models-gpu.yaml"),
)
"""The files of each `docker compose` line in docs/containers.md and docs/models-apart.md."""
NEEDED = {
    "IMAGE_SEARCH_CLIP_URLS": "http://10.0.0.2:3001",
    "IMAGE_SEARCH_YOLO_URLS": "http://10.0.0.2:3002",
    "IMAGE_SEARCH_MODEL_TOKEN": "0123456789abcdef",
}
"""Variables without which compose refuses the files of models apart."""
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
        [COMPOSE, *named, "config", "--format", "json"],
        env={**os.environ, **NEEDED},
        capture_output=True,
        text=True,
        check=True,
    )
    read: dict[str, Any] = json.loads(done.stdout)
    return read
