"""The real service on a disk that fills up, becomes read-only, or loses files."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from demo.process import ServiceProcess
from demo.server import PictureServer
from tests.disks import Disk, small_disk
from tests.running import Post, environment, poster


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    with small_disk(tmp_path_factory.mktemp("faults") / "disk", 24) as disk:
        yield disk


@pytest.fixture(scope="module")
def service(disk: Disk) -> Iterator[ServiceProcess]:
    """The table, BentoML's own files and the log: all on the small disk."""
    with ServiceProcess(environment(disk.path), disk.path / "log") as running:
        yield running


@pytest.fixture(scope="module")
def post(service: ServiceProcess) -> Post:
    return poster(service.url)


def _workers(service: ServiceProcess) -> set[int]:
    assert service.process is not None
    children = psutil.Process(service.process.pid).children(recursive=True)
    return {child.pid for child in children if child.cmdline()}


def _add(post: Post, pictures: PictureServer, name: str) -> requests.Response:
    return post("post_image_to_index", {"url": f"{pictures.url}0.jpg?{name}", "metadata": name})


def _all_ids(service: ServiceProcess) -> set[str]:
    answer = requests.get(f"{service.url}/images?limit=1000", timeout=60)
    assert answer.status_code == 200, answer.text
    return {image["id"] for image in answer.json()["images"]}


def _goes_on(service: ServiceProcess, post: Post, pictures: PictureServer, ids: set[str]) -> None:
    """Everything but writing."""
    assert requests.get(f"{service.url}/heartbeat", timeout=60).json() == {
        "message": "Api is running"
    }
    assert requests.get(f"{service.url}/readyz", timeout=60).status_code == 200
    assert requests.get(f"{service.url}/metrics", timeout=60).status_code == 200
    assert _all_ids(service) == ids
    found = post("search_simmilar_images", {"url": pictures.url + "0.jpg", "limit": 1000}).json()
    assert {hit["id"] for hit in found["results"]} == ids
    detected = post("run_object_detection", {"url": pictures.url + "1.jpg"})
    assert detected.headers["Content-Type"] == "image/jpg"


def _refused(answer: requests.Response, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    message = answer.json()["message"]
    assert "\n" not in message
    assert "disk" in message


def test_a_full_disk(
    disk: Disk, service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    before = _workers(service)
    ids = {_add(post, pictures, f"before{n}").json()["id"] for n in range(3)}
    disk.fill()
    for n in range(20):
        _refused(_add(post, pictures, f"full{n}"), "disk_full")
    many = {"images": [{"url": f"{pictures.url}{n}.jpg"} for n in range(3)]}
    results = post("post_images_to_index", many).json()["results"]
    assert [result["code"] for result in results] == ["disk_full"] * 3
    for path in ("no/such/path", "images/0", "index"):  # numbers that were not counted before
        requests.get(f"{service.url}/{path}", timeout=60)
    _goes_on(service, post, pictures, ids)
    deleted = post("delete_images", {"ids": [min(ids)]})  # tried: there may be room for that
    if deleted.status_code == 200:
        ids -= {min(ids)}
    disk.make_room()
    ids.add(_add(post, pictures, "after").json()["id"])
    _goes_on(service, post, pictures, ids)
    assert _workers(service) == before


def test_a_read_only_disk(
    disk: Disk, service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    ids = _all_ids(service)
    store = disk.path / "index" / "images.lance" / "_versions"
    # The log keeps the disk busy, so it is the folder that takes no more: root is not asked for
    # rights, but nobody can write to an immutable folder.
    if not _set_immutable(store, "+i"):
        pytest.skip("this file system has no immutable folders")
    try:
        _refused(_add(post, pictures, "read-only"), "disk_read_only")
        _goes_on(service, post, pictures, ids)
    finally:
        _set_immutable(store, "-i")
    ids.add(_add(post, pictures, "writable").json()["id"])
    _goes_on(service, post, pictures, ids)


def _set_immutable(folder: Path, how: str) -> bool:
    done = subprocess.run(["chattr", how, str(folder)], check=False, capture_output=True)
    return done.returncode == 0


def test_a_lost_folder_is_said_and_can_be_put_back(
    disk: Disk, service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    ids = _all_ids(service)
    table, away = disk.path / "index" / "images.lance", disk.path / "away"
    shutil.move(table, away)
    answers = [
        _add(post, pictures, "lost"),
        post("search_simmilar_images", {"url": pictures.url + "0.jpg"}),
        requests.get(f"{service.url}/images", timeout=60),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (400, "index_damaged")
        assert str(disk.path) not in answer.text
    assert requests.get(f"{service.url}/heartbeat", timeout=60).status_code == 200
    assert not table.exists() or not any(table.rglob("*.manifest"))
    shutil.rmtree(table, ignore_errors=True)
    shutil.move(away, table)
    time.sleep(0.1)
    _goes_on(service, post, pictures, ids)
