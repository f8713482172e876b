"""A body's bytes to an object: what is taken, and what is refused in which words."""

import time

import pytest

from api.errors import RequestError
from api.requests.strict_json import MAX_DEPTH, MAX_VALUES, json_object


@pytest.mark.parametrize(
    ("body", "parsed"),
    [
        (b"{}", {}),
        (b' \n{"a": 1} \t', {"a": 1}),
        ('{"ключ": "日本 🚲 é"}'.encode(), {"ключ": "日本 🚲 é"}),
        (b'{"a": "\\ud83d\\udeb2", "b": "\\u0000"}', {"a": "🚲", "b": "\0"}),
        (b'{"a": "[[[[{{{{,,,,\\"]]"}', {"a": '[[[[{{{{,,,,"]]'}),
        (
            b'{"a": 9223372036854775807, "b": -0.0, "c": 1e308}',
            {"a": 2**63 - 1, "b": 0, "c": 1e308},
        ),
        (b'{"a": {"b": 1}, "c": {"b": 2}}', {"a": {"b": 1}, "c": {"b": 2}}),
        (b'{"a":' * 31 + b"[]" + b"}" * 31, None),
        (b'{"a": [' + b"1," * (MAX_VALUES - 3) + b"1]}", None),
        (b'{"a": "' + b",{[" * 200_000 + b'"}', None),
    ],
)
def test_objects(body: bytes, parsed: object) -> None:
    given = json_object(body)
    assert parsed is None or given == parsed


NO_UTF8 = "the body must be JSON in UTF-8, without a byte order mark"
TOO_DEEP = f"the body is nested more than {MAX_DEPTH} deep"
TOO_MANY = f"the body holds more than {MAX_VALUES} values"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"   ", "the body is not valid JSON: EOF"),
        (b"\xef\xbb\xbf{}", NO_UTF8),
        ("{}".encode("utf-16"), NO_UTF8),
        ("{}".encode("utf-16-be"), NO_UTF8),
        ("{}".encode("utf-32-le"), NO_UTF8),
        (b'{"a": "\xff"}', "the body is not valid UTF-8: see byte 8"),
        (b'{"a": "\xed\xa0\x80"}', "the body is not valid UTF-8"),
        ('{"a": "é"}'.encode("latin-1"), "the body is not valid UTF-8"),
        (b'{"a": "\\ud800"}', "the body is not valid JSON: "),
        (b'{"a": "\x00"}', "the body is not valid JSON: control character"),
        (b'{"a": NaN}', "the body is not valid JSON: "),
        (b'{"a": -Infinity}', "the body is not valid JSON: "),
        (b'{"a": 1e999}', "the number 1e999 is too large"),
        (b'{"a": [-1e400]}', "the number -1e400 is too large"),
        (b'{"a": ' + b"9" * 400 + b".5}", "the number 9999"),
        (b'{"a": ' + b"9" * 400 + b"}", "the number 9999"),
        (b'{"a": ' + b"9" * 5000 + b"}", "the body is not valid JSON: number out of range"),
        (b'{"a": 01}', "the body is not valid JSON: "),
        (b"{'a': 1}", "the body is not valid JSON: "),
        (b'{"a": 1,}', "the body is not valid JSON: "),
        (b'{"a": 1} {}', "the body is not valid JSON: trailing"),
        (b'{"a": 1 /* x */}', "the body is not valid JSON: "),
        (b"[]", "the body must be a JSON object"),
        (b'"x"', "the body must be a JSON object"),
        (b"null", "the body must be a JSON object"),
        (b'{"a": 1, "a": 1}', "the key 'a' is given twice in one object"),
        (b'{"x": [{"b": {"a": 1, "c": 2, "\\u0061": 3}}]}', "the key 'a' is given twice"),
        (b'{"' + b"k" * 500 + b'": 1, "' + b"k" * 500 + b'": 1}', "the key 'kkkk"),
        (b"[" * 33, TOO_DEEP),
        (b"[" * 10_000, TOO_DEEP),
        (b'{"a":' * 33 + b"1" + b"}" * 33, TOO_DEEP),
        (b'{"a": [' + b"{}," * 300_000 + b"{}]}", TOO_MANY),
        (b'{"a": ' + b"[]," * 300_000 + b"[]}", TOO_MANY),
        (b'{"a": ' + b"," * 900_000, TOO_MANY),
        (b'{"a": [[,' + b"]" * 1_000_000, "the body is not valid JSON: "),
        (b"[" * 40 + b"]" * 1_000_000, TOO_DEEP),
        (b'{"a": "' + b"\\" * 1_000_000, "the body is not valid JSON: "),
        (b'"' * 1_000_001, "the body is not valid JSON: "),
        (b'\\"[' * 300_000, "the body is not valid JSON: "),
    ],
)
def test_what_is_refused(body: bytes, said: str) -> None:
    started = time.perf_counter()
    with pytest.raises(RequestError) as caught:
        json_object(body)
    assert str(caught.value).startswith(said)
    assert len(str(caught.value)) < 200
    assert time.perf_counter() - started < 2
