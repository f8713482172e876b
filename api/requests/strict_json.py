"""Strict JSON (RFC 8259) of a request body, parsed once and bounded before any object is made.

jiter, pydantic's parser, is strict about text (UTF-8 alone, no lone surrogates, no NaN) and about
keys (none twice in an object: two readers may differ about which counts). Left to check are what it
lets pass: a million empty objects in one MiB, deep nesting, and numbers that overflow.
"""

import json
import math
import re
from typing import Any

import jiter

from api.errors import RequestError
from api.requests.validation import short, shortened

MAX_DEPTH = 32
MAX_VALUES = 100_000
# A string with its escapes, also one without an end.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
# What a number has that is too large for a float: three digits of an exponent, or very many.
_MAY_OVERFLOW = re.compile(rb"\d[eE]\+?\d{3}|\d{200}")
_TWICE = re.compile(r'Detected duplicate key "(.*)" at line \d+ column \d+', re.DOTALL)


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
    if body.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")) or b"\0" in body[:4]:
        raise RequestError("the body must be JSON in UTF-8, without a byte order mark")
    skeleton = body
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        skeleton = _STRING.sub(b"", body)
        _check_shape(skeleton)
    try:
        parsed = jiter.from_json(body, allow_inf_nan=False, catch_duplicate_keys=True)
        if _MAY_OVERFLOW.search(skeleton):  # a vector in base64 looks as if
            json.loads(body, parse_float=_check_number, parse_int=_check_number)
    except ValueError as error:
        raise RequestError(_reason(body, str(error))) from None
    return parsed


def _reason(body: bytes, error: str) -> str:
    try:
        body.decode()
    except UnicodeDecodeError as broken:
        return f"the body is not valid UTF-8: see byte {broken.start + 1}"
    if (twice := _TWICE.fullmatch(error)) is not None:
        return f"the key {short(twice[1])} is given twice in one object"
    return f"the body is not valid JSON: {error}"


def _check_shape(skeleton: bytes) -> None:
    """Bound values and depth by counting, which costs a thousandth of making the objects.

    Args:
        skeleton: a body without its strings.
    """
    # Each value follows a comma or an opening bracket.
    if sum(map(skeleton.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise RequestError(f"the body holds more than {MAX_VALUES} values")
    depth = 0
    for bracket in _BRACKET.finditer(skeleton):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > MAX_DEPTH:
            raise RequestError(f"the body is nested more than {MAX_DEPTH} deep")
        if depth < 0:
            return  # no JSON, as the parser will say


def _check_number(text: str) -> None:
    if not math.isfinite(float(text)):
        raise RequestError(f"the number {shortened(text)} is too large")
