"""Scopes: what the keys of the stage's file may do, and what they may not."""

import json
from dataclasses import replace
from typing import Any

from tests.guard.case import BAD_REQUEST, SCOPED, Case, Expected, refusal, sent

OK, NO_URL, NOT_FOUND = Expected(200), refusal(), refusal("not_found", status=404)
UNKNOWN_KEY = refusal("unknown_key")
NOT_TAKEN = refusal("method_not_allowed", status=405)
OTHER_MODEL = {"model": {"name": "x", "pretrained": "y"}, "dim": 2, "rows": [{}]}
LEVELS = ("read", "write", "admin")

ROUTES: tuple[tuple[str, str, Any, str, Expected], ...] = (
    ("GET", "heartbeat", None, "read", OK),
    ("GET", "images?limit=1", None, "read", OK),
    ("HEAD", "images", None, "read", OK),
    ("GET", "images/x", None, "read", NOT_FOUND),
    ("GET", "images/x/image", None, "read", NOT_FOUND),
    ("GET", "images/x/thumbnail", None, "read", NOT_FOUND),
    ("GET", "index", None, "read", OK),
    ("GET", "index/columns", None, "read", OK),
    ("GET", "index/versions", None, "read", OK),
    ("GET", "metrics", None, "read", OK),
    ("GET", "docs.json", None, "read", OK),
    ("GET", "schema.json", None, "read", OK),
    ("GET", "healthz", None, "read", OK),
    ("POST", "search_simmilar_images", {}, "read", BAD_REQUEST),
    ("POST", "search_similar_images", {}, "read", BAD_REQUEST),
    ("POST", "run_object_detection", {}, "read", NO_URL),
    ("POST", "post_image_to_index", {}, "write", NO_URL),
    ("POST", "post_images_to_index", {"images": []}, "write", BAD_REQUEST),
    ("PATCH", "images/x", {"metadata": {}}, "write", NOT_FOUND),
    ("DELETE", "images/x", None, "write", NOT_FOUND),
    ("POST", "delete_images", {"ids": ["x"]}, "write", OK),
    ("POST", "delete_images", {}, "write", BAD_REQUEST),
    ("POST", "delete_images", {"urls": ["x"]}, "write", OK),
    ("GET", "images?url=x", None, "read", OK),
    ("POST", "update_images", {"metadata": {"nosuch": 1}, "set": {}}, "admin", UNKNOWN_KEY),
    ("POST", "update_images", {"all": True}, "admin", BAD_REQUEST),
    ("POST", "index/restore", {"version": 1 << 62}, "admin", refusal("unknown_version")),
    ("GET", "index/log?limit=1", None, "admin", OK),
    ("HEAD", "index/log", None, "admin", OK),
    ("GET", "index/log?action=x", None, "admin", BAD_REQUEST),
    ("POST", "index/undo", {}, "admin", BAD_REQUEST),
    ("GET", "index/export?limit=1", None, "admin", OK),
    ("GET", "index/export", None, "admin", OK),
    ("HEAD", "index/export", None, "admin", OK),
    ("GET", "index/export?cursor=x", None, "admin", BAD_REQUEST),
    ("POST", "index/import", {}, "admin", BAD_REQUEST),
    ("POST", "index/import", OTHER_MODEL, "admin", refusal("other_model")),
    ("DELETE", "index/columns/nosuch", None, "admin", UNKNOWN_KEY),
    ("PUT", "index/columns/nosuch", {"type": 5}, "admin", refusal("bad_request")),
    ("DELETE", "index/columns/no%2Fsuch", None, "admin", UNKNOWN_KEY),
    ("PUT", "images", {}, "admin", NOT_TAKEN),
    ("DELETE", "images", None, "admin", NOT_TAKEN),
    ("OPTIONS", "images", None, "admin", NOT_TAKEN),
    ("GET", "delete_images", None, "admin", NOT_TAKEN),
    ("POST", "index/export", {}, "admin", NOT_TAKEN),
    ("GET", "index/import", None, "admin", NOT_TAKEN),
    ("HEAD", "index/restore", None, "admin", NOT_TAKEN),
)


def with_key(case: Case, name: str) -> Case:
    given = {**case.headers, "Authorization": f"Bearer {SCOPED[name]}"}
    return replace(case, title=f"{name}: {case.title}", headers=given, keyless=True)


def forbidden(needed: str) -> Expected:
    return refusal("forbidden", status=403, says=f"'{needed}'")


def asked(method: str, path: str, body: Any, expected: Expected) -> Case:
    shown = "" if body is None else json.dumps(body)
    return sent(path, body, expected, f"{method} /{path} {shown}", method)


REACHED = [
    with_key(
        asked(method, path, body, expected if level >= LEVELS.index(needed) else forbidden(needed)),
        name,
    )
    for method, path, body, needed, expected in ROUTES
    for level, name in enumerate(LEVELS)
]
# For who has no such key there is nothing, whatever is there.
NOWHERE = [
    with_key(asked(method, path, None, NOT_FOUND), name)
    for method, path in (("GET", "nosuch"), ("DELETE", "images/x/image/y"), ("GET", "images/"))
    for name in LEVELS
]
# The route is for `write`, but these are not.
BROAD: list[dict[str, Any]] = [{"metadata": {"nosuch": 1}}, {"metadata": {}}, {"all": True}]
MORE_THAN_IDS = [
    with_key(asked("POST", "delete_images", body, expected), name)
    for body in BROAD
    for name, expected in (("read", forbidden("write")), ("write", forbidden("admin")))
    if not (name == "write" and body == {"metadata": {}})  # refused before that
] + [with_key(asked("POST", "delete_images", {"metadata": {"nosuch": 1}}, UNKNOWN_KEY), "admin")]

CASES = [*REACHED, *NOWHERE, *MORE_THAN_IDS]
