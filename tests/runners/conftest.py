"""Small models of random weights, made once per run; torch on one thread."""

import json
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from runners.settings import ModelSettings
from runners.yolo.weights import tame_ultralytics

TINY_CLIP = "tiny-clip-of-the-tests"
TINY_CLIP_CONFIG = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("IMAGE_SEARCH_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def tiny_clip(models_dir: Path) -> Path:
    """A random CLIP checkpoint as safetensors; beside it the same as .pt."""
    config = models_dir / f"{TINY_CLIP}.json"
    config.write_text(json.dumps(TINY_CLIP_CONFIG))
    open_clip.add_model_config(config)
    torch.manual_seed(0)
    weights = open_clip.create_model(TINY_CLIP).state_dict()
    torch.save(weights, models_dir / "clip.pt")
    save_file(weights, models_dir / "clip.safetensors")
    return models_dir / "clip.safetensors"


@pytest.fixture(scope="session")
def make_yolo(models_dir: Path) -> Callable[[str], Path]:
    """Random YOLO checkpoint of an architecture, by the name of its YAML in ultralytics."""
    tame_ultralytics(models_dir)
    from ultralytics import YOLO

    def make(name: str) -> Path:
        path = models_dir / f"{name}.pt"
        if not path.exists():
            torch.manual_seed(0)
            model = YOLO(f"{name}.yaml")
            if model.task == "detect":
                _make_confident(model.model)
            model.save(str(path))
        return path

    return make


def _make_confident(model: Any) -> None:
    """A fresh model answers alike everywhere and believes in nothing; give it opinions.

    Its normalisation layers learn the scale of its features, and its class scores are widened
    until some pass the usual confidence of 0.25.
    """
    norms = [layer for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    with torch.no_grad():
        model.train()(torch.rand(24, 3, 1, 1) * torch.rand(24, 3, 96, 128))
    for norm in norms:
        norm.momentum = 0.03
    head = model.model[-1]
    for branch in (head.cv3, getattr(head, "one2one_cv3", None)):
        for layers in branch or ():
            torch.nn.init.normal_(layers[-1].weight, std=0.3)
            torch.nn.init.constant_(layers[-1].bias, -3.0)


@pytest.fixture
def settings(
    tiny_clip: Path, make_yolo: Callable[[str], Path], models_dir: Path
) -> Callable[..., ModelSettings]:
    """Settings of the tiny models on the CPU, with changes."""

    def make(**changes: Any) -> ModelSettings:
        values = {
            "clip_model": TINY_CLIP,
            "clip_pretrained": str(tiny_clip),
            "yolo_weights": str(make_yolo("yolo11n")),
            "device": "cpu",
            "threads": 1,
            "runtime": "torch",
            "cache_dir": models_dir / "cache",
        }
        return ModelSettings(**{**values, **changes})

    return make


class Hostile:
    """Unpickled without care, creates a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Path]:
    """A checkpoint that runs code when unpickled; fails the test if the code ran."""
    trace, path = tmp_path / "it-ran", tmp_path / "hostile.pt"
    torch.save({"model": Hostile(trace), "state_dict": Hostile(trace)}, path)
    yield path
    assert not trace.exists()
    # The trap must work, or the assertion above says nothing.
    pickle.loads(pickle.dumps(Hostile(trace)))
    assert trace.exists()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
