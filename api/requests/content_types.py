"""Content types of request bodies: JSON, and pictures on the routes that take them.

Other types let any web page post here without a CORS preflight, and one of BentoML's own would be
answered in BentoML's words. A form is such a type, too: a browser sends it for any page. But it
names the page's origin, so that a cross-origin form is refused.
"""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import Scope

WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
MEDIA_TYPE = "image_search.media_type"
"""Key of the scope under which the gate puts the `media_type` of a body."""

JSON_TYPE = "application/json"
MERGE_PATCH_TYPE = "application/merge-patch+json"
FORM_TYPE = "multipart/form-data"
PICTURE_TYPES = "image/*"
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
"""The methods whose requests have a body."""

UPLOAD_PATHS = frozenset(
    {
        "/post_image_to_index",
        "/search_simmilar_images",
        "/search_similar_images",
        "/run_object_detection",
    }
)
"""The routes that take a picture itself in place of its address."""


def media_type(scope: Scope) -> str | None:
    """The type that a body is said to have, JSON where nothing is said; None for two of them."""
    given = Headers(scope=scope).getlist("content-type") or [JSON_TYPE]
    return given[0].split(";")[0].strip().lower() if len(given) == 1 else None


def accepted_types(method: str, path: str) -> list[str]:
    """The types that a method takes at a path; PATCH also that of RFC 7396."""
    if method == "PATCH":
        return [JSON_TYPE, MERGE_PATCH_TYPE]
    return [JSON_TYPE, FORM_TYPE, PICTURE_TYPES] if path in UPLOAD_PATHS else [JSON_TYPE]


def is_upload(path: str, kind: str | None) -> bool:
    """Whether a type is a picture file's, or a form's with one, where a path takes that.

    Which format a picture has, the decoder sees by itself.
    """
    if kind is None or path not in UPLOAD_PATHS:
        return False
    return kind == FORM_TYPE or (kind.startswith("image/") and kind != "image/")


def is_foreign_form(scope: Scope, origins: Collection[str]) -> bool:
    """Whether a browser sends this form for a page of another host than this one.

    A browser names the page's origin with every POST (Fetch standard, 3.1); other clients name
    none. Schemes are not compared: whoever ends TLS in front of this does not say so here.

    Args:
        scope: of the request.
        origins: those that may; `*` for all.
    """
    headers = Headers(scope=scope)
    match headers.getlist("origin"):
        case []:
            return False
        case [origin] if {origin, "*"} & set(origins):
            return False
        case [origin]:
            own = origin.partition("://")[2].lower()
            return not own or own != headers.get("host", "").lower()
    return True  # two: ambiguous
