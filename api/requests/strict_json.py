"""A request body's bytes to a JSON object: strictly RFC 8259, and bounded before any work.

pydantic's parser (jiter) is strict about text: UTF-8 alone, no lone surrogates, no NaN. Left to do
are what it lets pass: a million empty objects in one MiB, deep nesting, a key given twice (the last
one silently wins, and two readers may differ about which), and floats that overflow.
"""

import json
import math
import re
from collections import Counter
from typing import Any

from pydantic_core import from_json

from api.errors import RequestError
from api.requests.validation import short, short_place

MAX_DEPTH = 32
MAX_VALUES = 100_000
# A string with its escapes, also one without an end.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")


def json_object(body: bytes) -> dict[str, Any]:
    """Parse a body that must hold one JSON object.

    Raises:
        RequestError: it does not, or it is deeper or larger than any request needs.
    """
    parsed = json_value(body)
    if not isinstance(parsed, dict):
        raise RequestError('the body must be a JSON object such as {"url": "https://..."}')
    return parsed


def json_value(body: bytes) -> Any:
    """Parse JSON of any kind.

    Raises:
        RequestError: it is none, or deeper or larger than any request needs.
    """
    text = _text(body)
    _check_shape(body)
    try:
        parsed = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise RequestError(f"the body is not valid JSON: {error}") from None
    # A second parse: only the standard library's tells of keys and numbers while it goes.
    json.loads(
        text, object_pairs_hook=_check_keys, parse_float=_check_number, parse_int=_check_number
    )
    return parsed


def _text(body: bytes) -> str:
    if body.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")) or b"\0" in body[:4]:
        raise RequestError("the body must be JSON in UTF-8, without a byte order mark")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise RequestError(f"the body is not valid UTF-8: see byte {error.start + 1}") from None


def _check_shape(body: bytes) -> None:
    """Bound values and depth by counting, which costs a thousandth of making the objects."""
    if _count(body) <= MAX_DEPTH:
        return
    skeleton = _STRING.sub(b"", body)
    if _count(skeleton) > MAX_VALUES:
        raise RequestError(f"the body holds more than {MAX_VALUES} values")
    depth = 0
    for bracket in _BRACKET.finditer(skeleton):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > MAX_DEPTH:
            raise RequestError(f"the body is nested more than {MAX_DEPTH} deep")
        if depth < 0:
            return  # no JSON, as the parser will say


def _count(body: bytes) -> int:
    """An upper bound of the values: each follows a comma or an opening bracket."""
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def _check_keys(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) < len(pairs):
        [(key, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise RequestError(f"the key {short(key)} is given twice in one object")


def _check_number(text: str) -> None:
    if not math.isfinite(float(text)):
        raise RequestError(f"the number {short_place(text)} is too large")
