"""A start that cannot work ends with one line that says why; a Bento serves from anywhere."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import requests

from demo.process import PROJECT, ServiceProcess, free_port
from demo.server import PictureServer
from store.index import ImageIndex
from store.schemas import ModelIdentity
from store.settings import StoreSettings
from tests.running import environment, own_models, poster, published_settings


def _failing_start(settings: dict[str, str], status: int = 1, port: int = 0) -> str:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "bentoml",
            "serve",
            str(PROJECT),
            "--host",
            "127.0.0.1",
            "--port",
            str(port or free_port()),
        ],
        env={**os.environ, "BENTOML_DO_NOT_TRACK": "True", **settings},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == status, done.stderr
    lines = [line for line in done.stderr.splitlines() if "cannot start" in line]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param({"DEVICE": "gpu"}, ["IMAGE_SEARCH_DEVICE", "cuda"], marks=own_models),
        ({"ALLOW_NETWORKS": "10.0.0.0/99"}, ["IMAGE_SEARCH_ALLOW_NETWORKS", "10.0.0.0/99"]),
        pytest.param(
            {"MODELS": "pretrained", "CLIP_PRETRAINED": "/no/such.pt"},
            ["such.pt"],
            marks=own_models,
        ),
        pytest.param(
            {"MODELS": "pretrained", "CLIP_MODEL": "ViT-B-23"},
            ["ViT-B-23", "ViT-B-32"],
            marks=own_models,
        ),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, settings: dict[str, str], said: list[str]) -> None:
    changed = {f"IMAGE_SEARCH_{name}": value for name, value in settings.items()}
    line = _failing_start({**environment(tmp_path), **changed})
    for part in said:
        assert part in line


@own_models
def test_a_tag_that_cannot_be_downloaded(tmp_path: Path) -> None:
    """No hub here: the line names what could not be had, and the two ways out."""
    line = _failing_start(
        environment(
            tmp_path,
            IMAGE_SEARCH_MODELS="pretrained",
            HF_ENDPOINT="http://127.0.0.1:9",
            HF_HOME=str(tmp_path),
        )
    )
    for part in ("laion2b_s34b_b79k", "path of a checkpoint", "IMAGE_SEARCH_MODELS=demo"):
        assert part in line


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = int(other.getsockname()[1])
        line = _failing_start(environment(tmp_path), port=port)
    assert f"cannot listen on 127.0.0.1 port {port}" in line
    assert not (tmp_path / "index").exists()


@own_models
def test_weights_of_another_architecture_end_the_service(tmp_path: Path) -> None:
    """Only a worker sees it, and BentoML would start that worker again for ever."""
    demo = PROJECT / "demo" / "weights"
    settings = environment(
        tmp_path,
        BENTOML_HOME=str(tmp_path / "bentoml"),
        IMAGE_SEARCH_MODELS="pretrained",
        IMAGE_SEARCH_CLIP_PRETRAINED=str(demo / "clip.safetensors"),
        IMAGE_SEARCH_YOLO_WEIGHTS=str(demo / "yolo.pt"),
    )
    line = _failing_start(settings, status=0)  # ended by its own SIGTERM, as by anybody's
    assert "does not hold weights of the architecture ViT-B-32" in line


@own_models
def test_without_a_name_the_models_worker_loads_the_tables_own(tmp_path: Path) -> None:
    """What is said of weights that are none names the model that the worker has tried to load."""
    settings = published_settings(tmp_path)
    identity = ModelIdentity("ViT-B-16", "laion2b_s34b_b88k", 512)

    async def make() -> None:
        index = await ImageIndex.open(StoreSettings(store_uri=str(tmp_path / "index")), identity)
        await index.close()

    asyncio.run(make())
    line = _failing_start({**settings, "BENTOML_HOME": str(tmp_path / "bentoml")}, status=0)
    assert "IMAGE_SEARCH_CLIP_PRETRAINED=laion2b_s34b_b88k" in line
    assert "weights" in line


def _listening(service: ServiceProcess) -> set[tuple[str, int]]:
    """The addresses at which any process of a service can be reached."""
    assert service.process is not None
    supervisor = psutil.Process(service.process.pid)
    return {
        (one.laddr.ip, one.laddr.port)
        for process in (supervisor, *supervisor.children(recursive=True))
        for one in process.net_connections("inet")
        if one.status == psutil.CONN_LISTEN
    }


@own_models
def test_a_bento_serves_from_an_empty_folder(tmp_path: Path, pictures: PictureServer) -> None:
    home = {"BENTOML_HOME": str(tmp_path / "bentos"), "BENTOML_DO_NOT_TRACK": "True"}
    subprocess.run(
        [sys.executable, "-m", "bentoml", "build", str(PROJECT)],
        env={**os.environ, **home},
        check=True,
        capture_output=True,
        timeout=400,
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    openvino = {"RUNTIME": "openvino", "PRECISION": "fp32", "CACHE_DIR": str(tmp_path / "cache")}
    settings = {
        **environment(tmp_path),
        **{f"IMAGE_SEARCH_{name}": value for name, value in openvino.items()},
        **home,
        "IMAGE_SEARCH_STORE_URI": "table",
    }
    log = tmp_path / "log"
    bento = ServiceProcess(settings, log, host=None, target="image_search:latest", cwd=empty)
    with bento:
        assert _listening(bento) == {("127.0.0.1", bento.port)}  # as it has no keys
        post, url = poster(bento.url), pictures.url + "0.jpg"
        assert requests.get(f"{bento.url}/heartbeat", timeout=60).ok
        assert post("post_image_to_index", {"url": url}).ok
        assert post("search_simmilar_images", {"url": url}).json()["results"][0]["url"] == url
        assert post("run_object_detection", {"url": url}).headers["Content-Type"] == "image/jpg"
    assert log.read_text().count("listening on 127.0.0.1 instead of 0.0.0.0") == 1
    assert log.read_text().count(" in fp32 by openvino") == 2  # both models are ready
    assert (empty / "table").is_dir()  # where the person stood, not inside the Bento
