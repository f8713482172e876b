"""Metadata keys: too many new ones in a request, and dropping what is no key; old files of a page."""

from typing import Any

from tests.guard.case import Case, Expected, refusal, sent

UNKNOWN = refusal("unknown_key", says="unknown metadata key")
TOO_MANY = refusal("metadata_limit", says="at most 32 new metadata keys")
NOWHERE = refusal("not_found", status=404)
NO_METHOD = refusal("method_not_allowed", status=405)
URL = "http://nowhere.invalid/x.jpg"


def new(first: int, count: int, value: object = 1) -> dict[str, object]:
    """Keys that no row stores: each row is refused, or its picture is."""
    return {f"new {n}": value for n in range(first, first + count)}


def dropped(key: str, expected: Expected = UNKNOWN, method: str = "DELETE") -> Case:
    path = f"index/columns/{key}"
    return sent(path, None, expected, f"{method} /{path:.80}", method)


NOT_KEYS = (
    *("nosuch", "S", "s%20", "s%00", "%00", "s/", "s%2F", "/s", "//", "%2Fs", "s%3F", "s%23"),
    *("m_0", "id", "url", "vector", "text", "created_at", "pixels", "file", "_rowid", "$text"),
    *("%2E", "%2E%2E", "%2E%2E%2Fversions", "..%2F..%2Fimages", "%252e%252e", "*", "%25", "%FF"),
    *("%0A", "s%0Ax", "%0D%0AX-Injected:%201", "%F0%9F%A6%8A", "%E2%80%AEevil", "%ED%A0%80"),
    *("'%20OR%201=1%20--", "s'%20OR%20'1'='1", "s;DROP%20TABLE%20images", "%22", "%60", "k" * 5000),
)
DROPS = [
    *(dropped(key) for key in NOT_KEYS),
    dropped("s?key=n", refusal("bad_request", says="belongs into the path")),
    dropped("s?force=true", refusal("bad_request", says="unknown field")),
    dropped("", NOWHERE),
    *(dropped("s", NO_METHOD, method) for method in ("GET", "PATCH", "POST")),
]


def declared(key: str, body: Any, expected: Expected) -> Case:
    return sent(f"index/columns/{key}", body, expected, f"PUT {key:.40} {body!s:.60}", "PUT")


BAD_BODY = refusal("bad_request")
BODIES: list[Any] = [
    {}, [], "string", {"type": None}, {"type": ""}, {"type": "String"}, {"type": "varchar"},
    {"type": 5}, {"type": ["string"]}, {"type": "string\0"}, {"type": "a string"},
    {"type": "string", "key": "other"}, {"type": "string", "force": True},
]  # fmt: skip
DECLARATIONS = [
    *(declared("d", body, BAD_BODY) for body in BODIES),
    *(declared(key, {"type": "string"}, refusal("metadata_type")) for key in ("$text", "$and", "$")),
    declared("k" * 129, {"type": "string"}, refusal("metadata_limit")),
    declared("s", {"type": "integer"}, refusal("metadata_conflict")),
    declared("s", {"type": "list of strings"}, refusal("metadata_conflict")),
    declared("s", {"type": "string"}, Expected(200)),
    declared("", {"type": "string"}, NOWHERE),
]  # fmt: skip

BATCH = [{"url": f"{URL}?{n}", "metadata": new(n, 1)} for n in range(256)]
BRINGING = [
    sent("post_image_to_index", {"url": URL, "metadata": new(0, count)}, TOO_MANY, f"{count} new")
    for count in (33, 64)
] + [
    sent("post_image_to_index", {"url": URL, "metadata": new(0, 101)}, refusal("metadata_limit"), "101 new"),
    sent("post_image_to_index", {"url": URL, "metadata": new(0, 200, None)}, refusal("host_unreachable"), "200 keys without a value"),
    sent("images/0", {"metadata": new(0, 33)}, TOO_MANY, "33 new in a patch", "PATCH"),
    sent("images/0", {"metadata": new(0, 500)}, TOO_MANY, "500 new in a patch", "PATCH"),
    sent("images/0", {"metadata": new(0, 200, None)}, NOWHERE, "200 removed by a patch", "PATCH"),
    sent("post_images_to_index", {"images": BATCH}, Expected(200), "256 images, a new key each"),
]  # fmt: skip

OLD = [
    sent(f"static_content/{name}", None, NOWHERE, f"BentoML's own {name}", "GET")
    for name in ("swagger-ui-bundle.js", "swagger-ui-standalone-preset.js", "index.css", "")
]

CASES = [*DROPS, *DECLARATIONS, *BRINGING, *OLD]
