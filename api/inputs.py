"""From an HTTP request to a checked request model, with this project's own words for what is wrong.

BentoML's own reading accepts any content type, has no size limit and answers malformed JSON with
status 500; its hook for another reading is `IODescriptor.from_http_request`.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import bentoml
from pydantic import ConfigDict, ValidationError
from pydantic_core import ErrorDetails, from_json
from starlette.requests import ClientDisconnect, Request

from api.errors import BodyTooLargeError, MissingUrlError, NotJsonError, RequestError

_TYPE_NAMES = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "list_type": "a list",
    "dict_type": "an object",
}


@dataclass(frozen=True)
class Carried:
    """The one argument `request` of a route: a checked request, or the error that reading gave.

    BentoML reads the names of a route's arguments from `model_fields`. It also turns whatever is
    raised while reading into its own error document, so an error travels as a value.
    """

    request: "JsonInput | RequestError"
    model_fields: ClassVar[tuple[str, ...]] = ("request",)


class JsonInput(bentoml.IODescriptor):
    """Base of the request models: one JSON object, of known fields and strict types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    max_body_bytes: ClassVar[int] = 1 << 20
    body_timeout_s: ClassVar[float] = 30
    url_missing: ClassVar[str | None] = None
    """The fixed message for a missing, null or empty url, where the route needs one."""

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Carried:  # noqa: ARG003
        """Read, parse and check; never raises a RequestError but carries it."""
        try:
            async with asyncio.timeout(JsonInput.body_timeout_s):
                body = await _read_body(request, JsonInput.max_body_bytes)
            return Carried(cls.checked(_parsed(body, request)))
        except RequestError as error:
            return Carried(error)
        except TimeoutError:
            return Carried(RequestError("the request body came too slowly"))
        except ClientDisconnect:
            return Carried(RequestError("the client went away"))

    @classmethod
    def checked(cls, body: dict[str, Any]) -> Self:
        """Validate a parsed body.

        Raises:
            RequestError: with the first thing that is wrong and what would be right.
        """
        if cls.url_missing is not None and body.get("url") in (None, ""):
            raise MissingUrlError(cls.url_missing)
        try:
            request: Self = cls.model_validate(body)
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=True)[0]
            raise RequestError(_in_words(details, list(cls.model_fields))) from None
        return request


def _parsed(body: bytes, request: Request) -> dict[str, Any]:
    if not body:
        return {}
    if "content-type" not in request.headers:
        raise NotJsonError
    try:
        parsed = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise RequestError(f"the body is not valid JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise RequestError('the body must be a JSON object such as {"url": "https://..."}')
    return parsed


async def _read_body(request: Request, max_bytes: int) -> bytes:
    """The body, counted while it comes in: a header may lie."""
    too_large = BodyTooLargeError(f"the request body is larger than {max_bytes} bytes")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise too_large
    return bytes(body)


def _in_words(details: ErrorDetails, known: list[str]) -> str:
    """One line for a pydantic error: the field, what is wrong, what would be right."""
    field = str(details["loc"][0]) if details["loc"] else "body"
    kind = details["type"]
    if kind == "extra_forbidden":
        return f"unknown field {_short(field)}; known fields: {', '.join(known)}"
    if field == "metadata":
        return "metadata must be an object or a string"
    if kind in _TYPE_NAMES:
        return f"{field} must be {_TYPE_NAMES[kind]}"
    reason = details["msg"].removeprefix("Input ").replace("should be", "must be")
    return f"{field} {reason}"


def _short(name: str) -> str:
    return repr(name if len(name) <= 64 else name[:61] + "...")
