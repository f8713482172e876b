"""What was acknowledged survives the death of every process; nothing is there twice.

And what is left of a service ends with its supervisor.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import requests

from demo.process import ServiceProcess
from demo.server import PictureServer
from tests.running import SCENES, environment, poster

KEY = "a-key-with-ümlaut"
BEARER = f"Bearer {KEY}".encode()


def _add_until_killed(service: ServiceProcess, pictures: PictureServer) -> dict[str, str]:
    """Add from several clients at once, kill the service in the middle; the acknowledged ids."""
    acknowledged: dict[str, str] = {}
    enough = threading.Event()

    def add(number: int) -> None:
        url = f"{pictures.url}{number % SCENES}.jpg?{number % 90}"
        try:
            answer = requests.post(
                f"{service.url}/post_image_to_index",
                json={"url": url, "metadata": {"number": number}},
                headers={"Authorization": BEARER},
                timeout=60,
            )
        except requests.ConnectionError:
            return
        if answer.ok:
            acknowledged[url] = answer.json()["id"]
        if len(acknowledged) > 40:
            enough.set()

    with ThreadPoolExecutor(16) as pool:
        for number in range(2000):
            pool.submit(add, number)
        assert enough.wait(120)
        service.kill()
        pool.shutdown(cancel_futures=True)
    return acknowledged


def test_kill_and_restart(tmp_path: Path, pictures: PictureServer) -> None:
    settings = environment(tmp_path, IMAGE_SEARCH_API_KEYS=f"another-key-of-sixteen, {KEY}")
    service = ServiceProcess(settings, tmp_path / "log")
    service.start()
    try:
        acknowledged = _add_until_killed(service, pictures)
    finally:
        service.kill()
    with ServiceProcess(settings, tmp_path / "log") as again:
        _check_keys(again)
        _check_found(again, acknowledged)
        _check_nothing_goes_on_without_its_supervisor(again)


def _check_found(service: ServiceProcess, acknowledged: dict[str, str]) -> None:
    search = {"metadata": {"number": {"$gte": 0}}, "limit": 1000}
    found = poster(service.url, {"Authorization": BEARER})("search_simmilar_images", search)
    ids = [hit["id"] for hit in found.json()["results"]]
    for id_ in acknowledged.values():
        small = f"{service.url}/images/{id_}/thumbnail"
        answer = requests.get(small, headers={"Authorization": BEARER}, timeout=60)
        assert answer.content.startswith(b"\xff\xd8")
    assert len(ids) == len(set(ids))
    assert set(acknowledged.values()) <= set(ids)


def _check_nothing_goes_on_without_its_supervisor(service: ServiceProcess) -> None:
    assert service.process is not None
    everyone = psutil.Process(service.process.pid).children(recursive=True)
    service.process.kill()
    assert not psutil.wait_procs(everyone, timeout=60)[1]


def _check_keys(service: ServiceProcess) -> None:
    """With keys set, all but the probes are locked."""
    for path in ("heartbeat", "docs.json", "metrics", "healthz", ""):
        answer = requests.get(f"{service.url}/{path}", timeout=60)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        wrong = {"Authorization": "Bearer other-key"}
        assert requests.get(f"{service.url}/{path}", headers=wrong, timeout=60).status_code == 401
        right = {"Authorization": BEARER}
        assert requests.get(f"{service.url}/{path}", headers=right, timeout=60).status_code == 200
    assert requests.get(f"{service.url}/livez", timeout=60).status_code == 200
