"""One request and how its answer is read: what every route's call is made of. No network here."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

import httpx

T = TypeVar("T")


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request, and how its answer is read.

    Attributes:
        method: of HTTP.
        path: behind the server's address.
        read: makes the result of an answer of status 200.
        body: UTF-8 JSON, or None.
        params: of the query.
        image: a picture's file, sent in a form.
        fields: of that form, besides the picture.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    body: bytes | None = None
    params: dict[str, str | int] = field(default_factory=dict)
    image: bytes | None = None
    fields: dict[str, str] = field(default_factory=dict)


def post(
    path: str, body: Mapping[str, Any], read: Callable[[Any], T], image: bytes | None = None
) -> Call[T]:
    """A POST of a route that answers JSON."""
    return posted(path, body, of_json(read), image)


def posted(
    path: str, body: Mapping[str, Any], read: Callable[[httpx.Response], T], image: bytes | None
) -> Call[T]:
    """A POST of JSON, or with an image of a form; fields that are None are left out."""
    given = {key: value for key, value in body.items() if value is not None}
    if image is None:
        return Call("POST", path, read, encoded(given))
    texts = {key: one if isinstance(one, str) else _json(one) for key, one in given.items()}
    return Call("POST", path, read, image=image, fields=texts)


def encoded(body: Mapping[str, Any]) -> bytes:
    """A body of JSON. Text that is not valid Unicode goes along: the service says what is wrong."""
    return _json(body).encode(errors="surrogatepass")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"metadata cannot hold a {type(value).__name__}")


def of_json(read: Callable[[Any], T]) -> Callable[[httpx.Response], T]:
    """Reads an answer's JSON."""
    return lambda answer: read(answer.json())


def each(key: str, read: Callable[[Any], T]) -> Callable[[Any], list[T]]:
    """Reads each document of a list."""
    return lambda document: [read(one) for one in document[key]]


def picture(answer: httpx.Response) -> bytes:
    """Reads a picture's bytes; another type is another service's."""
    if not answer.headers.get("Content-Type", "").startswith("image/"):
        raise ValueError("no picture")
    return answer.content


def any_file(answer: httpx.Response) -> bytes:
    """Reads a file's bytes, whatever they are."""
    return answer.content
