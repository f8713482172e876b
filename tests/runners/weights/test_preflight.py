"""The check before a start: cheap for files, one line when something is missing."""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runners import preflight
from runners.errors import UnsupportedModelError, WeightsHashError
from runners.settings import ModelSettings
from runners.weights.source import CLIP_PINS, YOLO_PINS


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


@pytest.mark.parametrize("missing", ["open_clip", "ultralytics"])
def test_what_is_not_converted_needs_the_packages_that_compute_it(
    settings: Callable[..., ModelSettings], monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """As in the image for CPUs, which has no torch: published weights and files alike."""
    monkeypatch.setitem(sys.modules, missing, None)
    for changes in ({"clip_pretrained": "openai", "yolo_weights": "yolo11n.pt"}, {}):
        with pytest.raises(UnsupportedModelError, match=f"{missing} are not installed") as caught:
            preflight.ensure_weights(settings(**changes))
        assert "image-search convert" in str(caught.value)


def test_the_hash_of_a_file_is_checked(settings: Callable[..., ModelSettings]) -> None:
    preflight.ensure_weights(settings())
    with pytest.raises(WeightsHashError):
        preflight.ensure_weights(settings(yolo_sha256="1" * 64))


def test_a_downloaded_file_is_compared_with_the_official_one(
    settings: Callable[..., ModelSettings], tmp_path: Path
) -> None:
    """The settings' hash goes before; a file that is given by its path is the operator's own."""
    (tmp_path / "yolo11n.pt").write_bytes(b"not it")
    changes = {"yolo_weights": "yolo11n.pt", "cache_dir": tmp_path}
    with pytest.raises(WeightsHashError, match="the official file has 0ebbc80d4a7680d1") as caught:
        preflight.ensure_weights(settings(**changes))
    assert "IMAGE_SEARCH_YOLO_WEIGHTS=yolo11n.pt" in str(caught.value)
    own = hashlib.sha256(b"not it").hexdigest()
    preflight.ensure_weights(settings(**changes, yolo_sha256=own))
    preflight.ensure_weights(settings(yolo_weights=str(tmp_path / "yolo11n.pt")))


def test_every_pin_is_a_hash_of_something_published() -> None:
    import open_clip
    from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES

    for (architecture, tag), pin in CLIP_PINS.items():
        assert open_clip.get_pretrained_cfg(architecture, tag)["hf_hub"]
        assert re.fullmatch("[0-9a-f]{40}", pin.revision)
    assert YOLO_PINS.keys() <= GITHUB_ASSETS_NAMES
    hashes = [*YOLO_PINS.values(), *{pin.sha256 for pin in CLIP_PINS.values()}]
    assert len(set(hashes)) == len(hashes)
    assert all(re.fullmatch("[0-9a-f]{64}", each) for each in hashes)


def test_published_weights_are_looked_for_in_the_caches(
    settings: Callable[..., ModelSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr("runners.preflight.check_sha256", lambda *_: None)  # there is no file
    monkeypatch.setattr("runners.clip.weights.fetch", lambda source: asked.append(source.name))
    monkeypatch.setattr("runners.yolo.weights.fetch", lambda source, _: asked.append(source.name))
    preflight.ensure_weights(settings(clip_pretrained="openai", yolo_weights="yolo26n.pt"))
    assert asked == ["openai", "yolo26n.pt"]
