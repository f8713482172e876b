"""Operations on the table as a whole: state, columns, versions, export, change log."""

from api.access.caller import Scope
from api.contract import transfer
from api.contract.operations.operation import ID, METADATA, URL, WHEN, Operation, get
from api.contract.requests.table import (
    ColumnRequest,
    DeclareRequest,
    LogRequest,
    NoRequest,
    RestoreRequest,
    UndoRequest,
)
from api.contract.responses.columns import ColumnsAnswer, DeclareAnswer, DropAnswer
from api.contract.responses.table import (
    IndexAnswer,
    LogAnswer,
    RestoreAnswer,
    UndoAnswer,
    VersionsAnswer,
)

_UPKEEP = {"finished_at": WHEN, "seconds": 2.5, "result": "ok", "did": []}
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
_CHANGE = {
    "at": WHEN,
    "key": "shop",
    "address": "203.0.113.7",
    "request_id": "5f0c2b1e",
    "table": "images",
    "action": "replace",
    "count": 1,
    "version_before": 41,
    "version": 42,
    "ids": [ID],
}
_ROW = {
    "id": ID,
    "url": URL,
    "metadata": METADATA,
    "created_at": WHEN,
    "vector": "AAAAAAAAgD8=",
    "pixels": None,
    "original": None,
    "thumbnail": None,
}
_MODEL = {"model": _INDEX["model"], "dim": 2}
_LEFT = {"left": [{"id": ID, "reason": "key 'web' has changed it since"}], "left_total": 1}
_VERSION = {"version": 41, "created_at": WHEN, "rows": 1200}

OF_TABLE = (
    get(
        "/index",
        Scope.READ,
        NoRequest,
        IndexAnswer,
        "The table as it is now",
        "The state of the index: size, columns, model, upkeep.",
        example=_INDEX,
    ),
    get(
        "/index/columns",
        Scope.READ,
        NoRequest,
        ColumnsAnswer,
        "What the images' metadata holds, by key",
        "The metadata keys with the values to choose from, to make filters of. It may be some"
        " seconds old.",
        example={"columns": _COLUMNS},
    ),
    Operation(
        "put",
        "/index/columns/{key:rest}",
        Scope.ADMIN,
        DeclareRequest,
        DeclareAnswer,
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
        ColumnRequest,
        DropAnswer,
        "The key is gone, and how many images had it",
        {"message": "success", "key": "shop", "count": 812},
        "unknown metadata key 'shpo'; known keys are 'price', 'shop'",
        description="Take a metadata key and its values away from all images, and free its name. A"
        " restore of a version before brings them back.",
    ),
    get(
        "/index/versions",
        Scope.READ,
        NoRequest,
        VersionsAnswer,
        "The versions, newest first",
        "The versions of the table that can be restored.",
        example={"versions": [_VERSION]},
    ),
    Operation(
        "post",
        "/index/restore",
        Scope.ADMIN,
        RestoreRequest,
        RestoreAnswer,
        "The table is as it was, as a new version",
        {"message": "success", "restored": _VERSION},
        "there is no version 99",
        {"by number": {"version": 41}, "by time": {"before": "2026-01-31T12:00:00Z"}},
    ),
    get(
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
        {"results": [{"id": ID, "created": True}]},
        "these vectors were made with another model",
        {"a row of an export": {**_MODEL, "rows": [_ROW]}},
    ),
    get(
        "/index/log",
        Scope.ADMIN,
        LogRequest,
        LogAnswer,
        "The changes, newest first",
        "Who has changed what of the index.",
        example={"changes": [_CHANGE], "more": False},
        error="since must be an RFC 3339 time with a zone: 2026-01-31T12:00:00Z",
    ),
    Operation(
        "post",
        "/index/undo",
        Scope.ADMIN,
        UndoRequest,
        UndoAnswer,
        "What was undone, and what was left as it is",
        {"message": "success", "dry_run": False, "removed": 12, "restored": 3, **_LEFT},
        "since must be an RFC 3339 time with a zone: 2026-01-31T12:00:00Z",
        {"since noon": {"key": "shop", "since": "2026-01-31T12:00:00Z", "dry_run": True}},
    ),
)
