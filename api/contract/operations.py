"""What the OpenAPI document says of each route: its models, examples and typical error."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from api.access.caller import Scope
from api.contract import requests, responses, transfer
from api.requests.reader import JsonInput
from images.decode.structure import MEDIA_TYPES

_ID = "0a137b375cc3881a70e186ce2172c8d1"
_URL = "https://example.com/shoe.jpg"
_METADATA = {"shop": "A", "price": 9.5}
_WHEN = "2026-01-31T12:00:00.123456Z"
_STORED = {"id": _ID, "url": _URL, "metadata": _METADATA, "created_at": _WHEN}
_VERSION = {"version": 41, "created_at": _WHEN, "rows": 1200}


@dataclass(frozen=True)
class Operation:
    """One method of one path.

    Attributes:
        scope: what a key must be allowed for it.
        request: what it takes.
        answer: its success as JSON; None where that is a picture.
        success: its success in words.
        example: an answer.
        error: the message of a typical error.
        examples: requests by name.
        description: in words, where BentoML does not take them from the method.
        types: of the picture that it answers.
    """

    method: str
    path: str
    scope: Scope
    request: type[JsonInput]
    answer: type[BaseModel] | None
    success: str
    example: dict[str, Any] = field(default_factory=dict)
    error: str = "unknown field 'x'; known fields: none"
    examples: dict[str, Any] = field(default_factory=dict)
    description: str = ""
    types: tuple[str, ...] = ()


def _search(path: str) -> Operation:
    terms = [{"text": "a shoe"}, {"id": _ID, "weight": 0.5}, {"text": "red", "weight": -0.3}]
    return Operation(
        "post",
        path,
        Scope.READ,
        requests.SearchRequest,
        responses.SearchAnswer,
        "What was found, best first",
        {"results": [{"id": _ID, "url": _URL, "score": 0.93, "metadata": _METADATA}]},
        "unknown metadata key 'shpo'; known keys are 'price', 'shop'",
        {
            "picture": {"url": _URL, "limit": 3},
            "picture and filter": {"url": _URL, "metadata": {"shop": "A"}},
            "filter": {"metadata": {"price": {"$lt": 10}}},
            "text": {"metadata": "a red shoe"},
            "indexed image": {"id": _ID, "cutoff": "auto"},
            "weighted terms": {"query": terms},
        },
    )


def _get(  # noqa: PLR0913, PLR0917 - what an operation has
    path: str,
    scope: Scope,
    request: type[JsonInput],
    answer: type[BaseModel] | None,
    success: str,
    description: str,
    **more: Any,
) -> Operation:
    return Operation("get", path, scope, request, answer, success, description=description, **more)


_ADDED = {"url": _URL, "id": _ID, "created": True}
_NOT_ADDED = {"url": "x", "message": "the URL has no host", "code": "invalid_url"}
_UPKEEP = {"finished_at": _WHEN, "seconds": 2.5, "result": "ok", "did": []}
_INDEX = {
    "rows": 120_000,
    "dim": 512,
    "model": {"name": "ViT-B-32", "pretrained": "laion2b_s34b_b79k"},
    "columns": {"shop": "string", "price": "float"},
    "fragments": 7,
    "vector_index": "IVF_RQ",
    "indexed_rows": 119_000,
    "unindexed_rows": 1000,
    "size_bytes": 412_345_678,
    "version": 41,
    "estimated_recall": 0.998,
    "upkeep": _UPKEEP,
}
_VALUES = [{"value": "A", "count": 400}, {"value": "B", "count": 412}]
_COLUMNS = [
    {"key": "shop", "type": "string", "count": 812, "values": _VALUES, "more": False},
    {"key": "price", "type": "float", "count": 700, "min": 1.5, "max": 99.0},
]
_OBJECT = {
    "n": 0,
    "class_name": "dog",
    "confidence": 0.94,
    "xyxy": [12.5, 40.0, 310.25, 460.0],
}
_OBJECTS = {"objects": [_OBJECT], "detected": True, "left_out": 0, "width": 640, "height": 480}
_CHANGE = {
    "at": _WHEN,
    "key": "shop",
    "address": "203.0.113.7",
    "request_id": "5f0c2b1e",
    "table": "images",
    "action": "replace",
    "count": 1,
    "version_before": 41,
    "version": 42,
    "ids": [_ID],
}
_ROW = {
    "id": _ID,
    "url": _URL,
    "metadata": _METADATA,
    "created_at": _WHEN,
    "vector": "AAAAAAAAgD8=",
    "pixels": None,
    "original": None,
    "thumbnail": None,
}
_MODEL = {"model": _INDEX["model"], "dim": 2}
_LEFT = {"left": [{"id": _ID, "reason": "key 'web' has changed it since"}], "left_total": 1}

OPERATIONS = (
    Operation(
        "post",
        "/post_image_to_index",
        Scope.WRITE,
        requests.AddRequest,
        responses.AddAnswer,
        "The image is in the index, durably",
        {"message": "success", "id": _ID, "created": True},
        "No url provided",
        {
            "object": {"url": _URL, "metadata": _METADATA},
            "text": {"url": _URL, "metadata": "a red running shoe"},
            "id of its own": {"url": _URL, "id": "shop-A:1234"},
        },
    ),
    Operation(
        "post",
        "/post_images_to_index",
        Scope.WRITE,
        requests.AddManyRequest,
        responses.AddManyAnswer,
        "A result for each image, in their order",
        {"results": [_ADDED, _NOT_ADDED]},
        "images must have at most 256 items, not 300",
        {"two": {"images": [{"url": _URL, "metadata": _METADATA}, {"url": "x"}]}},
    ),
    _search("/search_simmilar_images"),
    _search("/search_similar_images"),
    Operation(
        "post",
        "/run_object_detection",
        Scope.READ,
        requests.DetectRequest,
        None,
        'The picture with the objects drawn in; the objects as JSON with "json". Where there are'
        f" more, the picture has a header `{responses.MORE_HEADER}: true`",
        error="url not provided error",
        examples={
            "picture": {"url": _URL},
            "of some classes": {"url": _URL, "classes": ["dog"], "max_detections": 5},
        },
        types=("image/jpg",),
    ),
    _get(
        "/images",
        Scope.READ,
        requests.ListRequest,
        responses.ListAnswer,
        "Some images, and how many there are in all",
        "The images of the index, or those of a url, newest first.",
        example={"images": [_STORED], "total": 1200},
        error="limit must be an integer",
    ),
    _get(
        "/images/{id}",
        Scope.READ,
        requests.ImageRequest,
        responses.StoredAnswer,
        "The image",
        "One image of the index.",
        example=_STORED,
    ),
    _get(
        "/images/{id}/objects",
        Scope.READ,
        requests.ImageRequest,
        responses.ObjectsAnswer,
        "The objects of the image",
        "The objects of one image, where the service indexes them.",
        example=_OBJECTS,
        error="this service indexes no objects: it is started with IMAGE_SEARCH_OBJECTS=on",
    ),
    Operation(
        "post",
        "/images/{id}/objects",
        Scope.WRITE,
        requests.ImageRequest,
        responses.ObjectsAnswer,
        "The objects that were found and are indexed",
        _OBJECTS,
        "the picture of this image is not kept: add it again",
        {"nothing": {}},
        "Look for the objects in an indexed image, again or for the first time.",
    ),
    Operation(
        "patch",
        "/images/{id}",
        Scope.WRITE,
        requests.PatchRequest,
        responses.StoredAnswer,
        "The image as it now is",
        _STORED,
        "metadata key 'price' holds a float, not a string",
        {
            "change one key, remove another": {"metadata": {"price": 7.5, "shop": None}},
            "remove all": {"metadata": None},
        },
        "Change the metadata of an image by JSON Merge Patch (RFC 7396). Its picture and its date"
        " stay.",
    ),
    Operation(
        "delete",
        "/images/{id}",
        Scope.WRITE,
        requests.ImageRequest,
        responses.DeleteAnswer,
        "It is deleted",
        {"message": "success", "deleted": 1},
        description="Delete an image from the index.",
    ),
    _get(
        "/images/{id}/thumbnail",
        Scope.READ,
        requests.ImageRequest,
        None,
        "A small copy of the picture",
        "A small copy of an image's picture, upright, to show in a grid.",
        types=("image/jpeg",),
    ),
    _get(
        "/images/{id}/image",
        Scope.READ,
        requests.ImageRequest,
        None,
        "The picture's file",
        "An image's own file as it was uploaded, where it is kept.",
        types=MEDIA_TYPES,
    ),
    Operation(
        "post",
        "/delete_images",
        Scope.WRITE,
        requests.DeleteManyRequest,
        responses.DeleteAnswer,
        "How many were deleted; ids that there are not do no harm",
        {"message": "success", "deleted": 3},
        'give one of ids, urls, metadata (a filter) and "all": true',
        {
            "by id": {"ids": [_ID]},
            "by url": {"urls": [_URL]},
            "by filter": {"metadata": {"price": {"$gt": 100}}},
            "all": {"all": True},
        },
    ),
    Operation(
        "post",
        "/update_images",
        Scope.ADMIN,
        requests.UpdateManyRequest,
        responses.UpdateAnswer,
        "How many were changed",
        {"updated": 812},
        'give one of metadata (a filter) and "all": true',
        {
            "by filter": {"metadata": {"shop": "A"}, "set": {"sale": True, "price": None}},
            "all": {"all": True, "set": {"checked": False}},
        },
    ),
    _get(
        "/index",
        Scope.READ,
        requests.NoRequest,
        responses.IndexAnswer,
        "The table as it is now",
        "The state of the index: size, columns, model, upkeep.",
        example=_INDEX,
    ),
    _get(
        "/index/columns",
        Scope.READ,
        requests.NoRequest,
        responses.ColumnsAnswer,
        "What the images' metadata holds, by key",
        "The metadata keys with the values to choose from, to make filters of. It may be some"
        " seconds old.",
        example={"columns": _COLUMNS},
    ),
    Operation(
        "put",
        "/index/columns/{key:rest}",
        Scope.ADMIN,
        requests.DeclareRequest,
        responses.DeclareAnswer,
        "The key has the type",
        {"message": "success", "key": "code", "type": "string", "created": True},
        "metadata key 'price' holds a float, not a string",
        description="Give a metadata key a type before its first value, so that a code such as"
        " 2024-05-01 is a string; or a wider one.",
        examples={"a key of strings": {"type": "string"}},
    ),
    Operation(
        "delete",
        "/index/columns/{key:rest}",
        Scope.ADMIN,
        requests.ColumnRequest,
        responses.DropAnswer,
        "The key is gone, and how many images had it",
        {"message": "success", "key": "shop", "count": 812},
        "unknown metadata key 'shpo'; known keys are 'price', 'shop'",
        description="Take a metadata key and its values away from all images, and free its name. A"
        " restore of a version before brings them back.",
    ),
    _get(
        "/index/versions",
        Scope.READ,
        requests.NoRequest,
        responses.VersionsAnswer,
        "The versions, newest first",
        "The versions of the table that can be restored.",
        example={"versions": [_VERSION]},
    ),
    Operation(
        "post",
        "/index/restore",
        Scope.ADMIN,
        requests.RestoreRequest,
        responses.RestoreAnswer,
        "The table is as it was, as a new version",
        {"message": "success", "restored": _VERSION},
        "there is no version 99",
        {"by number": {"version": 41}, "by time": {"before": "2026-01-31T12:00:00Z"}},
    ),
    _get(
        "/index/export",
        Scope.ADMIN,
        transfer.ExportRequest,
        transfer.ExportAnswer,
        "Some images, whole, and where the next page begins",
        "All that the index has of its images, vectors and thumbnails included, page by page at one"
        " version.",
        example={
            "rows": [_ROW],
            "total": 1200,
            "version": 41,
            **_MODEL,
            "columns": _INDEX["columns"],
            "next": "41.1",
        },
        error="cursor must be the `next` of the page before",
    ),
    Operation(
        "post",
        "/index/import",
        Scope.ADMIN,
        transfer.ImportRequest,
        transfer.ImportAnswer,
        "A result for each row, in their order",
        {"results": [{"id": _ID, "created": True}]},
        "these vectors were made with another model",
        {"a row of an export": {**_MODEL, "rows": [_ROW]}},
    ),
    _get(
        "/index/log",
        Scope.ADMIN,
        requests.LogRequest,
        responses.LogAnswer,
        "The changes, newest first",
        "Who has changed what of the index.",
        example={"changes": [_CHANGE], "more": False},
        error="since must be an RFC 3339 time with a zone: 2026-01-31T12:00:00Z",
    ),
    Operation(
        "post",
        "/index/undo",
        Scope.ADMIN,
        requests.UndoRequest,
        responses.UndoAnswer,
        "What was undone, and what was left as it is",
        {"message": "success", "dry_run": False, "removed": 12, "restored": 3, **_LEFT},
        "since must be an RFC 3339 time with a zone: 2026-01-31T12:00:00Z",
        {"since noon": {"key": "shop", "since": "2026-01-31T12:00:00Z", "dry_run": True}},
    ),
)

_OTHER_PATHS = ("/", "/docs", "/heartbeat", "/docs.json", "/schema.json", "/healthz", "/metrics")

SCOPES: dict[tuple[str, str], Scope] = {
    **{("GET", path): Scope.READ for path in _OTHER_PATHS},
    **{(one.method.upper(), one.path): one.scope for one in OPERATIONS},
}
"""By method and path, what a key must be allowed. A test holds it and the routes together."""
