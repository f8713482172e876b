"""The command convert."""

import os
import subprocess
from pathlib import Path


def run(cache_dir: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    own = {"MODELS": "demo", "DEVICE": "cpu", "CACHE_DIR": str(cache_dir), **settings}
    environment = {**os.environ, **{f"IMAGE_SEARCH_{name}": own[name] for name in own}}
    command = ["image-search", "convert"]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def test_both_models_for_both_kinds_of_machines(tmp_path: Path) -> None:
    done = run(tmp_path, PRECISION="fp32", RUNTIME="openvino")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for first, second, name in zip(lines[::2], lines[1::2], ("CLIP", "YOLO"), strict=True):
        assert first == f"{name} (IMAGE_SEARCH_MODELS=demo): computed here in fp32 by OpenVINO"
        size, _, folder = second.partition(" MB in ")
        assert int(size) > 1
        kept = {path.name for path in Path(folder).iterdir() if "verdict" not in path.name}
        assert kept == {"graphs", "limits-bf16.json", "limits-fp32.json"}


def test_settings_that_leave_nothing_to_convert(tmp_path: Path) -> None:
    for settings in ({"RUNTIME": "torch"}, {"PRECISION": "fp16"}):
        done = run(tmp_path, **settings)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith("Error: nothing is converted: ")
        assert "IMAGE_SEARCH_RUNTIME, IMAGE_SEARCH_DEVICE and IMAGE_SEARCH_PRECISION" in done.stderr


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run(tmp_path / "file")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert str(tmp_path) in line
