"""Thumbnails, originals and the picture of a detection, over HTTP."""

import base64
import io

import pytest
import requests
from PIL import Image

from demo.process import ServiceProcess
from demo.scenes.scenes import draw_scene
from demo.server import PictureServer
from tests.running import Post

SEEDS = iter(range(9_100_000, 9_101_000))
LIMIT = 320


def drawn(width: int, height: int) -> Image.Image:
    """A picture that no other test has seen: its upper half is black, its lower half a scene."""
    picture = Image.new("RGB", (width, height))
    scene = draw_scene(next(SEEDS)).picture.resize((width, height - height // 2))
    picture.paste(scene, (0, height // 2))
    return picture


def as_file(picture: Image.Image, kind: str = "JPEG", **more: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **more)
    return file.getvalue()


def get(service: ServiceProcess, path: str, **headers: str) -> requests.Response:
    return requests.get(f"{service.url}/{path}", headers=headers, timeout=60)


def opened(answer: requests.Response) -> Image.Image:
    assert answer.status_code == 200, answer.text
    picture = Image.open(io.BytesIO(answer.content))
    picture.load()
    return picture


def upload(service: ServiceProcess, data: bytes) -> str:
    files = {"image": ("x", data)}
    answer = requests.post(f"{service.url}/post_image_to_index", files=files, timeout=60)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def add(post: Post, pictures: PictureServer, name: str, data: bytes) -> str:
    pictures.add_file(name, data)
    return str(post("post_image_to_index", {"url": pictures.url + name}).json()["id"])


@pytest.mark.parametrize(
    ("size", "expected"),
    [((640, 480), (320, 240)), ((100, 40), (100, 40)), ((90, 4000), (7, 320)), ((3, 2), (3, 2))],
)
def test_a_thumbnail_keeps_the_shape_and_is_no_larger_than_it_may(
    service: ServiceProcess, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    id_ = upload(service, as_file(drawn(*size), "PNG"))
    answer = get(service, f"images/{id_}/thumbnail")
    small = opened(answer)
    assert (small.format, small.size) == ("JPEG", expected)
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert not small.getexif()


def test_a_thumbnail_is_upright(
    service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    picture = drawn(400, 200)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    data = as_file(picture.transpose(Image.Transpose.ROTATE_90), exif=exif)
    id_ = add(post, pictures, "turned.jpg", data)
    small = opened(get(service, f"images/{id_}/thumbnail"))
    assert small.size == (320, 160)
    top, bottom = (sum(small.getpixel((160, y))) for y in (20, 140))  # type: ignore[arg-type]
    assert top < 30 < bottom


def test_a_browser_asks_once_and_keeps_what_has_not_changed(
    service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    first = drawn(500, 500)
    id_ = add(post, pictures, "changing.jpg", as_file(first))
    path = f"images/{id_}/thumbnail"
    answer = get(service, path)
    assert answer.headers["Cache-Control"].startswith("private, max-age=")
    tag = answer.headers["ETag"]
    for known in (tag, f'"x", W/{tag}', "*"):
        same = get(service, path, **{"If-None-Match": known})
        assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
    head = requests.head(f"{service.url}/{path}", timeout=60)
    assert (head.status_code, head.headers["ETag"], head.content) == (200, tag, b"")

    add(post, pictures, "changing.jpg", as_file(drawn(500, 500)))
    other = get(service, path, **{"If-None-Match": tag})
    assert (other.status_code, other.headers["ETag"] != tag) == (200, True)
    assert other.content != answer.content


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF"])
def test_an_uploaded_file_comes_back_as_it_was(service: ServiceProcess, kind: str) -> None:
    data = as_file(drawn(64, 48), kind)
    answer = get(service, f"images/{upload(service, data)}/image")
    assert (answer.content, answer.headers["Content-Type"]) == (data, f"image/{kind.lower()}")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_what_is_not_kept_is_told(
    service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    id_ = add(post, pictures, "fetched.jpg", as_file(drawn(64, 48)))
    answer = get(service, f"images/{id_}/image")
    assert (answer.status_code, answer.json()) == (
        404,
        {
            "message": "the original file of this image is not stored: fetch it from its url",
            "code": "no_file",
        },
    )
    for name in ("image", "thumbnail"):
        gone = get(service, f"images/{'0' * 32}/{name}")
        assert (gone.status_code, gone.json()["code"]) == (404, "not_found")
    requests.delete(f"{service.url}/images/{id_}", timeout=60)
    assert get(service, f"images/{id_}/thumbnail").json()["code"] == "not_found"


def test_a_detection_can_bring_the_picture(
    service: ServiceProcess, post: Post, pictures: PictureServer
) -> None:
    body = {"url": pictures.url + "1.jpg", "format": "json"}
    plain = post("run_object_detection", body).json()
    answer = post("run_object_detection", {**body, "picture": True}).json()
    head, _, data = answer.pop("picture").partition(",")
    assert (head, answer) == ("data:image/jpeg;base64", plain)
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert picture.size == (plain["width"], plain["height"])
    fetched = Image.open(io.BytesIO(requests.get(body["url"], timeout=60).content)).convert("RGB")
    levels = zip(picture.convert("L").tobytes(), fetched.convert("L").tobytes(), strict=True)
    assert max(abs(one - other) for one, other in levels) < 40  # nothing is drawn in

    refused = post("run_object_detection", {"url": body["url"], "picture": True})
    assert (refused.status_code, refused.json()["message"]) == (
        400,
        'picture goes with format "json"',
    )


def test_the_columns_say_what_filters_can_be_made_of(service: ServiceProcess) -> None:
    for shop, price in (("facet A", 1.5), ("facet B", 2.5), ("facet B", 0.5)):
        fields = {"metadata": f'{{"facet shop": "{shop}", "facet price": {price}}}'}
        files = {"image": ("x", as_file(drawn(32, 32)))}
        url = f"{service.url}/post_image_to_index"
        assert requests.post(url, files=files, data=fields, timeout=60).status_code == 200
    columns = {each["key"]: each for each in get(service, "index/columns").json()["columns"]}
    assert columns["facet shop"] == {
        "key": "facet shop",
        "type": "string",
        "count": 3,
        "values": [{"value": "facet B", "count": 2}, {"value": "facet A", "count": 1}],
        "more": False,
    }
    numbers = {"key": "facet price", "type": "float", "count": 3, "min": 0.5, "max": 2.5}
    assert columns["facet price"] == numbers
