"""Whether an answer is the one that a row expects, and says nothing that it should not."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.guard.case import Case

_LONGEST_CHARS = 1500
# What only someone who looked inside could know.
_INTERNAL = re.compile(
    r"Traceback|site-packages|\.py\b|object at 0x|Errno|\w+(Exception|Warning)\b|"
    r"\b(OS|Value|Type|Key|Attribute|Runtime|Unicode\w*|Connection)Error\b|"
    r"urllib3|requests\.|http\.client|Pillow|lancedb|LanceError|pyarrow|DataFusion|bentoml|"
    r"starlette|uvicorn|pydantic|circus|(?<![\w.:/])/(usr|tmp|root|home|work|var|opt|proc|etc)/",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|\[[0-9a-fA-F]*:[0-9a-fA-F:.]+\]")


@dataclass(frozen=True)
class Outcome:
    """What a request came to."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    text: str = ""
    seconds: float = 0.0
    failure: str = ""

    @classmethod
    def of(cls, ask: Callable[[], requests.Response]) -> "Outcome":
        """Ask, and take the time."""
        began = time.monotonic()
        try:
            answer = ask()
        except requests.RequestException as error:
            return cls(failure=repr(error), seconds=time.monotonic() - began)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return cls(answer.status_code, headers, answer.text, time.monotonic() - began)

    @property
    def document(self) -> dict[str, Any]:
        """The answer's JSON, empty where it is something else."""
        try:
            parsed = json.loads(self.text)
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}


def complaints(case: Case, outcome: Outcome, within_s: float) -> list[str]:
    """Everything that is wrong with an answer; empty where it is as it should be."""
    return [*_as_expected(case, outcome), *_decent(case, outcome, within_s)]


def _as_expected(case: Case, outcome: Outcome) -> Iterator[str]:
    expected, document = case.expected, outcome.document
    if outcome.failure:
        yield f"no answer: {outcome.failure}"
        return
    if outcome.status != expected.status and (expected.status or outcome.status not in (200, 400)):
        yield f"status {outcome.status}, not {expected.status}"
    if case.method == "HEAD":
        return
    code = document.get("code")
    if outcome.status != 200 and expected.codes and code not in expected.codes:
        yield f"code {code!r}, not {' or '.join(expected.codes)}"
    if expected.says not in document.get("message", ""):
        yield f"the message does not say {expected.says!r}"
    for key, value in expected.holds.items():
        if document.get(key) != value:
            yield f"{key} is {document.get(key)!r}, not {value!r}"
    if expected.found is not None and len(document.get("results", ())) != expected.found:
        yield f"{len(document.get('results', ()))} results, not {expected.found}"


def _decent(case: Case, outcome: Outcome, within_s: float) -> Iterator[str]:
    if not outcome.failure:
        yield from _headers(outcome.headers)
    if outcome.seconds > within_s:
        yield f"it took {outcome.seconds:.1f} s"
    if outcome.status >= 500:
        yield "a fault of the server's"
    if outcome.failure or outcome.status < 400 or case.method == "HEAD":
        return
    message = outcome.document.get("message")
    if not isinstance(message, str) or not message:
        yield "no message"
        return
    given = (case.body or b"").decode(errors="replace") + case.url + case.path
    yield from _unsafe(message, given)
    if set(outcome.document) - {"message", "code"}:
        yield f"more than message and code: {sorted(outcome.document)}"


def _headers(headers: Mapping[str, str]) -> Iterator[str]:
    """What every answer's headers must say, and must not."""
    if headers.get("x-content-type-options") != "nosniff":
        yield "no X-Content-Type-Options"
    if not headers.get("x-request-id"):
        yield "no X-Request-ID"
    for name in ("server", "x-powered-by", "access-control-allow-origin", "set-cookie"):
        if name in headers:
            yield f"the header {name}: {headers[name]}"


def _unsafe(message: str, given: str) -> Iterator[str]:
    """What is wrong with a message; what the client gave itself may stand in it."""
    if not message.isprintable():
        yield "the message is not one printable line"
    if len(message) > _LONGEST_CHARS:
        yield f"the message has {len(message)} characters"
    for match in _INTERNAL.finditer(message):
        if match[0] not in given:
            yield f"the message tells of the inside: {match[0]!r}"
    for match in _ADDRESS.finditer(message):
        if match[0] not in given:
            yield f"the message names an address: {match[0]!r}"
