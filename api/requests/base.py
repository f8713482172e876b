"""From an HTTP request to a checked request model, with this project's own words for what is wrong.

BentoML's own reading accepts any content type, has no size limit and answers malformed JSON with
status 500; its hook for another reading is `IODescriptor.from_http_request`. A
mounted route without a body reads its address with `from_address`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import bentoml
from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from starlette.requests import Request

from api.errors import MissingUrlError, RequestError
from api.requests.reader import query_texts, read, typed
from api.requests.source import Source
from api.requests.validation import in_words


@dataclass(frozen=True)
class Carried:
    """The one argument `request` of a route: a checked request, or the error that reading gave.

    BentoML reads the names of a route's arguments from `model_fields`. It also turns whatever is
    raised while reading into its own error document, so an error travels as a value.
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

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, given: Any) -> Any:
        return without_nulls(cls, given)

    def source(self, url: str) -> Source:
        """The picture that a url of this request means: what came with it, or is there."""
        return Source(url, self._upload)

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Carried:  # noqa: ARG003
        """Read, parse and check a body; never raises a RequestError but carries it."""
        try:
            given = await read(cls, request)
            checked = cls.checked(given.fields, request.path_params)
            checked._upload = given.upload
            return Carried(checked)
        except RequestError as error:
            return Carried(error)

    @classmethod
    def from_address(cls, request: Request) -> Carried:
        """Check what the path and the query hold; carries errors as `from_http_request` does."""
        try:
            return Carried(cls.checked(typed(cls, query_texts(request)), request.path_params))
        except RequestError as error:
            return Carried(error)

    @classmethod
    def checked(cls, given: dict[str, Any], path: Mapping[str, Any] | None = None) -> Self:
        """Validate a parsed body or query, together with what the path holds.

        Raises:
            RequestError: with the first thing that is wrong and what would be right.
        """
        if cls.url_missing is not None and given.get("url") in (None, ""):
            raise MissingUrlError(cls.url_missing)
        known = [name for name in cls.model_fields if name not in cls.path_fields]
        misplaced = cls.path_fields & given.keys()
        if misplaced:
            raise RequestError(f"{min(misplaced)} belongs into the path alone")
        try:
            request: Self = cls.model_validate({**given, **(path or {})})
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=True)
            raise RequestError(in_words(min(details, key=_rank), known)) from None
        return request


def without_nulls(model: type[BaseModel], given: Any) -> Any:
    """What was given to a model, but for nulls where a field may be absent."""
    if not isinstance(given, dict):
        return given
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    absent = model.model_fields.keys() - required
    return {name: value for name, value in given.items() if value is not None or name not in absent}


def _rank(details: ErrorDetails) -> bool:
    """Unknown fields come first: what is missing may stand there misspelt."""
    return details["type"] != "extra_forbidden"
