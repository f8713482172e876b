"""Workers that end, wanted or not: a stop loses no request, a dead model comes back."""

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import requests

from demo.process import ServiceProcess
from demo.scenes.scenes import Scene
from demo.server import as_jpeg
from tests.cli.servers import CountingServer
from tests.running import environment, own_models

ROUTES = ("post_image_to_index", "search_simmilar_images", "run_object_detection")
MODELS = ("ClipEmbedder", "YoloDetector")
SLOW_S = 2.0
IN_FLIGHT = 24
ROUND = 16  # of one host, half of all downloads go on at once


@pytest.fixture(scope="module")
def slow(scenes: list[Scene]) -> Iterator[CountingServer]:
    with CountingServer(SLOW_S) as server:
        for number in range(IN_FLIGHT):
            server.files[f"{number}.jpg"] = as_jpeg(scenes[number % len(scenes)].picture)
        yield server


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service that these tests may hurt."""
    folder = tmp_path_factory.mktemp("stops")
    with ServiceProcess(environment(folder), folder / "log") as running:
        yield running


def workers(service: ServiceProcess) -> dict[str, psutil.Process]:
    """The supervisor's workers, by the name of their service."""
    assert service.process is not None
    found = {}
    for worker in psutil.Process(service.process.pid).children():
        words = worker.cmdline()
        if "--service-name" in words:
            found[words[words.index("--service-name") + 1]] = worker
    return found


def ask(service: ServiceProcess, slow: CountingServer, number: int) -> requests.Response:
    url = f"{slow.url}{number}.jpg"
    return requests.post(
        f"{service.url}/{ROUTES[number % len(ROUTES)]}", json={"url": url}, timeout=90
    )


def in_flight(service: ServiceProcess) -> float:
    """Requests that the service has taken in."""
    text = requests.get(f"{service.url}/metrics", timeout=60).text
    [value] = re.findall(r"^image_search_requests_in_flight (\S+)$", text, re.MULTILINE)
    return float(value)


def wait_until_ready(service: ServiceProcess) -> None:
    until(lambda: requests.get(f"{service.url}/readyz", timeout=60).status_code == 200)


def until(check: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not check():
        assert time.monotonic() < end
        time.sleep(0.1)


@own_models
@pytest.mark.parametrize("model", MODELS)
def test_a_dead_model_gives_clean_errors_and_comes_back(
    model: str, own: ServiceProcess, slow: CountingServer
) -> None:
    before, answered = workers(own), slow.answered
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        asked = [pool.submit(ask, own, slow, number) for number in range(IN_FLIGHT)]
        until(lambda: slow.answered - answered >= ROUND)  # the first are on their way to the models
        os.kill(before[model].pid, signal.SIGKILL)
        answers = [one.result() for one in asked]
    for answer in answers:
        assert answer.status_code == 200 or answer.json()["code"] == "model_unavailable"
    wait_until_ready(own)
    after = workers(own)
    assert after[model].pid != before[model].pid
    assert after["ImageSearch"].pid == before["ImageSearch"].pid
    assert [ask(own, slow, number).status_code for number in range(3)] == [200, 200, 200]


@own_models
def test_without_an_answering_model_it_is_not_ready(own: ServiceProcess) -> None:
    embedder = workers(own)["ClipEmbedder"]
    embedder.suspend()
    try:
        assert requests.get(f"{own.url}/readyz", timeout=60).status_code == 503
        assert requests.get(f"{own.url}/heartbeat", timeout=60).status_code == 200
    finally:
        embedder.resume()
    wait_until_ready(own)


def test_a_stop_loses_no_request(own: ServiceProcess, slow: CountingServer) -> None:
    """Last in this file: the service ends."""
    assert own.process is not None
    everyone = psutil.Process(own.process.pid).children(recursive=True)
    slow.stays = slow.answered  # none before all are taken in
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        asked = [pool.submit(ask, own, slow, number) for number in range(IN_FLIGHT)]
        until(lambda: in_flight(own) == IN_FLIGHT)
        own.process.send_signal(signal.SIGTERM)
        slow.stays = None
        answers = Counter(one.result().status_code for one in asked)
    assert answers == {200: IN_FLIGHT}
    assert own.process.wait(60) == 0
    assert not psutil.wait_procs(everyone, timeout=60)[1]
