"""Forms: what is in them, and what is said of those that are broken."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import RequestError
from api.requests.multipart import MAX_PARTS, MAX_TEXT_BYTES, Form, parse_form

TYPE = "multipart/form-data; boundary=b"
PICTURE = bytes(range(256)) * 3 + b"\r\n--b\r\n--bb--\r\n"


def part(name: str, content: bytes, *, filename: str | None = None, more: str = "") -> bytes:
    file = "" if filename is None else f'; filename="{filename}"'
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n{more}'
    return head.encode() + (b"\r\n" if more else b"") + b"\r\n" + content + b"\r\n"


END = b"--b--\r\n"


@given(
    texts=st.dictionaries(st.from_regex(r"[a-z_]{1,12}", fullmatch=True), st.text(), max_size=5),
    picture=st.binary(),
    filename=st.text(min_size=1, max_size=300),
)
def test_what_a_client_sends_is_read(texts: dict[str, str], picture: bytes, filename: str) -> None:
    """Httpx writes the form, another project's code than what reads it."""
    texts.pop("image", None)
    request = httpx.Request("POST", "http://x", data=texts, files={"image": (filename, picture)})
    assert parse_form(request.read(), request.headers["content-type"]) == Form(texts, picture)


def test_a_file_may_hold_what_looks_like_a_boundary() -> None:
    body = part("image", PICTURE.replace(b"\r\n--b", b"\r\n--a"), filename="x") + END
    assert parse_form(body, TYPE).picture == PICTURE.replace(b"\r\n--b", b"\r\n--a")


def test_a_field_for_a_file_that_was_left_empty_is_absent() -> None:
    body = part("image", b"", filename="") + part("limit", b"3") + END
    assert parse_form(body, TYPE) == Form({"limit": "3"}, None)


@pytest.mark.parametrize(
    ("body", "content_type", "says"),
    [
        (END, "multipart/form-data", "must name its boundary"),
        (END, "multipart/form-data; boundary=", "must name its boundary"),
        (END, f"multipart/form-data; boundary={'b' * 2000}", "at most 256 characters"),
        (END, f"{TYPE}; boundary=c", "one thing twice"),
        (b"", TYPE, "not a whole form"),
        (b"image=x", TYPE, "not a whole form"),
        (part("image", b"x", filename="x"), TYPE, "not a whole form"),
        (part("image", b"x", filename="x")[:20], TYPE, "not a whole form"),
        (part("image", b"x") + END, TYPE, "must be sent as a file"),
        (part("picture", b"x", filename="x") + END, TYPE, "unknown file 'picture'"),
        (part("", b"x") + END, TYPE, "must have a name"),
        (b"--b\r\nX: y\r\n\r\nz\r\n" + END, TYPE, "must have a name"),
        (part("limit", b"\xff\xfe") + END, TYPE, "'limit' must be UTF-8"),
        (part("a", b"1") + part("a", b"2") + END, TYPE, "'a' more than once"),
        (2 * part("image", b"1", filename="x") + END, TYPE, "'image' more than once"),
        (
            b"".join(part(f"a{n}", b"") for n in range(MAX_PARTS + 1)) + END,
            TYPE,
            f"more than {MAX_PARTS} parts",
        ),
        (b"--b\r\n" + b"X-A: y\r\n" * 10 + b"\r\n\r\n" + END, TYPE, "no header, or twice"),
        (b"--b\r\n" + b"X-A: y\r\n" * 9000 + b"\r\n\r\n" + END, TYPE, "within 16 KiB"),
        (b"--bX\r\n\r\n" + END, TYPE, "within 16 KiB"),
        (part("a", b"1", more="Content-Transfer-Encoding: base64") + END, TYPE, "as it is"),
        (part('a"; name="b', b"1") + END, TYPE, "one thing twice"),
        (part("a", b"1", more="Content-Disposition: form-data") + END, TYPE, "twice the same"),
        (part("a", b"1", more="X\r\n: y") + END, TYPE, "no header"),
        (part("a", b"x" * (MAX_TEXT_BYTES + 1)) + END, TYPE, "texts are larger"),
    ],
)
def test_a_broken_form_is_told_why(body: bytes, content_type: str, says: str) -> None:
    with pytest.raises(RequestError, match=says) as caught:
        parse_form(body, content_type)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["filename*=utf-8''%C3%BC.jpg", "filename=ue.jpg", 'filename="a;b"']
)
def test_a_file_may_be_named_in_any_way(name: str) -> None:
    head = f"--b\r\ncontent-disposition: Form-Data; NAME=image; {name}\r\n\r\n"
    assert parse_form(head.encode() + PICTURE[:9] + b"\r\n" + END, TYPE).picture == PICTURE[:9]


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_whatever_comes_is_read_or_refused(before: bytes, after: bytes) -> None:
    for body in (before, before + END, part("image", before, filename="x") + after):
        try:
            parse_form(body, TYPE)
        except RequestError as error:
            assert "\n" not in str(error)  # noqa: PT017 - most are refused, some are forms
