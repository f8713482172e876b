"""Requests: streams of fresh pictures by route, and a mix of good and bad ones."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, cycle, repeat
from typing import Any, Protocol

from api.errors import ApiError
from bench.load.http import post
from bench.load.photos import PHOTOS
from images.errors import ImageError
from store.errors import StoreError

IMAGES = 500
"""URLs of the mix: added again and again, so that the table does not grow while it is measured."""
ALLOWED = "127.0.0.0/28"
"""Loopback addresses that stand for as many hosts; the file server listens on all of them."""
SLOW_HOSTS = tuple(f"127.0.0.{n}" for n in range(2, 6))
_PHOTO_HOSTS = tuple(f"127.0.0.{n}" for n in range(6, 14))
_WORDS = ("a red bus", "two people", "a street in the morning", "a man with a tie", "blue")
_ADD, _SEARCH, _DETECT = "post_image_to_index", "search_simmilar_images", "run_object_detection"
_FILTER = {"shop": "shop 3", "price": {"$lt": 60}}
ROUTES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "add": (_ADD, {}),
    "search": (_SEARCH, {}),
    "search filtered": (_SEARCH, {"metadata": _FILTER}),
    "text": (_SEARCH, {}),
    "filter": (_SEARCH, {"metadata": _FILTER}),
    "detect": (_DETECT, {}),
    "boxes": (_DETECT, {"format": "json"}),
}
"""By name: path, and fields beside the url. `boxes` is a detection without drawing."""


class Source(Protocol):
    """Requests without end, each with the name of its kind; crosses to the generator's process."""

    def requests(self) -> Iterator[tuple[str, bytes]]:
        """Kinds and whole HTTP requests."""


@dataclass(frozen=True)
class Fresh:
    """Requests of one route, each for a picture never sent before, numbered from `first`; they are
    made of these JPEG files of the file server at the URL `files`, in turn.
    """

    route: str
    files: str
    photos: tuple[str, ...]
    first: int = 0

    def requests(self) -> Iterator[tuple[str, bytes]]:
        path, fields = ROUTES[self.route]
        for number in count(self.first):
            body: dict[str, Any] = dict(fields)
            if self.route == "text":
                body["metadata"] = f"{_WORDS[number % len(_WORDS)]}, number {number}"
            elif self.route != "filter":
                photo = self.photos[number % len(self.photos)]
                body["url"] = fresh_url(self.files, photo, number)
            if self.route == "add":
                body["metadata"] = metadata_of(number)
            yield self.route, post(path, body)


@dataclass(frozen=True)
class Repeated:
    """The same requests again and again."""

    kind: str
    data: tuple[bytes, ...]

    def requests(self) -> Iterator[tuple[str, bytes]]:
        return zip(repeat(self.kind), cycle(self.data), strict=False)


@dataclass(frozen=True)
class Mixed:
    """Good requests of all kinds by their weights, and a share of bad ones; nobody listens on
    `closed_port`.
    """

    files: str
    closed_port: int
    bad_share: float = 0.0

    def kinds(self) -> list["Kind"]:
        return [*good(self.files), *bad(self.files, self.closed_port)]

    def requests(self) -> Iterator[tuple[str, bytes]]:
        kinds = self.kinds()
        bad_weight = sum(kind.weight for kind in kinds if kind.codes)
        good_weight = sum(kind.weight for kind in kinds) - bad_weight
        of_bad, of_good = self.bad_share / bad_weight, (1 - self.bad_share) / good_weight
        shares = [kind.weight * (of_bad if kind.codes else of_good) for kind in kinds]
        turns = {kind.name: cycle(kind.requests) for kind in kinds}
        drawn = random.Random(1)  # noqa: S311 - the same load in every run
        while True:
            for kind in drawn.choices(kinds, shares, k=1000):
                yield kind.name, next(turns[kind.name])


@dataclass(frozen=True)
class Kind:
    """Requests of one kind, sent in turn, and how they may be refused; good ones have no codes."""

    name: str
    weight: float
    requests: tuple[bytes, ...]
    codes: frozenset[str] = frozenset()


def good(files: str) -> list[Kind]:
    """Requests as ordinary clients send them."""
    numbers = range(IMAGES)
    urls = [photo_url(files, n) for n in numbers]
    shops = [{"shop": f"shop {n}"} for n in range(10)]
    pictures = [{"url": url} for url in urls]
    filtered = [{"url": url, "metadata": shops[n % 10]} for n, url in enumerate(urls)]
    adds = [{"url": urls[n], "metadata": metadata_of(n)} for n in numbers]
    return [
        _kind("add", 4, _ADD, adds),
        _kind("search by picture", 6, _SEARCH, pictures),
        _kind("search by picture, filtered", 2, _SEARCH, filtered),
        _kind("search by text", 3, _SEARCH, [{"metadata": word} for word in _WORDS]),
        _kind("filter alone", 2, _SEARCH, [{"metadata": shop} for shop in shops]),
        _kind("detect", 3, _DETECT, pictures),
    ]


def bad(files: str, closed_port: int) -> list[Kind]:
    """Requests that must be refused, each for a reason of its own."""
    blocked = [
        "http://10.0.0.7/a.jpg",
        "http://169.254.169.254/latest/",
        "http://[::ffff:10.0.0.7]/",
    ]
    slow = [f"http://{host}:{port_of(files)}/slow" for host in SLOW_HOSTS]
    bombs = [f"{files}/bomb.png", f"{files}/strip.png"]
    urls = [
        ("nobody listens", 1, [f"http://127.0.0.1:{closed_port}/"], "host_unreachable"),
        ("blocked address", 1, blocked, "host_unreachable"),
        ("unknown name", 1, ["http://nowhere.invalid/a.jpg"], "host_unreachable"),
        ("slow host", 0.5, slow, "fetch_timeout host_unreachable"),
        ("404", 1, [f"{files}/missing.jpg"], "http_status"),
        ("redirects without end", 0.5, [f"{files}/loop"], "too_many_redirects"),
        ("compressed", 1, [f"{files}/gzip.jpg"], "bad_answer"),
        ("not an image", 1, [f"{files}/text"], "not_an_image"),
        ("cut off", 1, [f"{files}/cut.jpg"], "image_broken"),
        ("bomb", 1, bombs, "image_dimensions"),
        ("not http", 1, ["file:///etc/passwd", "http://a b/", "gopher://x/"], "url_invalid"),
    ]
    bodies: list[tuple[str, list[Any], str]] = [
        ("broken JSON", [b'{"url": "http://', b"[1]", b'{"url": NaN}'], "bad_request"),
        ("unknown field", [{"url": files, "ulr": 1}, {"url": files, "x": {}}], "bad_request"),
        ("wrong type", [{"url": 5}, {"url": [files]}], "bad_request"),
        ("no url", [{}, {"url": ""}, {"url": None}], "-"),
        ("wrong type of a key", [{"url": files, "metadata": {"price": "a"}}], "metadata_conflict"),
    ]
    return [
        *(
            _kind(name, weight, _ADD, [{"url": u} for u in each], codes)
            for name, weight, each, codes in urls
        ),
        *(_kind(name, 1, _ADD, each, codes) for name, each, codes in bodies),
    ]


def first_adds(files: str) -> Iterator[dict[str, Any]]:
    """Bodies for `post_images_to_index` that add every URL of the mix once."""
    images = [{"url": photo_url(files, n), "metadata": metadata_of(n)} for n in range(IMAGES)]
    for first in range(0, IMAGES, 100):
        yield {"images": images[first : first + 100]}


def documented_codes() -> frozenset[str]:
    """Codes that a client may be answered 400 with; "internal" is none of them."""
    bases = (ApiError, ImageError, StoreError)
    return frozenset(error.code for base in bases for error in _subclasses(base)) - {"internal"}


def metadata_of(number: int) -> dict[str, Any]:
    """Metadata of a picture by its number."""
    return {"shop": f"shop {number % 10}", "price": number % 1000 / 10, "number": number}


def fresh_url(files: str, photo: str, number: int) -> str:
    """URL of a picture that is like a photograph but has pixels of its own."""
    host = _PHOTO_HOSTS[number % len(_PHOTO_HOSTS)]
    return f"http://{host}:{port_of(files)}/{photo}?pixels={number}"


def photo_url(files: str, number: int) -> str:
    """URL of a photograph by number: one of many of a few files, on several hosts."""
    host = f"http://{_PHOTO_HOSTS[number % len(_PHOTO_HOSTS)]}:{port_of(files)}"
    return f"{host}/photo/{number % PHOTOS}.jpg?{number}"


def port_of(url: str) -> int:
    """Port at the end of a file server's URL."""
    return int(url.rpartition(":")[2])


def _kind(name: str, weight: float, path: str, bodies: Iterable[Any], codes: str = "") -> Kind:
    requests = tuple(post(path, body) for body in bodies)
    return Kind(name, weight, requests, frozenset(codes.split()))


def _subclasses(error: Any) -> Sequence[Any]:
    return [error, *(heir for each in error.__subclasses__() for heir in _subclasses(each))]
