"""The check before a start: one line where something is missing, and paths settled."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.preflight import _absolute_paths
from api.settings import Settings


def run(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run it as a process of its own, which fails if it imported torch."""
    code = (
        "import sys; from api.preflight import main; status = main();"
        "assert 'torch' not in sys.modules; sys.exit(status)"
    )
    wanted = {"STORE_URI": str(folder / "index"), **settings}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **{f"IMAGE_SEARCH_{name}": text for name, text in wanted.items()}},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_demo_models_are_there(tmp_path: Path) -> None:
    done = run(tmp_path, MODELS="demo")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"CLIP_PRETRAINED": "./nowhere.pt"}, "nowhere.pt"),
        ({"DEVICE": "gpu"}, "IMAGE_SEARCH_DEVICE='gpu'"),
        ({"API_KEY": "secret"}, "IMAGE_SEARCH_API_KEYS"),
    ],
)
def test_a_failure_is_one_line_and_status_1(
    tmp_path: Path, settings: dict[str, str], word: str
) -> None:
    done = run(tmp_path, **settings)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert word in done.stderr


def test_paths_are_settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.pt").write_bytes(b"weights")
    monkeypatch.setenv("IMAGE_SEARCH_CLIP_PRETRAINED", "./weights.pt")
    monkeypatch.setenv("IMAGE_SEARCH_STORE_URI", "table")
    settled = _absolute_paths(Settings.from_environment())
    assert settled["IMAGE_SEARCH_STORE_URI"] == str(tmp_path / "table")
    assert settled["IMAGE_SEARCH_CLIP_PRETRAINED"] == str(tmp_path / "weights.pt")
    assert len(settled["IMAGE_SEARCH_CLIP_SHA256"]) == 64
    monkeypatch.setenv("IMAGE_SEARCH_STORE_URI", "s3://bucket/index")
    assert "IMAGE_SEARCH_STORE_URI" not in _absolute_paths(Settings.from_environment())
