"""What a picture's EXIF tells as metadata, where that is asked for, over HTTP."""

from collections.abc import Callable
from io import BytesIO
from itertools import count
from typing import Any

import pytest
import requests
from PIL import Image

from demo.process import ServiceProcess
from demo.server import PictureServer
from image_search import Client, NotAdded
from tests.images.exif import FORMATS, camera_exif, with_exif
from tests.running import Post

TOLD = {
    "taken_at": "2024-05-01T08:00:00.250000Z",
    "camera": "NIKON D850",
    "gps.lat": -33.859833,
    "gps.lon": 151.21,
}
PLAIN = {"message", "id", "created"}
NUMBERS = count()

Host = Callable[..., str]


@pytest.fixture
def host(pictures: PictureServer) -> Host:
    """Hosts a picture with EXIF; returns its url."""

    def add(file_format: str = "JPEG", exif: Image.Exif | None = None) -> str:
        name = f"exif-{next(NUMBERS)}"
        pictures.add_file(name, with_exif(file_format, exif or camera_exif()))
        return pictures.url + name

    return add


def stored(service: ServiceProcess, id_: str) -> Any:
    return requests.get(f"{service.url}/images/{id_}", timeout=60).json()["metadata"]


def added(post: Post, **body: Any) -> dict[str, Any]:
    answer = post("post_image_to_index", body)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_format(service: ServiceProcess, post: Post, host: Host, file_format: str) -> None:
    url = host(file_format)
    answer = added(post, url=url, exif=True, metadata={"x_n": 1})
    assert answer["exif"] == TOLD
    assert stored(service, answer["id"]) == {"x_n": 1, **TOLD}
    small = requests.get(f"{service.url}/images/{answer['id']}/thumbnail", timeout=60).content
    assert Image.open(BytesIO(small)).getexif() == {}
    for silent in ({}, {"exif": False}, {"exif": None}):  # what is not asked for is not there
        again = added(post, url=url, **silent)
        assert again.keys() <= PLAIN | {"duplicate_of", "near_duplicates"}
        assert stored(service, again["id"]) is None


@pytest.mark.parametrize("how", ["form", "alone"])
def test_an_upload(service: ServiceProcess, how: str) -> None:
    url, data = f"{service.url}/post_image_to_index", with_exif("HEIF", camera_exif())
    fields = {"exif": "true", "id": f"x-{how}"}
    if how == "form":
        answer = requests.post(url, files={"image": ("a", data)}, data=fields, timeout=60)
    else:
        kind = {"Content-Type": "image/heic"}
        answer = requests.post(url, data=data, params=fields, headers=kind, timeout=60)
    assert answer.json()["exif"] == TOLD, answer.text
    assert stored(service, f"x-{how}") == TOLD


def test_what_it_tells_can_be_searched_for(post: Post, host: Host) -> None:
    id_ = added(post, url=host(), exif=True, metadata={"x_searched": True})["id"]
    for condition in (
        {"taken_at": {"$gte": "2024-05-01T08:00:00Z", "$lt": "2024-05-01T08:00:01Z"}},
        {"camera": "NIKON D850"},
        {"gps.lat": {"$lt": -33}, "gps.lon": {"$gt": 151, "$lt": 152}},
    ):
        body = {"metadata": {"x_searched": True, **condition}}
        found = post("search_similar_images", body).json()["results"]
        assert [hit["id"] for hit in found] == [id_]


@pytest.mark.parametrize(
    ("given", "brought"),
    [
        ({"camera": "mine"}, {"taken_at", "gps.lat", "gps.lon"}),
        ({"camera": None, "taken_at": "1999-01-01T00:00:00Z"}, {"gps.lat", "gps.lon"}),
        ({"gps.lat": 1.5}, {"taken_at", "camera"}),
        ({"gps.lon": None}, {"taken_at", "camera"}),
        ({"gps": None}, {"taken_at", "camera"}),
        ({"gps": None, "camera": None, "taken_at": None}, set()),
    ],
)
def test_what_the_caller_gives_wins(
    service: ServiceProcess, post: Post, host: Host, given: dict[str, Any], brought: set[str]
) -> None:
    answer = added(post, url=host(), metadata=given, exif=True)
    assert answer["exif"].keys() == brought
    own = {key: value for key, value in given.items() if value is not None}
    assert (stored(service, answer["id"]) or {}) == {**own, **{key: TOLD[key] for key in brought}}


def test_a_picture_that_tells_nothing(
    service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    answer = added(post, url=pictures.url + "11.jpg?exif", exif=True)
    assert answer["exif"] == {}
    assert stored(service, answer["id"]) is None


def test_a_text_stays_beside_the_keys(
    service: ServiceProcess, post: Post, host: Host, pictures: PictureServer
) -> None:
    answer = added(post, url=host(), metadata="xyloglyphs", exif=True)
    assert stored(service, answer["id"]) == {"$text": "xyloglyphs", **TOLD}
    found = post("search_similar_images", {"metadata": "xyloglyphs", "limit": 1}).json()["results"]
    assert [hit["id"] for hit in found] == [answer["id"]]
    silent = added(post, url=pictures.url + "12.jpg?exif", metadata="a text", exif=True)
    assert stored(service, silent["id"]) == "a text"


def test_a_nested_object_is_the_same_keys(service: ServiceProcess, post: Post, host: Host) -> None:
    answer = added(post, url=host(), metadata={"gps": {"alt": 5}, "camera": {"x_n": 1}}, exif=True)
    assert answer["exif"] == {"taken_at": TOLD["taken_at"]}
    assert stored(service, answer["id"]) == {
        "gps": {"alt": 5},
        "camera": {"x_n": 1},
        "taken_at": TOLD["taken_at"],
    }


def test_a_picture_that_is_skipped_adds_nothing(post: Post, host: Host) -> None:
    exif = camera_exif(orientation=2)
    first, again = host("PNG", exif), host("PNG", exif)
    added(post, url=first)
    answer = added(post, url=again, exif=True, on_duplicate="skip")
    assert answer["skipped"] is True
    assert "exif" not in answer


def test_many_at_once(service: ServiceProcess, post: Post, host: Host) -> None:
    images = [
        {"url": host(), "metadata": {"x_many": 1}},
        {"url": host(), "exif": False},
        {"url": host(), "exif": None, "metadata": {"camera": "mine"}},
        {"url": host(), "metadata": "a text", "exif": False},
        {"url": host(), "exif": 1},
    ]
    results = post("post_images_to_index", {"images": images, "exif": True}).json()["results"]
    told = [one.get("exif") for one in results]
    own = {key: value for key, value in TOLD.items() if key != "camera"}
    assert told == [TOLD, None, own, None, None]
    assert [one.get("code") for one in results] == [None] * 4 + ["bad_request"]
    assert stored(service, results[0]["id"]) == {"x_many": 1, **TOLD}
    plain = post("post_images_to_index", {"images": images[:1]}).json()["results"]
    assert "exif" not in plain[0]


def test_the_limits_of_metadata_are_those_of_all_of_it(
    service: ServiceProcess, post: Post, host: Host
) -> None:
    url = host()
    nearly = {"x_long": "x" * (65_536 - len("x_long"))}
    assert post("post_image_to_index", {"url": url, "metadata": nearly}).status_code == 200
    too_long = post("post_image_to_index", {"url": url, "metadata": nearly, "exif": True})
    assert (too_long.status_code, too_long.json()["code"]) == (400, "metadata_limit")
    assert "at most 65536" in too_long.json()["message"]
    for key in ("taken_at", "camera", "gps.lat", "gps.lon"):
        requests.delete(f"{service.url}/index/columns/{key}", timeout=60)
    keys = {f"x_new{number}": 1 for number in range(30)}
    body = {"url": url, "metadata": keys, "exif": True}
    too_many = post("post_image_to_index", body)
    assert (too_many.status_code, too_many.json()["code"]) == (400, "metadata_limit")
    assert "at most 32 new metadata keys, and this one has 34" in too_many.json()["message"]
    columns = requests.get(f"{service.url}/index", timeout=60).json()["columns"]
    assert not {*keys, *TOLD} & columns.keys()


def test_a_key_of_another_type_is_told_by_its_name(
    service: ServiceProcess, post: Post, host: Host
) -> None:
    requests.delete(f"{service.url}/index/columns/camera", timeout=60)
    added(post, url=host(), id="x-typed", metadata={"camera": True})
    answer = post("post_image_to_index", {"url": host(), "exif": True})
    assert (answer.status_code, "'camera'" in answer.json()["message"]) == (400, True)
    requests.delete(f"{service.url}/index/columns/camera", timeout=60)


def test_hostile_exif_breaks_nothing(service: ServiceProcess, post: Post, host: Host) -> None:
    exif = camera_exif(model="x" * 60_000)
    exif[0x010E] = b"\xff" * 1000
    answer = added(post, url=host("JPEG", exif), exif=True)
    assert answer["exif"].keys() == {"taken_at", "gps.lat", "gps.lon"}


def test_the_client(service: ServiceProcess, host: Host) -> None:
    with Client(service.url) as client:
        assert client.add(host(), exif=True).exif == TOLD
        assert client.add(host()).exif is None
        assert client.add(image=with_exif("AVIF", camera_exif()), exif=True).exif == TOLD
        one, other = client.add_many([host(), {"url": host(), "exif": False}], exif=True)
        assert not isinstance(one, NotAdded)
        assert not isinstance(other, NotAdded)
        assert (one.exif, other.exif) == (TOLD, None)
