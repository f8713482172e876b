"""A worker's own process stays without torch where OpenVINO computes its model."""

import os
import subprocess
import sys
from pathlib import Path

LOADED = """
import logging, sys
logging.basicConfig(level=logging.WARNING)
from runners.clip.recipe import ClipRecipe
from runners.runtime.recipe import Request
from runners.serving.apart import load_apart
from runners.settings import ModelSettings
settings = ModelSettings()
request = Request.of(settings)
model = load_apart("clip", ClipRecipe.of(settings, request), request)
model.warm_up()
print(model.forward.runtime, "torch" in sys.modules)
"""


def loaded(cache_dir: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    own = {"MODELS": "demo", "DEVICE": "cpu", "CACHE_DIR": str(cache_dir), **settings}
    environment = {**os.environ, **{f"IMAGE_SEARCH_{name}": own[name] for name in own}}
    command = [sys.executable, "-c", LOADED]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=True
    )


def test_from_the_first_start_on(tmp_path: Path) -> None:
    for _ in range(2):
        done = loaded(tmp_path, RUNTIME="openvino")
        assert (done.stdout.split(), done.stderr) == (["openvino", "False"], "")


def test_torch_where_that_is_asked_for(tmp_path: Path) -> None:
    done = loaded(tmp_path, RUNTIME="torch")
    assert (done.stdout.split(), done.stderr) == (["torch", "True"], "")
    assert not list(tmp_path.iterdir())


def test_a_conversion_that_comes_to_nothing(tmp_path: Path) -> None:
    """It is tried once, and not again in the worker itself."""
    (tmp_path / "file").touch()
    done = loaded(tmp_path / "file", RUNTIME="auto")
    assert done.stdout.split() == ["torch", "True"]
    (line,) = done.stderr.splitlines()
    assert line.endswith("its conversion did not come to an end, or could not be kept")
