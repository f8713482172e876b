"""Conversions of the tiny CLIP, in a cache of each test's own."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runners.clip import convert
from runners.clip.recipe import load_clip
from runners.runtime import graph
from runners.settings import ModelSettings

Settings = Callable[..., ModelSettings]
Make = Callable[..., ModelSettings]


@pytest.fixture
def ours(settings: Settings, tmp_path: Path) -> Make:
    """Settings of the tiny models by OpenVINO, with a cache of the test's own."""

    def make(**changes: Any) -> ModelSettings:
        own = {"runtime": "openvino", "precision": "fp32", "cache_dir": tmp_path / "cache"}
        return settings(**{**own, **changes})

    return make


@pytest.fixture(scope="module")
def first_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("first") / "cache"


@pytest.fixture
def converted(ours: Make, first_cache: Path, tmp_path: Path) -> Path:
    """Folder of a conversion of the tiny CLIP in the test's cache, which was made once for all."""
    if not first_cache.exists():
        load_clip(ours(cache_dir=first_cache))
    shutil.copytree(first_cache, tmp_path / "cache")
    (folder,) = tmp_path.glob("cache/openvino/*/graphs")
    return folder


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One entry for each graph that is made of a torch module."""
    made: list[object] = []
    original = graph.convert

    def watched(*arguments: Any) -> Any:
        made.append(arguments[0])
        return original(*arguments)

    monkeypatch.setattr(convert, "convert", watched)
    return made
