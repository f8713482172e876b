"""JSON: what bodies are read, and every way in which they can be wrong."""

import gzip
from collections.abc import Iterable
from typing import Any

from tests.guard.case import BAD_REQUEST, JSON, Case, Expected, refusal, sent

ADD, SEARCH, DETECT = "post_image_to_index", "search_simmilar_images", "run_object_detection"
MANY, DELETE, RESTORE = "post_images_to_index", "delete_images", "index/restore"
INVALID = refusal("bad_request", says="the body ")
OBJECT = refusal("bad_request", says="must be a JSON object")
NO_ID = "images/" + "0" * 32
BOTH = (ADD, SEARCH)
UPDATE = "update_images"
ID = refusal("bad_request", says="id must be 1 to 128 of the characters")
HOSTILE_IDS = (
    "",
    ".",
    "..",
    "../../etc/passwd",
    "a/b",
    "a\\b",
    "a b",
    "x" * 129,
    "\u00e4",
    "\uff0e\uff0e",
    "\u202etxt",
    "a\0b",
    "a\n",
    "a\r\nX: y",
    "%2e%2e",
    "' OR 1=1 --",
    "<script>",
    "upload:" + "0" * 122,
)


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return b'{"url": "x", "metadata": {"a": ' + opening * depth + closing * depth + b"}}"


MALFORMED = [
    sent(route, raw, INVALID)
    for route in BOTH
    for raw in (
        b"{",
        b"}",
        b"{]",
        b'{"url": ',
        b'{"url": "x"',
        b'{"url": "x",}',
        b"{'url': 'x'}",
        b'{url: "x"}',
        b'{"url": "x"} {}',
        b'{"url": "x"}x',
        b'{"url" "x"}',
        b'{"url": "x" "y"}',
        b'{"url": x}',
        b'{"url": "x", // comment\n"metadata": 1}',
        b'{"url": tru}',
        b'{"url": "\x01"}',
        b'{"url": "\\x41"}',
        b'{"url": "\\u12"}',
        b'{"url": 01}',
        b'{"url": 1.}',
        b'{"url": .5}',
        b'{"url": +1}',
        b'{"url": 0x10}',
        b'{"url": 1e}',
        b'{"url": undefined}',
        b"\xff\xfe{\x00}\x00",
        b'\xef\xbb\xbf{"url": "x"}',
        b'{"url": "\xff"}',
        b'{"url": "\xc0\xaf"}',
        b'{"url": "\xed\xa0\x80"}',
        b"not json",
        b"<xml/>",
        b"\x80\x04K\x01.",
        b"\0",
    )
]

NUMBERS = [
    sent(ADD, b'{"url": "x", "metadata": {"a": %s}}' % number, BAD_REQUEST)
    for number in (b"NaN", b"Infinity", b"-Infinity", b"nan", b"inf", b"1e", b"--1", b"1_000")
] + [
    sent(SEARCH, b'{"metadata": "x", "min_score": %s}' % number, BAD_REQUEST)
    for number in (b"NaN", b"Infinity", b"1e400", b"2", b"-1.1", b'"0.5"', b"true", b"[]")
]

KINDS = [sent(SEARCH, raw, OBJECT) for raw in (b"[]", b"null", b"5", b"1.5", b"true", b'"text"')]
KINDS += [sent(SEARCH, b'[{"url": "x"}]', OBJECT)]

DEPTHS = [
    sent(ADD, b"[" * 10_000, BAD_REQUEST, "10,000 opening brackets"),
    sent(ADD, b"[" * 500_000, BAD_REQUEST, "500,000 opening brackets"),
    sent(ADD, b'{"a":' * 100_000, BAD_REQUEST, "100,000 opening objects"),
    sent(ADD, nested(5000), BAD_REQUEST, "5,000 nested lists"),
    sent(ADD, nested(5000, b'{"a":', b"}").replace(b":}", b":1}"), BAD_REQUEST, "5,000 nested objects"),
    sent(ADD, nested(150), refusal("bad_request", "metadata_type", "url_invalid"), "150 nested lists"),
]  # fmt: skip


def each(
    route: str, field: str, values: Iterable[Any], expected: Expected, **more: Any
) -> list[Case]:
    """A field that has each of these values in turn, and the other fields."""
    return [sent(route, {**more, field: value}, expected) for value in values]


SIZES = [
    *each(SEARCH, "limit", (0, -1, 1001, 10**30, 2**63, 2**64, 1.5, 10.0, "10", True, [], {}), refusal("bad_request", says="limit must be"), metadata="x"),
    sent(SEARCH, b'{"metadata": "x", "limit": 1e1}', BAD_REQUEST),
    sent(SEARCH, b'{"metadata": "x", "limit": %s}' % (b"9" * 5000), BAD_REQUEST, "a limit of 5,000 digits"),
    sent(ADD, b'{"url": "x", "metadata": {"a": %s}}' % (b"9" * 100_000), refusal("bad_request", "metadata_type", "url_invalid"), "a number of 100,000 digits"),
    sent(ADD, b'{"url": "x", "metadata": {"a": 1e%s}}' % (b"9" * 1000), refusal("bad_request", "metadata_type", "url_invalid"), "an exponent of 1,000 digits"),
    *each(SEARCH, "offset", (-1, 10**30, 10_001, 0.5, "0", False), refusal("bad_request", says="offset must be"), metadata="x"),
    sent(SEARCH, {"metadata": "x" * 10_001}, refusal("invalid_query", says="at most 10000 characters"), "a text of 10,001 characters"),
    sent(ADD, {"url": "x" * (1 << 20)}, refusal("body_too_large", status=413, says="1048576 bytes"), "a body over the limit"),
    sent(ADD, b" " * (2 << 20), refusal("body_too_large", status=413), "2 MiB of spaces"),
    sent(MANY, {"images": []}, BAD_REQUEST),
    sent(MANY, {"images": [{"url": "x"}] * 257}, BAD_REQUEST, "257 images"),
    sent(MANY, {"images": {}}, BAD_REQUEST),
    sent(MANY, {"images": "x"}, BAD_REQUEST),
    sent(MANY, {}, BAD_REQUEST),
    sent(DELETE, {"ids": []}, BAD_REQUEST),
    sent(DELETE, {"ids": ["x"] * 1001}, BAD_REQUEST, "1,001 ids"),
    sent(DELETE, {"ids": [5]}, BAD_REQUEST),
    sent(DELETE, {"ids": "x"}, BAD_REQUEST),
    sent(DELETE, {"ids": [None]}, BAD_REQUEST),
    sent(DELETE, {"ids": [["x"]]}, BAD_REQUEST),
    sent(DELETE, {"urls": []}, BAD_REQUEST),
    sent(DELETE, {"urls": ["x"] * 1001}, BAD_REQUEST, "1,001 urls"),
    sent(DELETE, {"urls": ["x" * 8193]}, BAD_REQUEST, "a url of 8,193 characters"),
    sent(DELETE, {"urls": [5]}, BAD_REQUEST),
    sent(DELETE, {"urls": ["x"], "ids": ["x"]}, BAD_REQUEST),
    sent(DELETE, {"urls": ["x"], "all": True}, BAD_REQUEST),
    *each(ADD, "id", HOSTILE_IDS, ID, url="http://127.0.0.1:1/"),
    *each(ADD, "id", [5, True, ["x"], {"a": "b"}], BAD_REQUEST, url="http://127.0.0.1:1/"),
    *each(UPDATE, "metadata", [None, {}, [], "x", 5], BAD_REQUEST, set={"n": 1}),
    *each(UPDATE, "set", [5, [], True], BAD_REQUEST, metadata={"n": 1}),
    sent(UPDATE, {}, BAD_REQUEST),
    sent(UPDATE, {"metadata": {"n": 1}}, BAD_REQUEST),
    sent(UPDATE, {"all": True}, BAD_REQUEST),
    sent(UPDATE, {"all": True, "metadata": {"n": 1}, "set": {}}, BAD_REQUEST),
    sent(UPDATE, {"ids": ["x"], "set": {}}, BAD_REQUEST),
    sent(UPDATE, {"metadata": {"$not": {}}, "set": {"n": 1}}, refusal("invalid_filter")),
    sent(DELETE, {}, BAD_REQUEST),
    sent(DELETE, {"metadata": {}}, BAD_REQUEST),
    sent(RESTORE, {}, BAD_REQUEST),
    *each(RESTORE, "version", (0, -1, 2**63 - 1, 10**30, "1", 1.5, True), refusal("bad_request", "unknown_version")),
    *each(RESTORE, "before", ("yesterday", "2026-01-31", "2026-02-30T12:00:00Z", "2026-01-31T12:00:00", 5, "0001-01-01T00:00:00+23:59", ""), BAD_REQUEST),
]  # fmt: skip

FIELDS = [
    sent(ADD, {"url": "x", "surprise": 1}, refusal("bad_request", says="unknown field 'surprise'")),
    sent(ADD, {"url": "x", "Url": "y"}, refusal("bad_request", says="unknown field 'Url'")),
    sent(ADD, {"url": "x", "": 1}, refusal("bad_request", says="unknown field ''")),
    sent(ADD, {"url": "x", "__proto__": {}}, refusal("bad_request", says="unknown field '__proto__'")),
    sent(ADD, {"url": "x", "a\nb": 1}, refusal("bad_request", says="unknown field 'a\\nb'")),
    sent(ADD, {"url": "x", "\u202e": 1}, BAD_REQUEST),
    sent(ADD, {"url": "x", "k" * 100_000: 1}, refusal("bad_request", says="..."), "a field of 100,000"),
    sent(ADD, {"url": "x", **{f"f{n}": n for n in range(5000)}}, BAD_REQUEST, "5,000 fields"),
    sent(ADD, b'{"url": "x", "url": 5}', BAD_REQUEST, "a field twice, of two types"),
    sent(ADD, b'{"url": 5, "url": "x"}', refusal("bad_request", "url_invalid"), "a field twice"),
    *each(ADD, "metadata", (5, 1.5, True, [], [{}]), refusal("bad_request", says="metadata must be an object or a string"), url="x"),
    *each(ADD, "on_duplicate", ("maybe", "", 5, True, []), BAD_REQUEST, url="x"),
    *each(ADD, "exif", (0, 1, "", "true", [], {}, 1.5, "gps"), BAD_REQUEST, url="x"),
    *each(MANY, "exif", (1, "true", []), BAD_REQUEST, images=[{"url": "x"}]),
    *each(DETECT, "confidence", (-0.1, 1.1, "1", [], 10**400), BAD_REQUEST, url="http://x/"),
    *each(DETECT, "format", ("png", "", 5, "IMAGE"), BAD_REQUEST, url="http://x/"),
    *each(SEARCH, "cutoff", ("manual", "", 5, True), BAD_REQUEST, metadata="x"),
    sent(SEARCH, {}, refusal("bad_request", says="no url and no metadata")),
    sent(SEARCH, {"url": "x", "id": "y"}, refusal("bad_request", says="do not go together")),
    *each(SEARCH, "id", (5, "", "x", "x" * 100_000, "' OR 1=1 --", "\0", "\ud800"), refusal("bad_request", "unknown_id")),
    *each(
        SEARCH,
        "query",
        (
            [], {}, "x", 5, [5], [[]], [{}], [{"id": "a", "text": "b"}], [{"text": ""}], [{"id": "nosuch"}],
            [{"text": "b", "weight": 0}], [{"text": "b", "weight": 101}], [{"text": "b", "weight": 10**400}],
            [{"text": "b", "weight": "1"}], [{"text": "b", "weight": True}], [{"text": "b", "x": 1}],
        ),
        refusal("bad_request", "unknown_id"),
    ),
    sent(SEARCH, {"query": [{"text": "b"}] * 17}, BAD_REQUEST, "17 terms"),
    sent(SEARCH, {"query": [{"text": "b" * 10_001}]}, BAD_REQUEST, "a term of 10,001"),
    sent(SEARCH, {"query": [{"text": "b", "weight": 1}, {"text": "b", "weight": -1}]}, refusal("bad_request", says="cancel")),
    sent(NO_ID, {}, BAD_REQUEST, "nothing to patch", method="PATCH"),
    sent(NO_ID, {"metadata": 5}, BAD_REQUEST, "patched with a number", method="PATCH"),
    sent(NO_ID, {"metadata": []}, BAD_REQUEST, "patched with a list", method="PATCH"),
    sent(NO_ID, {"id": "x", "metadata": {}}, BAD_REQUEST, "an id in a patch's body", method="PATCH"),
]  # fmt: skip

WRONG: list[Any] = [5, [], {"": 1}, {"$a": 1}, {"a": {"b": 1}}, {"a": [1]}, {"a": 2**64}]
METADATA = [
    sent(ADD, {"url": "x", "metadata": {"a": "\ud800"}}, INVALID),
    sent(ADD, {"url": "x", "metadata": {"\ud800": 1}}, INVALID),
    sent(ADD, {"url": "x", "metadata": "\udfff"}, INVALID),
    # Of many images each fails alone, so that the request as a whole succeeds.
    *(sent(MANY, {"images": [{"url": "x", "metadata": one}]}, Expected(200)) for one in WRONG),
]  # fmt: skip

NOT_JSON = refusal(
    "not_json",
    status=415,
    says="the Content-Type must be application/json or multipart/form-data or image/*",
)
NOT_JSON_HERE = refusal("not_json", status=415)
TYPES = [
    sent(ADD, b'{"url": "x"}', NOT_JSON, f"Content-Type: {kind}", Content_Type=kind)
    for kind in (
        "text/plain", "", "multipart/mixed; boundary=x", "application/x-www-form-urlencoded", "image/", "image",
        "application/vnd.bentoml+pickle", "application/octet-stream", "text/json", "application/xml",
        "application/jsonp", "application/json-patch+json", "application/merge-patch+json",
        "*/*", "json", "application/json, text/plain",
    )
] + [
    sent(ADD, b'{"url": "x"}', refusal("url_invalid"), f"Content-Type: {kind}", Content_Type=kind)
    for kind in ("application/json; charset=utf-8", "Application/JSON", "application/json;charset=latin-1")
]  # fmt: skip

FORM = "multipart/form-data; boundary=b"


def form(*parts: str, end: str = "--b--\r\n") -> bytes:
    """Parts of a form, each a head and a text."""
    return (
        "".join(f"--b\r\nContent-Disposition: form-data; {one}\r\n" for one in parts) + end
    ).encode()


PICTURE = 'name="image"; filename="x"\r\n\r\nno picture'
FORMS = [
    sent(route, body, expected, f"{route}: a form: {title}", Content_Type=FORM)
    for route in (SEARCH, DETECT)
    for title, body, expected in (
        ("a url as well", form(PICTURE, 'name="url"\r\n\r\nhttp://example.com/'), BAD_REQUEST),
    )
] + [
    sent(route, body, expected, f"{route}: a form: {title}", Content_Type=FORM)
    for route in (ADD, SEARCH, DETECT)
    for title, body, expected in (
        ("empty", b"", BAD_REQUEST),
        ("no form", b"{}", BAD_REQUEST),
        ("no end", form(PICTURE, end=""), BAD_REQUEST),
        ("no picture but text", form(PICTURE), refusal("not_an_image")),
        ("two pictures", form(PICTURE, PICTURE), BAD_REQUEST),
        ("a picture without a file name", form('name="image"\r\n\r\nx'), BAD_REQUEST),
        ("another file", form('name="file"; filename="x"\r\n\r\nx'), BAD_REQUEST),
        ("an unknown field", form(PICTURE, 'name="x"\r\n\r\ny'), BAD_REQUEST),
        ("a nameless part", form("\r\n\r\nx"), BAD_REQUEST),
        ("a bad metadata object", form(PICTURE, 'name="metadata"\r\n\r\n{"a"'), BAD_REQUEST),
        ("many parts", form(*(f'name="x{n}"\r\n\r\n' for n in range(30_000))), BAD_REQUEST),
        ("a long head", form(f'name="{"x" * 500_000}"\r\n\r\ny'), BAD_REQUEST),
        ("many heads", b"--b\r\n" + b"X: y\r\n" * 100_000 + b"\r\n--b--\r\n", BAD_REQUEST),
        ("all boundaries", b"--b\r\n" * 200_000, BAD_REQUEST),
        ("boundaries that never end", form('name="image"; filename="x"\r\n\r\n' + "\r\n--b\r" * 200_000), BAD_REQUEST),
        ("a boundary of spaces", form('name="image"; filename="x"\r\n\r\n\r\n--b' + " " * 1_000_000), BAD_REQUEST),
        ("large metadata", form(PICTURE, 'name="metadata"\r\n\r\n{"a":"' + "\\n" * 900_000 + '"}'), BAD_REQUEST),
        ("nearly boundaries", form('name="image"; filename="x"\r\n\r\n' + "\r\n--" * 200_000), refusal("not_an_image")),
    )
] + [
    sent(ADD, form(PICTURE), refusal("foreign_form", status=415), "cross-origin form refused", Content_Type=FORM, Origin="https://evil.example"),
    sent(ADD, form(PICTURE), BAD_REQUEST, "a form without a boundary", Content_Type="multipart/form-data"),
    sent(ADD, b"", BAD_REQUEST, "an empty picture", Content_Type="image/png"),
    sent(ADD, b"GIF89a", refusal("image_broken", "not_an_image"), "half a picture", Content_Type="image/png"),
    sent(f"{SEARCH}?url=http://example.com/", b"x", BAD_REQUEST, "a picture, and a url in the query", Content_Type="image/png"),
    sent(f"{ADD}?url=javascript:alert(1)", b"x", refusal("url_invalid"), "a picture, and a script for its url", Content_Type="image/png"),
    sent(f"{ADD}?url=upload:x", b"x", BAD_REQUEST, "a picture, and another's url", Content_Type="image/png"),
    sent(f"{ADD}?id=a/b", b"x", ID, "a picture, and a path for its id", Content_Type="image/png"),
    sent(f"{ADD}?exif=yes", b"x", BAD_REQUEST, "a picture, and a word for a boolean", Content_Type="image/png"),
    sent(f"{ADD}?a=1&a=2", b"x", BAD_REQUEST, "a picture, and a parameter twice", Content_Type="image/png"),
    sent(MANY, form(PICTURE), NOT_JSON_HERE, "a form for many", Content_Type=FORM),
    sent("delete_images", form(PICTURE), NOT_JSON_HERE, "a form for a deletion", Content_Type=FORM),
]  # fmt: skip

ENCODINGS = [
    sent(ADD, gzip.compress(b'{"url": "x"}'), refusal("encoded_body", status=415), f"a body in {kind}", Content_Type="application/json", Content_Encoding=kind)
    for kind in ("gzip", "deflate", "br", "gzip, gzip", "nonsense")
] + [
    sent(ADD, b'{"url": "x"}', refusal("url_invalid"), "a body in identity", Content_Type="application/json", Content_Encoding="identity"),
]  # fmt: skip

ORIGINS = [
    Case(f"{method} from another origin", expected, path=ADD, method=method, body=b'{"url": "x"}', headers={**JSON, "Origin": "https://evil.example", "Access-Control-Request-Method": "POST"})
    for method, expected in (("POST", refusal("url_invalid")), ("OPTIONS", refusal("method_not_allowed", status=405)))
]  # fmt: skip

ROUTES = [
    sent(path, b"{}", refusal("not_found", status=404), f"POST /{path}")
    for path in ("nosuch", "post_image_to_index/", "POST_IMAGE_TO_INDEX", "..%2f..%2fetc/passwd", "%00")
] + [
    sent(path, None, refusal(code, status=status), f"{method} /{path:.40}", method=method)
    for method, path, status, code in (
        ("GET", ADD, 405, "method_not_allowed"),
        ("PUT", "images", 405, "method_not_allowed"),
        ("DELETE", "index", 405, "method_not_allowed"),
        ("GET", "images/x", 404, "not_found"),
        ("GET", "images/%27%20OR%201=1", 404, "not_found"),
        ("GET", "images/%00", 404, "not_found"),
        ("DELETE", "images/..%5c", 404, "not_found"),
        ("GET", "images/" + "x" * 8000, 404, "not_found"),
        ("GET", "images?limit=0", 400, "bad_request"),
        ("GET", "images?limit=1001", 400, "bad_request"),
        ("GET", "images?limit=ten", 400, "bad_request"),
        ("GET", "images?limit=1e1", 400, "bad_request"),
        ("GET", "images?limit=", 400, "bad_request"),
        ("GET", "images?limit=%00", 400, "bad_request"),
        ("GET", "images?limit=１", 400, "bad_request"),
        ("GET", "images?limit=1&limit=2", 400, "bad_request"),
        ("GET", "images?offset=-1", 400, "bad_request"),
        ("GET", f"images?offset={10**30}", 400, "bad_request"),
        ("GET", "images?offset=" + "9" * 5000, 400, "bad_request"),
        ("GET", "images?page=2", 400, "bad_request"),
        ("GET", "index?x=1", 400, "bad_request"),
        ("GET", "index/versions?limit=3", 400, "bad_request"),
    )
]  # fmt: skip

CASES = [
    *MALFORMED,
    *NUMBERS,
    *KINDS,
    *DEPTHS,
    *SIZES,
    *FIELDS,
    *METADATA,
    *TYPES,
    *FORMS,
    *ENCODINGS,
    *ORIGINS,
    *ROUTES,
]
