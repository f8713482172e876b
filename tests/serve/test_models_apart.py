"""The models on ports of their own, as on other hosts: two of CLIP's, one of YOLO's and an API."""

import contextlib
import os
import pickle
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import requests

from demo.process import PROJECT, ServiceProcess, free_port
from demo.server import PictureServer
from tests.running import environment, own_models, poster
from tests.serve.metrics import until

pytestmark = own_models
"""They start models apart themselves."""

TOKEN = "a-token-of-these-tests"
_LOGGED_S = 60
PICKLE = "application/vnd.bentoml+pickle"


class Apart(NamedTuple):
    """The processes: CLIP twice, YOLO, and the API that calls them."""

    clips: list[ServiceProcess]
    yolo: ServiceProcess
    api: ServiceProcess

    @property
    def all(self) -> list[ServiceProcess]:
        return [*self.clips, self.yolo, self.api]


def model(name: str, folder: Path, port: int = 0, **more: str) -> ServiceProcess:
    settings = {"IMAGE_SEARCH_MODEL_TOKEN": TOKEN, "IMAGE_SEARCH_THREADS": "1", **more}
    folder.mkdir(exist_ok=True)
    return ServiceProcess(
        environment(folder, **settings),
        folder / "log",
        port=port,
        target=f"service:{name}",
        cwd=PROJECT,
    )


def urls(*services: ServiceProcess) -> str:
    return ", ".join(one.url for one in services)


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    folder = tmp_path_factory.mktemp("apart")
    clips = [model("ClipEmbedder", folder / name) for name in ("clip1", "clip2")]
    yolo = model("YoloDetector", folder / "yolo")
    (folder / "api").mkdir()
    settings = environment(
        folder / "api",
        IMAGE_SEARCH_MODEL_TOKEN=TOKEN,
        IMAGE_SEARCH_CLIP_URLS=urls(*clips),
        IMAGE_SEARCH_YOLO_URLS=yolo.url,
        # None of these is there: no weights, and nothing that was converted.
        IMAGE_SEARCH_MODELS="pretrained",
        IMAGE_SEARCH_CACHE_DIR=str(folder / "no-cache"),
        HF_HUB_CACHE=str(folder / "no-hub"),
        HF_ENDPOINT="http://127.0.0.1:9",
    )
    api = ServiceProcess(settings, folder / "api" / "log")
    with contextlib.ExitStack() as stack:
        starting = [threading.Thread(target=one.start) for one in (*clips, yolo)]
        for one in (*clips, yolo, api):
            stack.callback(one.stop)
        for thread in starting:
            thread.start()
        for thread in starting:
            thread.join()
        api.start()
        yield Apart(clips, yolo, api)


def listening(service: ServiceProcess) -> set[int]:
    """TCP ports that the processes of a service listen on."""
    assert service.process is not None
    root = psutil.Process(service.process.pid)
    found = set()
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            every = process.net_connections("tcp")
            found |= {one.laddr.port for one in every if one.status == psutil.CONN_LISTEN}
    return found


def test_it_works_as_with_its_own_models(apart: Apart, pictures: PictureServer) -> None:
    post = poster(apart.api.url, {"X-Request-ID": b"of-the-add"})
    for number in range(4):
        added = post("post_image_to_index", {"url": f"{pictures.url}/{number}.jpg"})
        assert added.status_code == 200, added.text
    found = post("search_similar_images", {"url": f"{pictures.url}/2.jpg"}).json()["results"]
    assert found[0]["url"] == f"{pictures.url}/2.jpg"
    assert found[0]["score"] > 0.999
    assert post("search_similar_images", {"text": "a red star"}).json()["results"]
    detected = post("run_object_detection", {"url": f"{pictures.url}/1.jpg", "format": "json"})
    assert detected.json()["detections"]
    # A line is written once its request is answered.
    assert until(lambda: "of-the-add" in apart.yolo.log.read_text(), _LOGGED_S)
    assert until(lambda: any("of-the-add" in one.log.read_text() for one in apart.clips), _LOGGED_S)


def test_no_port_takes_a_pickle_or_goes_without_a_key(apart: Apart, tmp_path: Path) -> None:
    trap = tmp_path / "ran"

    class Harm:
        def __reduce__(self) -> Any:
            return Path.touch, (trap,)

    body = pickle.dumps({"texts": Harm()})
    for service in apart.all:
        ports = listening(service)
        assert ports == {service.port}
        paths = ("encode_texts", "encode_images", "detect", "describe", "metrics", "")
        for path in (*paths, "search_similar_images"):
            url = f"http://127.0.0.1:{service.port}/{path}"
            for token in ({}, {"Authorization": f"Bearer {TOKEN}"}):
                headers = {"Content-Type": PICKLE, **token}
                status = requests.post(url, data=body, headers=headers, timeout=30).status_code
                is_nowhere = service is apart.api and path in paths
                assert status in ({404, 405, 415} if is_nowhere else {415})
            if service is not apart.api:
                tensors = {"Content-Type": "application/vnd.image-search.tensors"}
                if path == "describe":
                    tensors = {"Content-Type": "application/json"}
                for wrong in ({}, {"Authorization": "Bearer another-token-than-it"}):
                    refused = requests.post(url, data=b"", headers=tensors | wrong, timeout=30)
                    assert refused.status_code == 401
    assert not trap.exists()


def test_the_token_is_in_no_log(apart: Apart) -> None:
    assert not any(TOKEN in one.log.read_text() for one in apart.all)


def test_one_of_two_killed_under_load_fails_no_request(
    apart: Apart, pictures: PictureServer
) -> None:
    statuses: Counter[int] = Counter()
    over = threading.Event()

    def client(number: int) -> None:
        with requests.Session() as session:
            sent = 0
            while not over.is_set() or sent < 5:
                text = f"a star {number} {sent}"
                answer = session.post(
                    f"{apart.api.url}/search_similar_images", json={"text": text}, timeout=60
                )
                statuses[answer.status_code] += 1
                sent += 1

    clients = [threading.Thread(target=client, args=(number,)) for number in range(6)]
    for one in clients:
        one.start()

    def answered(more: int) -> None:
        before = statuses[200]
        # One that is answered otherwise ends it too, and is told below.
        assert until(lambda: statuses[200] >= before + more or max(statuses, default=0) > 200)

    try:
        answered(100)
        apart.clips[0].kill()
        answered(100)
        apart.clips[0].start()
        answered(50)
    finally:
        over.set()
        for one in clients:
            one.join()
    assert set(statuses) == {200}
    assert requests.get(f"{apart.api.url}/readyz", timeout=30).status_code == 200


def _refused(target: str, settings: dict[str, str]) -> str:
    command = [sys.executable, "-m", "bentoml", "serve", target, "--port", str(free_port())]
    ended = subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, "BENTOML_DO_NOT_TRACK": "True", **settings},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode != 0
    [line] = [one for one in ended.stderr.splitlines() if "cannot start" in one]
    assert "Traceback" not in ended.stderr
    return line


def test_without_a_token_no_model_is_served(tmp_path: Path) -> None:
    assert "IMAGE_SEARCH_MODEL_TOKEN" in _refused("service:ClipEmbedder", environment(tmp_path))
