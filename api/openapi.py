"""The OpenAPI document: BentoML's own, with this API's answers, errors and examples put in.

BentoML describes the routes' requests, but knows neither mounted routes nor the shape of our
errors; its page (at `/`) reads `/docs.json`, where this document stands in for its own.
"""

from pathlib import Path
from typing import Any

from api.schemas import AddAnswer, Message, SearchAnswer

DOCS_PAGE = Path(__file__).with_name("docs.html")
_JSON = "application/json"
_ID = "0a137b375cc3881a70e186ce2172c8d1"
_URL = "https://example.com/shoe.jpg"

_ADD_EXAMPLES = {
    "object": {"value": {"url": _URL, "metadata": {"shop": "A", "price": 9.5}}},
    "text": {"value": {"url": _URL, "metadata": "a red running shoe"}},
}
_SEARCH_EXAMPLES = {
    "picture": {"summary": "nearest to a picture", "value": {"url": _URL, "limit": 3}},
    "picture and filter": {"value": {"url": _URL, "metadata": {"shop": "A"}}},
    "filter": {"value": {"metadata": {"price": {"$lt": 10}}}},
    "text": {"value": {"metadata": "a red shoe"}},
}
_DETECT_EXAMPLES = {"picture": {"value": {"url": _URL}}}
_RESULT = {"id": _ID, "url": _URL, "score": 0.93, "metadata": {"shop": "A", "price": 9.5}}
_SEARCH_ANSWER = {"example": {"results": [_RESULT]}}
_REFUSALS = {
    "401": "No valid API key, where keys are set",
    "413": "The request body is too large",
    "415": "The request body is not application/json",
    "429": "Too many requests at once; see Retry-After",
}


def document(bentoml_document: dict[str, Any]) -> dict[str, Any]:
    """Return BentoML's OpenAPI document with this API's own parts in it, as version 3.1.

    BentoML says 3.0, but its schemas are JSON Schema as pydantic makes it, which only 3.1 takes.

    Args:
        bentoml_document: `Service.openapi_spec.asdict()`.
    """
    info = {**bentoml_document["info"], "title": "Image search engine"}
    info.pop("contact", None)
    paths = {"/heartbeat": _heartbeat(), **bentoml_document["paths"]}
    for path, operation in _operations().items():
        post = paths[path]["post"]
        post["requestBody"]["required"] = True
        post["requestBody"]["content"][_JSON]["examples"] = operation["examples"]
        post["responses"] = {"200": operation["success"], **_errors(operation["error"])}
    schemas = {**bentoml_document["components"]["schemas"], **_own_schemas()}
    own = {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": schemas}}
    return {**bentoml_document, **own}


def _operations() -> dict[str, dict[str, Any]]:
    search = {
        "examples": _SEARCH_EXAMPLES,
        "success": _answer("What was found, best first", "SearchAnswer", _SEARCH_ANSWER),
        "error": "unknown metadata key 'shpo'; known keys: price, shop",
    }
    added = {"example": {"message": "success", "id": _ID, "created": True}}
    return {
        "/post_image_to_index": {
            "examples": _ADD_EXAMPLES,
            "success": _answer("The image is in the index, durably", "AddAnswer", added),
            "error": "No url provided",
        },
        "/search_simmilar_images": search,
        "/search_similar_images": search,
        "/run_object_detection": {
            "examples": _DETECT_EXAMPLES,
            "success": _picture(),
            "error": "url not provided error",
        },
    }


def _heartbeat() -> dict[str, Any]:
    example = {"example": {"message": "Api is running"}}
    schema = {"type": "object", "properties": {"message": {"type": "string"}}}
    success = {
        "description": "The service is up",
        "content": {_JSON: {"schema": schema, **example}},
    }
    refused = {status: _error(text) for status, text in _REFUSALS.items() if status == "401"}
    return {
        "get": {
            "tags": ["Service APIs"],
            "description": "Whether the API is up",
            "operationId": "heartbeat",
            "responses": {"200": success, **refused},
        }
    }


def _picture() -> dict[str, Any]:
    picture = {"schema": {"type": "string", "format": "binary"}}
    return {
        "description": 'The picture with the objects drawn in; the objects as JSON with "json"',
        "content": {"image/jpg": picture, _JSON: {"schema": {"type": "object"}}},
    }


def _answer(description: str, schema: str, example: dict[str, Any]) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"description": description, "content": {_JSON: {"schema": reference, **example}}}


def _errors(example: str) -> dict[str, Any]:
    failed = _error("Whatever went wrong, in one line")
    failed["content"][_JSON]["example"] = {"message": example, "code": "bad_request"}
    return {"400": failed, **{status: _error(text) for status, text in _REFUSALS.items()}}


def _error(description: str) -> dict[str, Any]:
    return _answer(description, "Message", {})


def _own_schemas() -> dict[str, Any]:
    template = "#/components/schemas/{model}"
    schemas: dict[str, Any] = {}
    for model in (AddAnswer, SearchAnswer, Message):
        schema = model.model_json_schema(ref_template=template, mode="serialization")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    return schemas
