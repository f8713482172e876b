"""Uploaded pictures, as a body or in a form; and fields that came as texts, not as JSON."""

import asyncio
import functools
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from pydantic import BaseModel
from starlette.requests import Request

from api.errors import RequestError
from api.requests.multipart import FORM_TYPE, parse_form
from api.requests.source import UPLOAD_PREFIX, is_upload_url, upload_url
from api.requests.strict_json import json_value
from api.requests.validation import short

_MAX_QUERY_CHARS = 8192
# Python reads no integer of more than 4300 digits from a text.
_INTEGER = re.compile(r"-?[0-9]{1,4300}")
_NUMBER = re.compile(r"-?[0-9]{1,300}(?:\.[0-9]{1,300})?(?:[eE][+-]?[0-9]{1,3})?")
_BOOLEANS = {"true": True, "false": False}


async def read_upload(
    model: type[BaseModel], request: Request, kind: str | None, body: bytes
) -> tuple[dict[str, Any], bytes | None]:
    """Take a form apart, or a picture's file whose other fields are in the query.

    Args:
        model: what the fields are for.
        request: the request.
        kind: its media type.
        body: its body.

    Returns:
        The fields by name, as JSON would have them, and the picture's file.

    Raises:
        RequestError: the body is not what it is said to be.
    """
    if kind == FORM_TYPE:
        if request.url.query:
            raise RequestError("with a form all fields stand in the form, and none in the query")
        # Megabytes may be in it: not on the event loop.
        form = await asyncio.to_thread(parse_form, body, request.headers["content-type"])
        # A form's field that was left empty is sent all the same.
        filled = {name: text for name, text in form.texts.items() if text}
        return typed(model, filled), form.picture
    if not body:
        raise RequestError("the body is empty: it must be the picture's file")
    return typed(model, query_texts(request)), body


async def as_picture(
    fields: dict[str, Any], picture: bytes, instead: Collection[str]
) -> dict[str, Any]:
    """The fields of an uploaded picture: its url is its own, or else made from the file.

    Args:
        fields: by name.
        picture: its file.
        instead: the fields that do not go together with it.

    Raises:
        RequestError: there is one of them, or a url that only files have that were uploaded.
    """
    for name in instead:
        if fields.get(name):
            raise RequestError(f"image and {name} do not go together: give one of them")
    own = fields.get("url", "").strip()
    if is_upload_url(own):
        raise RequestError(f"a url with {UPLOAD_PREFIX} is made from the image: leave it out")
    return {**fields, "url": own or await asyncio.to_thread(upload_url, picture)}


def query_texts(request: Request) -> dict[str, str]:
    """The parameters of the query.

    Raises:
        RequestError: there are too many characters, or one parameter twice.
    """
    if len(request.url.query) > _MAX_QUERY_CHARS:
        raise RequestError(f"the query is longer than {_MAX_QUERY_CHARS} characters")
    try:
        pairs = parse_qsl(request.url.query, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise RequestError("the query must be UTF-8") from None
    given: dict[str, str] = {}
    for name, text in pairs:
        if name in given:
            raise RequestError(f"{short(name)} was given more than once")
        given[name] = text
    return given


def typed(model: type[BaseModel], texts: Mapping[str, str]) -> dict[str, Any]:
    """Texts as JSON would have them: numbers for fields that are numbers, true and false for those
    that are booleans, and what begins as an object or a list, where a field may be one.

    Raises:
        RequestError: what should be JSON is none.
    """
    kinds = _kinds(model)
    return {name: _value(kinds.get(name, frozenset()), name, text) for name, text in texts.items()}


def _value(kinds: frozenset[str], name: str, text: str) -> Any:
    if kinds & {"integer", "number"} and _NUMBER.fullmatch(text):
        return int(text) if _INTEGER.fullmatch(text) else float(text)
    if "boolean" in kinds and text in _BOOLEANS:
        return _BOOLEANS[text]
    first = text.lstrip()[:1]
    if not (("object" in kinds and first == "{") or ("array" in kinds and first == "[")):
        return text
    try:
        return json_value(text.encode())
    except RequestError as error:
        raise RequestError(f"{name}: {str(error).replace('the body', 'the text')}") from None


@functools.cache
def _kinds(model: type[BaseModel]) -> dict[str, frozenset[str]]:
    """The JSON types that each field may have."""
    fields = model.model_json_schema().get("properties", {})
    return {name: frozenset(_types(schema)) for name, schema in fields.items()}


def _types(schema: Mapping[str, Any]) -> Iterable[str]:
    """Of one, a list of them, or alternatives."""
    own = schema.get("type")
    if own is None:
        return [one["type"] for one in schema.get("oneOf", ())]
    return [own] if isinstance(own, str) else own
