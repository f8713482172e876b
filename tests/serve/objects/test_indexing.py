"""Objects over HTTP: indexed with their image, told, and gone with it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

from demo.process import ServiceProcess
from demo.scenes.mosaics import mosaic, overlap
from demo.scenes.scenes import Scene
from demo.server import PictureServer
from tests.running import Post
from tests.serve.objects.conftest import OBJECTS_MAX


def objects_of(finding: ServiceProcess, image_id: str) -> dict[str, Any]:
    answer = requests.get(f"{finding.url}/images/{image_id}/objects", timeout=60)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def about(finding: ServiceProcess, path: str) -> dict[str, Any]:
    told: dict[str, Any] = requests.get(f"{finding.url}{path}", timeout=60).json()
    return told


@pytest.fixture(scope="module")
def added(finding: ServiceProcess, send: Post, pictures: PictureServer) -> dict[str, Any]:
    added: dict[str, Any] = send("post_image_to_index", {"url": pictures.url + "11.jpg"}).json()
    return added


def test_an_image_has_the_objects_that_the_detector_finds(
    finding: ServiceProcess,
    send: Post,
    pictures: PictureServer,
    scenes: list[Scene],
    added: dict[str, Any],
) -> None:
    shown = scenes[11].objects
    assert (added["objects"], "objects_left_out" in added) == (len(shown), False)
    told = objects_of(finding, added["id"])
    assert (told["width"], told["height"]) == scenes[11].picture.size
    assert (told["detected"], told["left_out"]) == (True, 0)
    assert [one["n"] for one in told["objects"]] == list(range(len(shown)))
    found = send("run_object_detection", {"url": pictures.url + "11.jpg", "format": "json"}).json()
    by_place = sorted(found["detections"], key=lambda one: one["xyxy"])
    for own, detection in zip(
        sorted(told["objects"], key=lambda one: one["xyxy"]), by_place, strict=True
    ):
        assert own["class_name"] == detection["class_name"]
        assert own["confidence"] == pytest.approx(detection["confidence"], abs=1e-9)
        assert own["xyxy"] == pytest.approx(detection["xyxy"], abs=0.02)


def detected_in(finding: ServiceProcess, file: bytes, **asked: str) -> list[dict[str, Any]]:
    answer = requests.post(
        f"{finding.url}/run_object_detection",
        files={"image": ("x", file)},
        data={"format": "json", **asked},
        timeout=60,
    )
    found: list[dict[str, Any]] = answer.json()["detections"]
    return found


def test_small_objects_are_found_in_parts_of_a_large_picture(finding: ServiceProcess) -> None:
    crowd = mosaic(9_600_000, across=3)

    def right(**asked: str) -> int:
        found = detected_in(finding, crowd.file, **asked)
        return sum(
            any(
                one["class_name"] == own.class_name and overlap(one["xyxy"], own.xyxy) >= 0.5
                for one in found
            )
            for own in crowd.shown
        )

    assert right() < right(tiles="4") <= right(tiles="9") == len(crowd.shown)
    drawn, again = detected_in(finding, crowd.file, tiles="0"), detected_in(finding, crowd.file)
    assert drawn == again


def test_what_was_left_out_is_told(finding: ServiceProcess, send: Post) -> None:
    file = mosaic(9_500_000, across=4).file
    answer = requests.post(
        f"{finding.url}/post_image_to_index", files={"image": ("x", file)}, timeout=60
    ).json()
    detected = detected_in(finding, file, tiles="4")
    assert answer["objects"] == OBJECTS_MAX
    assert answer["objects_left_out"] == len(detected) - OBJECTS_MAX > 0
    told = objects_of(finding, answer["id"])
    assert told["left_out"] == answer["objects_left_out"]

    def worth(one: dict[str, Any]) -> float:
        left, top, right, bottom = one["xyxy"]
        return float(one["confidence"] * (right - left) * (bottom - top))

    best = sorted(map(worth, detected), reverse=True)[:OBJECTS_MAX]
    assert [worth(one) for one in told["objects"]] == pytest.approx(best, rel=1e-2)


def test_the_index_tells_its_detector_its_objects_and_their_classes(
    finding: ServiceProcess, send: Post, pictures: PictureServer, scenes: list[Scene]
) -> None:
    with ThreadPoolExecutor(4) as pool:
        added = list(
            pool.map(
                lambda n: send(
                    "post_image_to_index", {"url": f"{pictures.url}{n}.jpg", "id": f"own-{n}"}
                ).json(),
                range(6),
            )
        )
    assert [one["objects"] for one in added] == [len(scenes[n].objects) for n in range(6)]
    images = about(finding, "/images?limit=1000")["images"]
    names = [
        one["class_name"] for each in images for one in objects_of(finding, each["id"])["objects"]
    ]
    told = about(finding, "/index")["objects"]
    assert told["detector"].startswith("sha256:")
    assert (told["images"], told["objects"]) == (len(images), len(names))
    classes = {one["class_name"]: one for one in about(finding, "/index/columns")["classes"]}
    assert {name: one["objects"] for name, one in classes.items()} == {
        name: names.count(name) for name in set(names)
    }
    counts = [one["images"] for one in about(finding, "/index/columns")["classes"]]
    assert counts == sorted(counts, reverse=True)


def test_they_stay_with_a_change_and_go_with_their_image(
    finding: ServiceProcess, send: Post, pictures: PictureServer
) -> None:
    plain = np.full((128, 128, 3), 250, np.uint8)
    pictures.add("plain.jpg", Image.fromarray(plain))
    own = {"id": "changing"}
    assert send("post_image_to_index", {**own, "url": pictures.url + "3.jpg"}).json()["objects"]
    before = objects_of(finding, "changing")
    image = f"{finding.url}/images/changing"
    assert requests.patch(image, json={"metadata": {"shop": "A"}}, timeout=60).status_code == 200
    assert objects_of(finding, "changing") == before
    again = send("post_image_to_index", {**own, "url": pictures.url + "plain.jpg"}).json()
    assert (again["created"], again["objects"]) == (False, 0)
    told = objects_of(finding, "changing")
    assert (told["objects"], told["detected"], told["width"]) == ([], True, 128)
    assert requests.delete(image, timeout=60).status_code == 200
    gone = requests.get(f"{image}/objects", timeout=60)
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")


def test_many_images_in_one_request_tell_theirs(send: Post, pictures: PictureServer) -> None:
    images = [{"url": f"{pictures.url}{n}.jpg"} for n in (0, 1)] + [{"url": "x"}]
    results = send("post_images_to_index", {"images": images}).json()["results"]
    assert ["objects" in one for one in results] == [True, True, False]


def test_without_the_setting_nothing_is_told(
    service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    added = post("post_image_to_index", {"url": pictures.url + "11.jpg"}).json()
    assert "objects" not in added
    refused = requests.get(f"{service.url}/images/{added['id']}/objects", timeout=60)
    assert (refused.status_code, refused.json()["code"]) == (400, "no_objects")
    assert "objects" not in about(service, "/index")
    assert "classes" not in about(service, "/index/columns")


def test_the_tables_lie_beside_each_other(finding: ServiceProcess, added: dict[str, Any]) -> None:
    assert added["id"]
    folder = Path(finding.log).parent / "index"
    assert {each.name for each in folder.glob("*.lance")} == {"images.lance", "objects.lance"}
