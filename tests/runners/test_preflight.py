"""The check before a start: cheap for files, one line when something is missing."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runners import preflight
from runners.errors import WeightsHashError
from runners.settings import ModelSettings


def run(**settings: str) -> subprocess.CompletedProcess[str]:
    """Run it as a process of its own, which fails if it imported torch."""
    code = (
        "import sys; from runners.preflight import ensure_weights;"
        "from runners.settings import ModelSettings; ensure_weights(ModelSettings());"
        "assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, **{f"IMAGE_SEARCH_{name}": v for name, v in settings.items()}}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_files_and_demo_models_are_only_looked_at(
    tiny_clip: Path, make_yolo: Callable[[str], Path]
) -> None:
    files = {"CLIP_PRETRAINED": str(tiny_clip), "YOLO_WEIGHTS": str(make_yolo("yolo11n"))}
    for settings in ({"MODELS": "demo"}, files):
        done = run(**settings)
        assert (done.returncode, done.stderr) == (0, "")


def test_the_hash_of_a_file_is_checked(settings: Callable[..., ModelSettings]) -> None:
    preflight.ensure_weights(settings())
    with pytest.raises(WeightsHashError):
        preflight.ensure_weights(settings(yolo_sha256="1" * 64))


def test_published_weights_are_looked_for_in_the_caches(
    settings: Callable[..., ModelSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr("runners.clip_weights.fetch", lambda source: asked.append(source.name))
    monkeypatch.setattr("runners.yolo_weights.fetch", lambda source, _: asked.append(source.name))
    preflight.ensure_weights(settings(clip_pretrained="openai", yolo_weights="yolo26n.pt"))
    assert asked == ["openai", "yolo26n.pt"]
