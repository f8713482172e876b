"""The OpenAPI document: BentoML's own, with this API's requests, answers, errors and examples.

BentoML knows neither mounted routes nor the shape of our errors, and of a schema it keeps only
parts; the page at `/docs` reads `/docs.json`, where this document replaces its own.
"""

import re
from typing import Any

from pydantic import BaseModel

from api.access.caller import Scope
from api.contract.operations.declared import OPERATIONS
from api.contract.operations.operation import Operation
from api.contract.responses.fields import Message
from api.requests.multipart import FORM_TYPE, PICTURE_FIELD
from api.requests.reader import JSON_TYPE, PICTURE_TYPES, JsonInput, accepted_types

_REFERENCE = "#/components/schemas/{model}"
_TAGS = ["Service APIs"]
_REFUSALS = {
    "401": "No valid API key, where keys are set",
    "403": "The key's scope does not reach so far",
    "413": "The request body is too large",
    "415": "The request body is of another type than those above, or is compressed",
    "421": "Without keys: a Host that is not the service's own",
    "429": "Too many requests at once; see Retry-After",
}
_DESCRIPTION = (
    "Search images by picture, by metadata or by text, and find the objects in them. "
    "Whatever goes wrong is answered with a `message` and, mostly, a `code`."
)
_TAG_TEXTS = {"Service APIs": "Images and the index", "Infrastructure": "For who operates it"}
_TEXT = {"type": "string"}
_EVERYWHERE = {
    "X-Request-ID": {"description": "The request's own, or one made for it", "schema": _TEXT}
}
_HEADERS = {
    "401": {"WWW-Authenticate": {"description": "Bearer", "schema": _TEXT}},
    "429": {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}},
}
_FILE = {"type": "string", "format": "binary"}
_PICTURE_BODY = {"schema": _FILE}
_WITH_PICTURE = (
    "In a form, `image` stands in place of what names a picture. With the picture alone as the"
    " body, the other fields stand in the query."
)
_WITH_BODY = frozenset({"post", "put", "patch"})
_NO_BODY = frozenset({"413", "415"})


def document(bentoml_document: dict[str, Any]) -> dict[str, Any]:
    """Return BentoML's OpenAPI document with this API's own parts in it, as version 3.1.

    BentoML says 3.0, but its schemas are JSON Schema as pydantic makes it, which only 3.1 takes.

    Args:
        bentoml_document: `Service.openapi_spec.asdict()`.
    """
    info = {"title": "Image search engine", "version": "1", "description": _DESCRIPTION}
    paths = {"/heartbeat": _heartbeat(), **bentoml_document["paths"]}
    for path in ("/healthz", "/metrics"):
        paths[path]["get"]["responses"].update(_refusals("401", "421"))
    for path in ("/livez", "/readyz"):
        paths[path]["get"]["responses"].update(_refusals("421"))
    paths["/readyz"]["get"]["responses"]["503"] = {"description": "Not ready, or not any more"}
    for operation in OPERATIONS:
        path = re.sub(r":\w+}", "}", operation.path)  # Starlette's convertor is no part of it
        at_path = paths.setdefault(path, {})
        known = at_path.get(operation.method, _mounted(operation))
        at_path[operation.method] = {**known, **_described(operation)}
    _name_headers(paths)
    schemas = {**bentoml_document["components"]["schemas"], **_schemas()}
    return {
        **bentoml_document,
        "openapi": "3.1.0",
        "info": info,
        "tags": [{"name": name, "description": text} for name, text in _TAG_TEXTS.items()],
        "paths": paths,
        "security": [{}, {"key": []}],
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _name_headers(paths: dict[str, Any]) -> None:
    for at_path in paths.values():
        for operation in at_path.values():
            for status, response in operation["responses"].items():
                response["headers"] = {**_EVERYWHERE, **_HEADERS.get(status, {})}


def _mounted(operation: Operation) -> dict[str, Any]:
    """What BentoML says of its own routes."""
    words = re.sub("{[a-z:]+}", "one", operation.path).replace("/", " ").split()
    return {
        "tags": _TAGS,
        "description": operation.description,
        "operationId": "_".join([operation.method, *words]),
    }


def _described(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {"responses": {"200": _success(operation), **_errors(operation)}}
    described["security"] = [{}, {"key": [operation.scope.name.lower()]}]
    parameters = _parameters(operation)
    if parameters:
        described["parameters"] = parameters
    if operation.method in _WITH_BODY:
        content = _contents(operation)
        described["requestBody"] = {"required": True, "content": content}
        if PICTURE_TYPES in content:
            described["requestBody"]["description"] = _WITH_PICTURE
    return described


def _contents(operation: Operation) -> dict[str, Any]:
    """The body by its type: JSON, and where a picture is taken a form or the picture itself."""
    examples = {name: {"value": value} for name, value in operation.examples.items()}
    as_json = {"schema": _body_schema(operation.request), "examples": examples}
    other = {FORM_TYPE: {"schema": _form_schema(operation.request)}, PICTURE_TYPES: _PICTURE_BODY}
    types = accepted_types(operation.method.upper(), operation.path)
    return {kind: other.get(kind, as_json) for kind in types}


def _form_schema(model: type[JsonInput]) -> dict[str, Any]:
    """The fields as a form has them, and the picture in place of its url."""
    schema: dict[str, Any] = model.model_json_schema()
    for name in schema["properties"].keys() & model.instead_of_a_picture:
        del schema["properties"][name]
    schema["properties"][PICTURE_FIELD] = {**_FILE, "description": "The picture's file"}
    return {**schema, "required": [PICTURE_FIELD], "title": f"{model.__name__}Form"}


def _success(operation: Operation) -> dict[str, Any]:
    if operation.answer is not None:
        return _answer(operation.success, operation.answer, operation.example)
    content = dict.fromkeys(operation.types, _PICTURE_BODY)
    if operation.method in _WITH_BODY:
        content[JSON_TYPE] = {"schema": {"type": "object"}}
    return {"description": operation.success, "content": content}


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    """The fields that the address holds: in the path, and in the query where there is no body."""
    model = operation.request
    schema = model.model_json_schema()
    found = []
    for name, one in schema.get("properties", {}).items():
        in_path = name in model.path_fields
        if in_path or operation.method not in _WITH_BODY:
            description = one.pop("description", "")
            place = {"name": name, "in": "path" if in_path else "query", "required": in_path}
            found.append({**place, "description": description, "schema": one})
    return found


def _body_schema(model: type[JsonInput]) -> dict[str, Any]:
    if not model.path_fields:
        return {"$ref": _REFERENCE.format(model=model.__name__)}
    schema: dict[str, Any] = model.model_json_schema()
    for name in model.path_fields:
        del schema["properties"][name]
        schema["required"].remove(name)
    return schema


def _heartbeat() -> dict[str, Any]:
    schema = {"type": "object", "properties": {"message": {"type": "string"}}}
    content = {JSON_TYPE: {"schema": schema, "example": {"message": "Api is running"}}}
    success = {"description": "The service is up", "content": content}
    refused = _refusals("401", "421")
    return {
        "get": {
            "tags": _TAGS,
            "description": "Whether the API is up",
            "operationId": "heartbeat",
            "responses": {"200": success, **refused},
        }
    }


def _errors(operation: Operation) -> dict[str, Any]:
    example = {"message": operation.error, "code": "bad_request"}
    errors = {"400": _answer("Whatever went wrong, in one line", Message, example)}
    if "id" in operation.request.path_fields:
        missing = {"message": "no image has this id", "code": "not_found"}
        errors["404"] = _answer("No image has this id", Message, missing)
    left_out = set() if operation.method in _WITH_BODY else set(_NO_BODY)
    if operation.scope is Scope.READ:
        left_out.add("403")
    return {**errors, **_refusals(*[one for one in _REFUSALS if one not in left_out])}


def _refusals(*statuses: str) -> dict[str, Any]:
    return {status: _answer(_REFUSALS[status], Message) for status in statuses}


def _answer(
    description: str, model: type[BaseModel], example: dict[str, Any] | None = None
) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": _REFERENCE.format(model=model.__name__)}}
    if example is not None:
        content["example"] = example
    return {"description": description, "content": {JSON_TYPE: content}}


def _schemas() -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    for operation in OPERATIONS:
        if operation.method in _WITH_BODY and not operation.request.path_fields:
            schemas[operation.request.__name__] = _with_nulls(operation.request.model_json_schema())
    models: list[type[BaseModel]] = [Message]
    models += [operation.answer for operation in OPERATIONS if operation.answer is not None]
    for model in models:
        schema = model.model_json_schema(ref_template=_REFERENCE, mode="serialization")
        for name, part in {model.__name__: schema, **schema.pop("$defs", {})}.items():
            schemas[name] = _without_defaults(part)
    return schemas


def _with_nulls(schema: dict[str, Any]) -> dict[str, Any]:
    """In a request, null stands for what is absent (`api.requests.reader.without_nulls`)."""
    required = schema.get("required", ())
    for name, one in schema.get("properties", {}).items():
        if name not in required and isinstance(one.get("type"), str):
            one["type"] = [one["type"], "null"]
            if "enum" in one:
                one["enum"] = [*one["enum"], None]
        _with_nulls(one.get("items", {}))
    return schema


def _without_defaults(schema: dict[str, Any]) -> dict[str, Any]:
    """In an answer, what has a default may be absent; the default itself says nothing."""
    for one in schema["properties"].values():
        one.pop("default", None)
    return schema
