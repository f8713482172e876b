"""Reader of requests: from a body or an address to a checked model, or one line on what is wrong.

BentoML's own reading accepts any content type, has no size limit and answers malformed JSON with
status 500; its hook for another reading is `IODescriptor.from_http_request`. A mounted route
without a body reads path and query with `from_address`.

Bodies are JSON, and pictures on the routes that take them. Other types let any web page post here
without a CORS preflight, and one of BentoML's own would be answered in BentoML's words. A form is
such a type, too: a browser sends it for any page. But it names the page's origin, so that a
cross-origin form is refused.
"""

import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import bentoml
from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from api.errors import MediaTypeError, MissingUrlError, RequestError
from api.requests.multipart import FORM_TYPE
from api.requests.source import INSTEAD_OF_A_PICTURE, Source
from api.requests.strict_json import json_object
from api.requests.uploads import as_picture, query_texts, read_upload, typed
from api.requests.validation import in_words

MEDIA_TYPE = "image_search.media_type"
"""Key of the scope under which the gate puts the `media_type` of a body."""

JSON_TYPE = "application/json"
MERGE_PATCH_TYPE = "application/merge-patch+json"
_JSON_TYPES = (JSON_TYPE, MERGE_PATCH_TYPE)
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


@dataclass(frozen=True)
class Parsed:
    """The one argument `request` of a route: a checked request, or the error of reading it.

    BentoML reads the names of a route's arguments from `model_fields`. It also turns whatever is
    raised while reading into its own error document, so an error is passed on as a value.
    """

    request: "JsonInput | RequestError"
    model_fields: ClassVar[tuple[str, ...]] = ("request",)


class JsonInput(bentoml.IODescriptor):
    """Base of the request models: known fields of strict types.

    They stand in one JSON object, or in a form where pictures are taken, but for those that the
    address holds.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    url_missing: ClassVar[str | None] = None
    """The fixed message for a missing, null or empty url, where the route needs one."""
    path_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields that stand in the path."""
    instead_of_a_picture: ClassVar[tuple[str, ...]] = INSTEAD_OF_A_PICTURE
    """Fields that do not go together with an uploaded picture."""
    _upload: bytes | None = PrivateAttr(default=None)

    def source(self, url: str) -> Source:
        """The picture of a url in this request: the uploaded file, or what is to be fetched."""
        return Source(url, self._upload)

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Parsed:  # noqa: ARG003
        """Read, parse and check a body; returns errors of the request, and does not raise them."""
        try:
            # Not `body()`, which keeps it until the answer is sent.
            body = b"".join([part async for part in request.stream() if part])
            picture = None
            kind = request.scope.get(MEDIA_TYPE, JSON_TYPE)
            if kind in _JSON_TYPES:
                if body and "content-type" not in request.headers:
                    raise MediaTypeError(accepted_types(request.method, request.url.path))
                fields = json_object(body) if body else {}
            else:
                fields, picture = await read_upload(cls, request, kind, body)
                if picture is not None:
                    fields = await as_picture(fields, picture, cls.instead_of_a_picture)
            checked = cls.checked(fields, request.path_params)
            checked._upload = picture
            return Parsed(checked)
        except RequestError as error:
            return Parsed(error)

    @classmethod
    def from_address(cls, request: Request) -> Parsed:
        """Check what the path and the query hold; returns errors as `from_http_request` does."""
        try:
            return Parsed(cls.checked(typed(cls, query_texts(request)), request.path_params))
        except RequestError as error:
            return Parsed(error)

    @classmethod
    def checked(cls, given: dict[str, Any], path: Mapping[str, Any] | None = None) -> Self:
        """Validate a parsed body or query, together with what the path holds.

        Raises:
            RequestError: with the first thing that is wrong and what would be right.
        """
        given = trimmed(given)
        if cls.url_missing is not None and given.get("url") in (None, ""):
            raise MissingUrlError(cls.url_missing)
        misplaced = cls.path_fields & given.keys()
        if misplaced:
            raise RequestError(f"{min(misplaced)} belongs into the path alone")
        try:
            request: Self = cls.model_validate({**without_nulls(cls, given), **(path or {})})
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=True)
            known = [name for name in cls.model_fields if name not in cls.path_fields]
            # Unknown fields come first: what is missing may stand there misspelt.
            first = min(details, key=lambda one: one["type"] != "extra_forbidden")
            raise RequestError(in_words(first, known)) from None
        return request


def trimmed(given: Any) -> Any:
    """What was given to a model, its url without the blanks that were copied along with it."""
    url = given.get("url") if isinstance(given, dict) else None
    return {**given, "url": url.strip()} if isinstance(url, str) else given


def without_nulls(model: type[BaseModel], given: Any) -> Any:
    """What was given to a model, but for nulls where a field may be absent."""
    if not isinstance(given, dict) or None not in given.values():
        return given
    optional = _optional(model)
    return {key: value for key, value in given.items() if value is not None or key not in optional}


@functools.cache
def _optional(model: type[BaseModel]) -> frozenset[str]:
    fields = model.model_fields.items()
    return frozenset(name for name, field in fields if not field.is_required())


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
