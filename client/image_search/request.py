"""From a call to an HTTP request, and from the response to a result. No network here."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx

from image_search.errors import (
    ForbiddenError,
    ImageSearchError,
    MisdirectedError,
    NotFoundError,
    OverloadedError,
    RefusedError,
    TimedOutError,
    UnauthorizedError,
    UnexpectedAnswerError,
    UnreachableError,
)
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
_USUAL_RETRY_S = 1.0
_LONGEST_RETRY_S = 3600.0
_GONE = frozenset({502, 503, 504})
_REFUSALS = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    421: MisdirectedError,
}


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
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)


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


class Received(Generic[T]):
    """The answer to a call while it comes in; one that is too long is given up.

    Args:
        call: that it answers.
        head: the answer without its body.

    Raises:
        UnexpectedAnswerError: the body is compressed, and could become any size.
    """

    def __init__(self, call: Call[T], head: httpx.Response) -> None:
        self._call, self._head = call, head
        self._parts: list[bytes] = []
        self._most = self._left = call.most_bytes if head.is_success else MOST_BYTES
        encoding = head.headers.get("Content-Encoding", "identity")
        if encoding.lower() != "identity":
            raise self._unexpected("is compressed, which was not asked for")

    def take(self, part: bytes) -> None:
        """Take a part of the body.

        Raises:
            UnexpectedAnswerError: it is more than the call's answer may have.
        """
        self._left -= len(part)
        if self._left < 0:
            raise self._unexpected(f"is larger than the {self._most:,} bytes that are read of it")
        self._parts.append(part)

    def result(self) -> T:
        """The result of the call, once all has come in.

        Raises:
            ImageSearchError: the answer is an error's, or cannot be read.
        """
        head = self._head
        body = b"".join(self._parts)
        self._parts.clear()
        return result_of(
            self._call, httpx.Response(head.status_code, headers=head.headers, content=body)
        )

    def _unexpected(self, what: str) -> UnexpectedAnswerError:
        call, status = self._call, self._head.status_code
        return UnexpectedAnswerError(f"the answer to {call.method} {call.path} {what}", "", status)


def result_of(call: Call[T], answer: httpx.Response) -> T:
    """The result of a call.

    Raises:
        ImageSearchError: the answer is an error's, or cannot be read.
    """
    if answer.status_code != httpx.codes.OK:
        raise error_of(answer)
    try:
        return call.read(answer)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnexpectedAnswerError(
            f"the answer to {call.method} {call.path} is not one of an image search service",
            status=answer.status_code,
        ) from error


def error_of(answer: httpx.Response) -> ImageSearchError:
    """The error that an answer with another status than 200 means."""
    status, document = answer.status_code, _document(answer)
    message = str(document.get("message") or f"the server answered {status}")
    code = str(document.get("code") or "")
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return OverloadedError(message, code, status, retry_after_s(answer))
    if status in _GONE:
        return UnreachableError(message, code, status)
    if httpx.codes.is_client_error(status):
        return _REFUSALS.get(status, RefusedError)(message, code, status)
    return UnexpectedAnswerError(message, code, status)


def failure_of(error: httpx.HTTPError, server: str) -> ImageSearchError:
    """The error of a call without an answer."""
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return TimedOutError(f"no answer from {server} in time")
    return UnreachableError(f"no connection to {server}: {str(error) or type(error).__name__}")


def retry_after_s(answer: httpx.Response) -> float:
    """Seconds of the header Retry-After; a date is not understood, and counts as a second."""
    try:
        seconds = float(answer.headers.get("Retry-After", _USUAL_RETRY_S))
    except ValueError:
        return _USUAL_RETRY_S
    return min(max(seconds, 0.0), _LONGEST_RETRY_S) if math.isfinite(seconds) else _USUAL_RETRY_S


def _document(answer: httpx.Response) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
