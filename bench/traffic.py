"""What the benchmarks ask of the service: good requests by kind, bad ones with their answers."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from api.errors import ApiError
from bench.fileserver import PHOTOS
from images.errors import ImageError
from store.errors import StoreError

IMAGES = 500
"""So many URLs are added, again and again, so that the table does not grow while it is measured."""
ALLOWED = "127.0.0.0/28"
"""The addresses of loopback that stand for so many hosts; a file server listens on all of them."""
SLOW_HOSTS = tuple(f"127.0.0.{n}" for n in range(2, 6))
_PHOTO_HOSTS = tuple(f"127.0.0.{n}" for n in range(6, 14))
_WORDS = ("a red bus", "two people", "a street in the morning", "a man with a tie", "blue")


@dataclass(frozen=True)
class Kind:
    """Requests of one kind, to be sent in turn.

    Attributes:
        name: in the tables.
        weight: how often it comes, relative to the other kinds.
        requests: each the bytes of a whole HTTP request.
        codes: how such a request may be refused; empty where it is to be answered 200.
    """

    name: str
    weight: float
    requests: tuple[bytes, ...]
    codes: frozenset[str] = frozenset()


ROUTES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "index": ("post_image_to_index", {}),
    "detect": ("run_object_detection", {}),
    "objects": ("run_object_detection", {"format": "json"}),
    "search": ("search_simmilar_images", {}),
    "text": ("search_simmilar_images", {}),
}
"""What a stream asks for: path, and fields besides the url. `objects` is detection without drawing,
`text` a search by words."""


@dataclass(frozen=True)
class Stream:
    """Requests of one route without end, each for a picture that was never sent before.

    Attributes:
        route: of `ROUTES`.
        photos: names of the JPEG files that they are made of, in turn.
        first: number of the first one.
    """

    route: str
    photos: tuple[str, ...]
    first: int = 0

    def requests(self, files: str) -> Iterator[bytes]:
        """Whole requests, of pictures of the file server at this URL."""
        path, fields = ROUTES[self.route]
        for number in count(self.first):
            if self.route == "text":
                given = {"metadata": f"{_WORDS[number % len(_WORDS)]}, number {number}"}
            else:
                given = {"url": fresh_url(files, self.photos[number % len(self.photos)], number)}
            yield post(path, {**given, **fields})


def fresh_url(files: str, photo: str, number: int) -> str:
    """The URL of a picture that is like a photograph, but has pixels of its own."""
    host = _PHOTO_HOSTS[number % len(_PHOTO_HOSTS)]
    return f"http://{host}:{port_of(files)}/{photo}?pixels={number}"


def documented_codes() -> frozenset[str]:
    """Every code that a client may be answered 400 with; "internal" is none of them."""
    bases = (ApiError, ImageError, StoreError)
    return frozenset(error.code for base in bases for error in _with_heirs(base)) - {"internal"}


def photo_url(files: str, number: int) -> str:
    """The URL of a photograph, by its number: one of many of a few files, on several hosts."""
    host = f"http://{_PHOTO_HOSTS[number % len(_PHOTO_HOSTS)]}:{port_of(files)}"
    return f"{host}/photo/{number % PHOTOS}.jpg?{number}"


def port_of(url: str) -> int:
    """The port that a URL of a file server ends with."""
    return int(url.rpartition(":")[2])


def post(path: str, body: Any) -> bytes:
    """A whole request; a body of bytes goes out as it is."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"POST /{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head.encode() + f"Content-Length: {len(data)}\r\n\r\n".encode() + data


def filling(files: str) -> Iterator[dict[str, Any]]:
    """Bodies for `post_images_to_index` that add every image once."""
    images = [{"url": photo_url(files, n), "metadata": _metadata(n)} for n in range(IMAGES)]
    for first in range(0, IMAGES, 100):
        yield {"images": images[first : first + 100]}


def good(files: str) -> list[Kind]:
    """Work as clients would have it done."""
    urls = [photo_url(files, n) for n in range(IMAGES)]
    shops = [{"shop": f"shop {n}"} for n in range(10)]
    adds = [{"url": url, "metadata": _metadata(n)} for n, url in enumerate(urls)]
    pictures = [{"url": url} for url in urls]
    filtered = [{"url": url, "metadata": shops[n % 10]} for n, url in enumerate(urls)]
    search = "search_simmilar_images"
    return [
        _kind("add", 4, "post_image_to_index", adds),
        _kind("search by picture", 6, search, pictures),
        _kind("search by picture, filtered", 2, search, filtered),
        _kind("search by text", 3, search, [{"metadata": word} for word in _WORDS]),
        _kind("filter alone", 2, search, [{"metadata": shop} for shop in shops]),
        _kind("detect", 3, "run_object_detection", pictures),
    ]


def bad(files: str, closed_port: int) -> list[Kind]:
    """Requests that are to be refused, each for a reason of its own.

    Args:
        files: URL of the file server, which must listen on `SLOW_HOSTS` too.
        closed_port: of loopback, where nobody listens.
    """
    blocked = (
        "http://10.0.0.7/a.jpg",
        "http://169.254.169.254/latest/",
        "http://[::ffff:10.0.0.7]/",
    )
    slow = [f"http://{host}:{port_of(files)}/slow" for host in SLOW_HOSTS]
    conflict = {"url": files, "metadata": {"price": "cheap"}}
    return [
        _bad_url("nobody listens", [f"http://127.0.0.1:{closed_port}/"], "host_unreachable"),
        _bad_url("blocked address", blocked, "host_unreachable"),
        _bad_url("unknown name", ["http://nowhere.invalid/a.jpg"], "host_unreachable"),
        _bad_url("slow host", slow, "fetch_timeout", "host_unreachable", weight=0.5),
        _bad_url("404", [f"{files}/missing.jpg"], "http_status"),
        _bad_url("redirects without end", [f"{files}/loop"], "too_many_redirects", weight=0.5),
        _bad_url("compressed", [f"{files}/gzip.jpg"], "bad_answer"),
        _bad_url("not an image", [f"{files}/text"], "not_an_image"),
        _bad_url("cut off", [f"{files}/cut.jpg"], "image_broken"),
        _bad_url("bomb", [f"{files}/bomb.png", f"{files}/strip.png"], "image_dimensions"),
        _bad_url("not http", ["file:///etc/passwd", "http://a b/", "gopher://x/"], "url_invalid"),
        _bad("broken JSON", [b'{"url": "http://', b"[1]", b'{"url": NaN}'], "bad_request"),
        _bad("unknown field", [{"url": files, "ulr": 1}, {"url": files, "x": {}}], "bad_request"),
        _bad("wrong type", [{"url": 5}, {"url": [files]}], "bad_request"),
        _bad("no url", [{}, {"url": ""}, {"url": None}], "-"),
        _bad("wrong type of a key", [conflict], "metadata_conflict"),
    ]


def _metadata(number: int) -> dict[str, Any]:
    return {"shop": f"shop {number % 10}", "price": number / 10, "number": number}


def _bad_url(name: str, urls: Iterable[str], *codes: str, weight: float = 1) -> Kind:
    return _bad(name, [{"url": url} for url in urls], *codes, weight=weight)


def _bad(name: str, bodies: Iterable[Any], *codes: str, weight: float = 1) -> Kind:
    return _kind(name, weight, "post_image_to_index", bodies, *codes)


def _kind(name: str, weight: float, path: str, bodies: Iterable[Any], *codes: str) -> Kind:
    return Kind(name, weight, tuple(post(path, body) for body in bodies), frozenset(codes))


def _with_heirs(error: Any) -> Iterator[Any]:
    yield error
    for heir in error.__subclasses__():
        yield from _with_heirs(heir)
