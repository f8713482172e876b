"""Fixtures: the real service on loopback, and a real file server with pictures for it."""

import fcntl
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from demo.process import PROJECT, ServiceProcess
from demo.scenes.scenes import Scene, draw_scene
from demo.scenes.seeds import SHOW_SEEDS
from demo.server import PictureServer

Post = Callable[[str, Any], requests.Response]
SCENES = 24

APART = "TESTS_APART"
"""Variable with the models' addresses and the API's interpreter: `tests.serve.apart`."""

OWN_MODELS = 0 if APART in os.environ else 2
"""Model processes that a service starts."""

own_models = pytest.mark.skipif(APART in os.environ, reason="about models beside the API")
"""Of tests that look into model processes which the service has started, or hurt them."""


@functools.cache
def converted_models() -> Path:
    """Cache folder with the demo models as converted from this code, made once for all runs.

    A service that finds them starts with two thirds of the processor time, as it leaves torch out.
    """
    sources = [*sorted((PROJECT / "runners").rglob("*.py")), PROJECT / "uv.lock"]
    sources += sorted((PROJECT / "demo" / "weights").iterdir())
    parts = (source.read_bytes() for source in sources if source.is_file())
    digest = hashlib.sha256(b"".join(parts)).hexdigest()[:16]
    every = PROJECT / ".pytest_cache" / "converted"
    every.mkdir(parents=True, exist_ok=True)
    folder, done = every / digest, every / digest / "done"
    with (every / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            for old in every.glob("*/"):
                shutil.rmtree(old)
            settings = {"IMAGE_SEARCH_MODELS": "demo", "IMAGE_SEARCH_CACHE_DIR": str(folder)}
            command = [str(Path(sys.executable).with_name("image-search")), "convert"]
            subprocess.run(command, env={**os.environ, **settings}, check=True, timeout=600)
            done.touch()
    return folder


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Settings of a service with the demo models and a table in `folder`."""
    settings = {
        "IMAGE_SEARCH_MODELS": "demo",
        "IMAGE_SEARCH_DEVICE": "cpu",
        # Not `auto`: what is faster differs from run to run with models as small as these.
        "IMAGE_SEARCH_RUNTIME": "openvino",
        "IMAGE_SEARCH_CACHE_DIR": str(converted_models()),
        "IMAGE_SEARCH_STORE_URI": str(folder / "index"),
        "IMAGE_SEARCH_ALLOW_NETWORKS": "127.0.0.1/32",
    }
    return {**settings, **_apart(folder), **more}


def _apart(folder: Path) -> dict[str, str]:
    """Settings of an API whose models are apart and which has no weights; none as a rule."""
    given: dict[str, str] = json.loads(os.environ.get(APART, "{}"))
    if not given:
        return {}
    named = {name: value for name, value in given.items() if name != "python"}
    # Of the default model, which is not here.
    nothing = {"IMAGE_SEARCH_MODELS": "pretrained", "HF_HUB_CACHE": str(folder / "no-hub")}
    nothing |= {"IMAGE_SEARCH_CACHE_DIR": str(folder / "no-cache"), "HF_HUB_OFFLINE": "1"}
    return named | nothing


def published_settings(folder: Path) -> dict[str, str]:
    """Settings of a service offline that finds a file which is no weights in place of published
    ones, of ViT-B-16/laion2b_s34b_b88k, and names no CLIP model.
    """
    cached = folder / "hub" / "models--laion--CLIP-ViT-B-16-laion2B-s34B-b88K"
    (cached / "snapshots" / "c").mkdir(parents=True)
    (cached / "snapshots" / "c" / "open_clip_model.safetensors").write_bytes(b"no weights")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("c")
    return environment(
        folder,
        IMAGE_SEARCH_MODELS="pretrained",
        IMAGE_SEARCH_YOLO_WEIGHTS=str(PROJECT / "demo" / "weights" / "yolo.pt"),
        HF_HUB_CACHE=str(folder / "hub"),
        HF_ENDPOINT="http://127.0.0.1:9",
    )


@pytest.fixture(scope="session")
def scenes() -> list[Scene]:
    """Drawn scenes; the file server has scene i as `i.jpg`."""
    return [draw_scene(seed) for seed in SHOW_SEEDS[:SCENES]]


@pytest.fixture(scope="session")
def pictures(scenes: list[Scene]) -> Iterator[PictureServer]:
    """A file server with the scenes."""
    with PictureServer() as server:
        for number, scene in enumerate(scenes):
            server.add(f"{number}.jpg", scene.picture)
        yield server


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One running service for all tests that don't hurt it."""
    folder = tmp_path_factory.mktemp("service")
    if "PYTEST_XDIST_WORKER" in os.environ:
        _count_start(tmp_path_factory.getbasetemp().parent)
    with ServiceProcess(environment(folder), folder / "log") as running:
        yield running


def _count_start(shared: Path) -> None:
    """Fail where one more process starts the service than has a group of tests that use it.

    A start takes ten seconds of two cores: tests/groups.py names the files that use it.
    """
    for group in ("service", "commands"):
        try:
            return (shared / f"started-for-{group}").touch(exist_ok=False)
        except FileExistsError:
            continue
    pytest.fail("a file uses the shared service and is in no group of tests/groups.py that does")


def poster(url: str, headers: dict[str, bytes] | None = None) -> Post:
    """A function that posts JSON to a route."""

    def post(route: str, body: Any) -> requests.Response:
        return requests.post(f"{url}/{route}", json=body, headers=headers, timeout=60)

    return post


@pytest.fixture(scope="session")
def post(service: ServiceProcess) -> Post:
    """Posts JSON to a route of the running service."""
    return poster(service.url)
