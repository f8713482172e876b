"""What an earlier load has left, or image-search convert, is enough for the next one."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from demo.scenes.scenes import draw_scene
from demo.scenes.seeds import HELD_OUT_SEEDS
from runners import preflight
from runners.clip.recipe import load_clip
from runners.convert import convert_all
from runners.errors import UnknownModelError
from runners.runtime import choice
from runners.runtime import conversions as conversions_module
from runners.settings import ModelSettings
from tests.runners.models import clip_of, yolo_of
from tests.runners.yolo.test_yolo_model import letterbox

Settings = Callable[..., ModelSettings]
Make = Callable[..., ModelSettings]
TEXTS = ["a red disc", "two blue squares"]


def test_what_another_version_has_made_is_made_anew(
    ours: Make, converted: Path, conversions: list[object]
) -> None:
    manifest = json.loads((converted / "manifest.json").read_text())
    assert set(manifest["versions"]) == {"openvino", "open_clip_torch"}
    manifest["versions"]["open_clip_torch"] = "3.0.0"
    (converted / "manifest.json").write_text(json.dumps(manifest))
    assert load_clip(ours()).forward.runtime == "openvino"
    assert len(conversions) == 2


def test_a_folder_that_may_not_be_written_is_used_as_it_is(
    ours: Make, converted: Path, conversions: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in an image that carries conversions, whose verdicts could not be kept."""
    before = sorted(converted.parent.iterdir())
    for verdict in converted.parent.glob("verdict-*"):
        verdict.unlink()
    with monkeypatch.context() as locked:  # root may write anywhere
        locked.setattr(conversions_module.Conversions, "is_locked", True)
        assert load_clip(ours(runtime="auto")).forward.runtime == "openvino"
    assert not conversions
    after = sorted(converted.parent.iterdir())
    assert [one for one in before if "verdict" not in one.name] == after


def test_published_weights_are_not_needed_once_they_are_converted(
    ours: Make, tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = ours(clip_pretrained="a_tag", models="pretrained", runtime="auto")
    with monkeypatch.context() as hub:
        hub.setattr("runners.clip.weights.check_published", lambda _: None)
        hub.setattr("runners.clip.weights.warn_of_wrong_activation", lambda _: None)
        hub.setattr("runners.clip.weights.fetch", lambda _: tiny_clip)
        hub.setattr("runners.clip.weights.preprocessing", lambda _: None)
        hub.setattr(choice, "is_faster", lambda *_: True)
        first = load_clip(published)
    # Nothing knows that tag now, and nothing downloads it.
    again = load_clip(published)
    assert again.info == first.info
    assert again.info.pretrained == "a_tag"
    preflight.ensure_weights(published)
    with pytest.raises(UnknownModelError):
        preflight.ensure_weights(published.model_copy(update={"clip_pretrained": "another_tag"}))


WITHOUT_TORCH = """
import sys
for name in ("torch", "torchvision", "open_clip", "ultralytics"):
    sys.modules[name] = None  # an import of it fails, as where it is not installed
from runners.clip.recipe import load_clip
from runners.errors import RunnerError
from runners.settings import ModelSettings
from runners.yolo.recipe import load_yolo
import numpy as np
settings = ModelSettings(**{settings!r})
try:
    clip, yolo = load_clip(settings), load_yolo(settings)
except RunnerError as error:
    sys.exit(str(error))
size = clip.info.image_size
clip.warm_up()
yolo.warm_up()
np.save(sys.argv[1], clip.encode_texts({texts!r}))
print(clip.forward.runtime, yolo.forward.runtime, len(yolo.detect([np.load(sys.argv[2])])[0]))
"""


def without_torch(settings: ModelSettings, *arguments: Path) -> subprocess.CompletedProcess[str]:
    values = {**settings.model_dump(), "cache_dir": str(settings.cache_dir)}
    code = WITHOUT_TORCH.format(settings=values, texts=TEXTS)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, check=False, timeout=300, capture_output=True, text=True)


def test_converted_models_need_no_torch(settings: Settings, tmp_path: Path) -> None:
    """Nor do they where a service has not yet chosen between runtimes, as on another machine."""
    shared = {"models": "demo", "precision": "fp32", "cache_dir": tmp_path / "cache"}
    exact = yolo_of(settings(models="demo", precision="fp32"))
    scene = letterbox(draw_scene(next(iter(HELD_OUT_SEEDS))).picture, exact.info)[0]
    np.save(tmp_path / "scene.npy", scene)
    files = tmp_path / "texts.npy", tmp_path / "scene.npy"

    refused = without_torch(settings(**shared, runtime="auto"), *files)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert line.startswith("IMAGE_SEARCH_MODELS=demo: torch and open_clip are not installed")
    assert line.endswith("make it with image-search convert, where they are")

    convert_all(settings(**shared, runtime="auto"))
    for verdict in tmp_path.glob("cache/openvino/*/verdict-*"):
        verdict.unlink()
    for runtime in ("auto", "openvino"):
        done = without_torch(settings(**shared, runtime=runtime), *files)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["openvino", "openvino", str(len(exact.detect([scene])[0]))]
        texts = clip_of(settings(models="demo", precision="fp32")).encode_texts(TEXTS)
        np.testing.assert_allclose(np.load(files[0]), texts, atol=1e-5)
    bf16 = without_torch(settings(**{**shared, "precision": "bf16"}, runtime="auto"), *files)
    assert bf16.returncode == 0, bf16.stderr


def test_the_saved_weights_leave_the_memory(settings: Settings, tmp_path: Path) -> None:
    clip = load_clip(settings(models="demo", runtime="openvino", cache_dir=tmp_path))

    def resident() -> int:
        """KiB of the files of graphs."""
        found, is_weights = 0, False
        for line in Path("/proc/self/smaps").read_text().splitlines():
            if "-" in line.split()[0]:
                is_weights = str(tmp_path) in line and line.endswith(".bin")
            elif is_weights and line.startswith("Rss:"):
                found += int(line.split()[1])
        return found

    before = resident()
    clip.warm_up()
    assert before > 4000
    assert resident() < before / 2
