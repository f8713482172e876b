"""From a call to an HTTP request. No network here."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx

from image_search.results.reading import read

T = TypeVar("T")

DEFAULT_SERVER = "http://127.0.0.1:3000"
DEFAULT_TIMEOUT_S = 75.0
"""Longer than the service works on a request: it is to say itself what took too long."""

MOST_BYTES = 1 << 20
"""Of an answer, unless its call says otherwise."""

ROW_BYTES = 512 << 10
"""Of an image in a list: its metadata has up to 65,536 characters, which JSON may escape."""

MOST_LIST_BYTES = 64 << 20
"""Of a list, however many images were asked for."""

_CONNECT_S = 5.0


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
        most_bytes: of the answer; a longer one is not read.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    body: bytes | None = None
    params: dict[str, str | int] = field(default_factory=dict)
    image: bytes | None = None
    fields: dict[str, str] = field(default_factory=dict)
    most_bytes: int = MOST_BYTES

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of httpx's `request` besides the method and the path."""
        if self.image is not None:
            # httpx writes the form. What the file is called does not matter.
            return {"files": {"image": ("image", self.image)}, "data": self.fields}
        headers = {"Content-Type": "application/json"} if self.body is not None else {}
        return {"content": self.body, "params": self.params, "headers": headers}


def post(
    path: str,
    body: Mapping[str, Any],
    read: Callable[[httpx.Response], T],
    image: bytes | None = None,
    most_bytes: int = MOST_BYTES,
) -> Call[T]:
    """A POST of JSON, or with an image of a form; fields that are None are left out."""
    given = {key: value for key, value in body.items() if value is not None}
    if image is None:
        return Call("POST", path, read, encoded(given), most_bytes=most_bytes)
    texts = {key: one if isinstance(one, str) else _json(one) for key, one in given.items()}
    return Call("POST", path, read, image=image, fields=texts, most_bytes=most_bytes)


def bytes_of(rows: int) -> int:
    """The most bytes of an answer that lists so many images."""
    return min(MOST_BYTES + max(rows, 0) * ROW_BYTES, MOST_LIST_BYTES)


def encoded(body: Mapping[str, Any]) -> bytes:
    """A body of JSON. Text that is not valid Unicode goes along: the service says what is wrong."""
    return _json(body).encode(errors="surrogatepass")


def quoted(part: str) -> str:
    """A part of a path. Not even "." is left as it is: it would be taken for a step in the path."""
    return quote(part, safe="").replace(".", "%2E")


def of_json(kind: type[T], key: str | None = None) -> Callable[[httpx.Response], T]:
    """Reader of an answer in JSON: a value of this type, of the whole document or of a key."""

    def read_json(answer: httpx.Response) -> T:
        document = answer.json()
        return read(kind, document if key is None else document[key])

    return read_json


def picture(answer: httpx.Response) -> bytes:
    """Read a picture's bytes; another type is another service's."""
    if not answer.headers.get("Content-Type", "").startswith("image/"):
        raise ValueError("no picture")
    return answer.content


def any_file(answer: httpx.Response) -> bytes:
    """Read a file's bytes, whatever they are."""
    return answer.content


def client_options(
    server: str, api_key: str | None, timeout_s: float, connections: int
) -> dict[str, Any]:
    """Arguments of httpx's clients.

    Raises:
        ValueError: the address or the key is invalid.
    """
    return {
        "base_url": _checked(server),
        "headers": _headers(api_key),
        "timeout": httpx.Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s)),
        "limits": httpx.Limits(
            max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=4.0
        ),
    }


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError as error:
        raise ValueError(
            f"it cannot be sent as JSON, which has no NaN or infinity (null is no value): {error}"
        ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"metadata cannot hold a {type(value).__name__}")


def _checked(server: str) -> str:
    try:
        url = httpx.URL(server)
    except httpx.InvalidURL as error:
        raise ValueError(f"the server's address is invalid: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("the server's address must be like http://127.0.0.1:3000")
    return server.rstrip("/")


def _headers(api_key: str | None) -> dict[bytes, bytes]:
    """A key may have any characters but line breaks; the service reads them as UTF-8."""
    plain = {b"Accept-Encoding": b"identity"}  # so that an answer's size is that of what it holds
    if not api_key:
        return plain
    if not api_key.isprintable():
        raise ValueError("the API key has a line break or another control character")
    return {**plain, b"Authorization": b"Bearer " + api_key.encode()}
