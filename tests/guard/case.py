"""One row of the corpus: what is sent, and what must come back.

    addresses, urls       blocked("http://127.0.0.2/"), refused("ftp://x/", "must start with")
    names                 named("two answers", gives("8.8.8.8", "10.0.0.1"), UNREACHABLE)
    redirects, servers    served("no body", http(b""), BAD_ANSWER)
    files                 file("a text", b"hello", NOT_AN_IMAGE)
    bodies, filters       sent("search_simmilar_images", b"{", BAD_REQUEST)

In URLs and in what servers say `{site}` is the host and port where pictures may be fetched, and
`{port}` a permitted port at which the site listens on every address.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.guard.oracle.names import Name
from tests.guard.stage.site import Talk

DETECT = "run_object_detection"
# What the stage's service accepts; rows send the first.
KEYS = ("first-key-0123456789", "zweiter-schlüssel-ü")
# Those of its file, by their scopes; they are called like these.
SCOPED = {scope: f"a-key-to-{scope}-0123456789" for scope in ("read", "write", "admin")}
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Expected:
    """The answer that a row must get.

    Attributes:
        status: HTTP's, or `ANSWERED`.
        codes: The codes that an error may have; none for a success.
        says: What its message must contain.
        holds: Parts of a JSON answer, by key.
        found: How many results a search must have.
    """

    status: int = 400
    codes: tuple[str, ...] = ()
    says: str = ""
    holds: Mapping[str, Any] = field(default_factory=dict)
    found: int | None = None


def refusal(*codes: str, says: str = "", status: int = 400) -> Expected:
    """An error with one of these codes."""
    return Expected(status, codes, says)


ANSWERED = 0
"""In place of a status: success and error alike."""


def either(*codes: str) -> Expected:
    """A success, or an error with one of these codes: nobody promises which."""
    return Expected(ANSWERED, codes)


FETCHED = Expected(200)
UNREACHABLE = refusal(
    "host_unreachable", says="could not fetch the image: the host could not be reached"
)
BAD_URL = refusal("url_invalid")
BAD_ANSWER = refusal("bad_answer", says="could not fetch the image: ")
TOO_SLOW = refusal("fetch_timeout", says="could not fetch the image: it took longer than ")
TOO_LARGE = refusal("image_too_large")
NOT_AN_IMAGE = refusal("not_an_image")
BROKEN = refusal("image_broken")
TOO_MANY_PIXELS = refusal("image_dimensions")
BAD_REQUEST = refusal("bad_request")


def picture(width: int, height: int) -> Expected:
    """The picture was fetched and decoded, and is this large once upright."""
    return Expected(200, holds={"width": width, "height": height})


def finds(count: int) -> Expected:
    """A search with so many results."""
    return Expected(200, found=count)


@dataclass(frozen=True)
class Case:
    """A row.

    Attributes:
        title: What is special about it; unique in its table.
        expected: What must come back.
        url: The picture's URL, where the row is about one.
        answer: What the site says at that URL.
        names: What the name server says meanwhile.
        path, method, body, headers: The request, where the row is about the request itself.
        keyless: Whether no API key is sent but what `headers` say.
        needs_box: Whether it is about addresses that only an internet in a box has.
    """

    title: str
    expected: Expected
    url: str = ""
    answer: bytes | Talk | None = None
    names: Mapping[str, Name] = field(default_factory=dict)
    path: str = DETECT
    method: str = "POST"
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    keyless: bool = False
    needs_box: bool = False

    def sent_body(self, url: str) -> bytes | None:
        """What is posted, with the URL as the stage has filled it in."""
        if self.url:
            return json.dumps({"url": url, "format": "json"}).encode()
        return self.body


def asked(url: str, expected: Expected, title: str = "") -> Case:
    """A URL as it is."""
    return Case(title or url, expected, url=url)


def blocked(url: str) -> Case:
    """A URL that must answer as if nobody were there."""
    return asked(url, UNREACHABLE)


def refused(url: str, says: str = "", title: str = "") -> Case:
    """A text that is no URL to fetch from."""
    return asked(url, refusal("url_invalid", says=says), title)


def served(title: str, answer: bytes | Talk, expected: Expected) -> Case:
    """A URL of the site that answers this."""
    return Case(title, expected, url="http://{site}{path}", answer=answer)


def named(title: str, name: Name, expected: Expected, **others: Name) -> Case:
    """A URL of a host with this name; keywords name others, under `.test`."""
    names = {"{host}": name, **{f"{one}.test": other for one, other in others.items()}}
    return Case(title, expected, url="http://{host}/", names=names)


def only_in_box(cases: list[Case]) -> list[Case]:
    """Rows about names, or about addresses beyond loopback."""
    return [replace(case, needs_box=True) for case in cases]


def sent(
    path: str,
    body: Any,
    expected: Expected,
    title: str = "",
    method: str = "POST",
    **headers: str,
) -> Case:
    """A request: bytes as they are, anything else as JSON."""
    raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    shown = title or f"{path} {raw.decode(errors='backslashreplace') if raw else method}"
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Case(shown, expected, path=path, body=raw, method=method, headers=given or JSON)
