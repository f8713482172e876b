"""What a body may be, by what is said of it: JSON, and pictures on the routes that take them.

Other types let any web page post here without asking first (CORS), and one of BentoML's own would
be answered in BentoML's words. A form is such a type, too: a browser sends it for any page. But it
tells from where, so that a foreign page's is refused.
"""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import Scope

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


def is_accepted(scope: Scope) -> bool:
    """Whether a body is said to be of a type that is taken there."""
    kind = media_type(scope)
    if kind is None:
        return False
    return kind in accepted_types(scope["method"], scope["path"]) or is_upload(scope)


def is_upload(scope: Scope) -> bool:
    """Whether a body is said to be a picture, or a form with one, where that is taken."""
    if scope["path"] not in UPLOAD_PATHS:
        return False
    kind = media_type(scope)
    return kind == FORM_TYPE or is_picture(kind)


def is_picture(kind: str | None) -> bool:
    """Whether a type is that of a picture file. Which format it is, the decoder sees by itself."""
    return kind is not None and kind.startswith("image/") and len(kind) > len("image/")


def is_foreign_form(scope: Scope, origins: Collection[str]) -> bool:
    """Whether a browser sends a form for a page of another host than this one.

    A browser names the page's origin with every POST (Fetch standard, 3.1); other clients name
    none. Schemes are not compared: whoever ends TLS in front of this does not say so here.

    Args:
        scope: of the request.
        origins: those that may; `*` for all.
    """
    if media_type(scope) != FORM_TYPE:
        return False
    headers = Headers(scope=scope)
    match headers.getlist("origin"):
        case []:
            return False
        case [origin] if {origin, "*"} & set(origins):
            return False
        case [origin]:
            own = origin.partition("://")[2].lower()
            return not own or own != headers.get("host", "").lower()
    return True  # two: whose it is, nobody can tell
