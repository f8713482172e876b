"""Base of the request models: read, parse and check a request, and say in one line what is wrong.

BentoML's own reading accepts any content type, has no size limit and answers malformed JSON with
status 500; its hook for another reading is `IODescriptor.from_http_request`. A mounted route
without a body reads path and query with `from_address`.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import bentoml
from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError
from starlette.requests import Request

from api.errors import MediaTypeError, MissingUrlError, RequestError
from api.requests.content_types import JSON_TYPE, MEDIA_TYPE, MERGE_PATCH_TYPE, accepted_types
from api.requests.source import Source
from api.requests.strict_json import json_object
from api.requests.uploads import query_texts, read_upload, typed
from api.requests.validation import in_words

_JSON_TYPES = (JSON_TYPE, MERGE_PATCH_TYPE)


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
    _upload: bytes | None = PrivateAttr(default=None)

    def source(self, url: str) -> Source:
        """The picture of a url in this request: the uploaded file, or what is to be fetched."""
        return Source(url, self._upload)

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Parsed:  # noqa: ARG003
        """Read, parse and check a body; returns errors of the request, and does not raise them."""
        try:
            body, picture = await request.body(), None
            kind = request.scope.get(MEDIA_TYPE, JSON_TYPE)
            if kind in _JSON_TYPES:
                if body and "content-type" not in request.headers:
                    raise MediaTypeError(accepted_types(request.method, request.url.path))
                fields = json_object(body) if body else {}
            else:
                fields, picture = await read_upload(cls, request, kind, body)
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
