"""Kinds of pictures that people have: icons, cut-outs, phones' formats and sizes, small faults."""

from io import BytesIO

import numpy as np
import pytest
import requests
from PIL import Image

from demo.process import ServiceProcess
from tests.images import heif
from tests.images.samples import chunk, encoded, picture, png
from tests.page.files import hidden, icon

SHAPES = ("ellipse", "rectangle", "polygon")


def add(service: ServiceProcess, data: bytes, **fields: str) -> requests.Response:
    url = f"{service.url}/post_image_to_index"
    return requests.post(url, files={"image": ("name.txt", data)}, data=fields, timeout=120)


def thumbnail(
    service: ServiceProcess, id_: str
) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    data = requests.get(f"{service.url}/images/{id_}/thumbnail", timeout=60).content
    return np.asarray(Image.open(BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize(("value", "ground"), [(0, 255), (255, 0)])
def test_icons_on_nothing_are_pictures_of_their_own(
    service: ServiceProcess, value: int, ground: int
) -> None:
    ids = []
    for shape in SHAPES:
        answer = add(service, encoded(icon(shape, value), "PNG"), on_duplicate="skip").json()
        assert answer["created"], answer
        ids.append(answer["id"])
        small = thumbnail(service, answer["id"]).astype(int)
        assert abs(small[0, 0] - ground).max() < 10
        assert abs(small[40, 32] - value).max() < 10
    found = requests.post(
        f"{service.url}/search_simmilar_images",
        files={"image": ("x", encoded(icon("rectangle", value), "PNG"))},
        data={"limit": "1"},
        timeout=60,
    )
    assert found.json()["results"][0]["id"] == ids[1]


def test_what_was_erased_is_nowhere_to_be_seen(service: ServiceProcess) -> None:
    plain = hidden()
    plain.paste((255, 255, 255, 0), (0, 0), plain.getchannel("A").point(lambda alpha: 255 - alpha))
    first = add(service, encoded(hidden(), "PNG")).json()
    assert (thumbnail(service, first["id"])[:8, :20] > 245).all()
    assert add(service, encoded(plain, "PNG")).json()["duplicate_of"] == first["id"]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (heif.stored("colour"), "image/heic"),
        (heif.heif(3, 2, turn=1, brands=(b"mif1", b"mif1")), "image/heif"),
        (encoded(picture(size=(90, 60)), "TIFF", compression="tiff_lzw"), "image/tiff"),
        (
            encoded(picture(size=(91, 60)), "MPO", save_all=True, append_images=[picture()]),
            "image/jpeg",
        ),
    ],
)
def test_phones_and_scanners_formats_are_taken_and_come_back(
    service: ServiceProcess, data: bytes, kind: str
) -> None:
    answer = add(service, data)
    assert answer.status_code == 200, answer.text
    original = requests.get(f"{service.url}/images/{answer.json()['id']}/image", timeout=60)
    assert (original.content, original.headers["Content-Type"]) == (data, kind)
    drawn = requests.post(
        f"{service.url}/run_object_detection", files={"image": ("x", data)}, timeout=60
    )
    assert drawn.content.startswith(b"\xff\xd8\xff")


WHOLE = encoded(picture(size=(92, 60)), "JPEG", quality=90)
TEXT = chunk(b"tEXt", b"Title\0words")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (WHOLE[:-2], 200),
        (WHOLE[: len(WHOLE) // 2], 400),
        (png(9, 9, TEXT[:-1] + b"!"), 200),
        (png(9, 8)[:-12], 200),
        (encoded(picture(size=(93, 60)), "GIF")[:-1], 200),
    ],
)
def test_small_faults_are_taken_and_damage_is_not(
    service: ServiceProcess, data: bytes, status: int
) -> None:
    answer = add(service, data)
    assert answer.status_code == status, answer.text
    assert answer.json().get("code") == (None if status == 200 else "image_broken")


@pytest.mark.parametrize(
    ("size", "name"), [((12032, 9024), "PNG"), ((30000, 500), "JPEG"), ((500, 30000), "PNG")]
)
def test_the_largest_photographs_of_phones_are_taken(
    service: ServiceProcess, size: tuple[int, int], name: str
) -> None:
    answer = add(service, encoded(Image.new("RGB", size, "teal"), name))
    assert answer.status_code == 200, answer.text
    small = thumbnail(service, answer.json()["id"])
    assert max(small.shape) == 320
    assert abs(small.astype(int) - (0, 128, 128)).max() < 10
