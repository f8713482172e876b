"""The routes that take whole rows out of the index, and put them into one of the same model."""

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from starlette.responses import Response

from api.access.author import author
from api.contract.transfer import (
    MAX_THUMBNAIL_BYTES,
    MAX_THUMBNAIL_SIDE,
    ExportRequest,
    ImportAnswer,
    ImportModel,
    ImportRequest,
    ImportResult,
    ImportRow,
    ObjectDetector,
    WholeObject,
    WholeObjects,
)
from api.errors import OtherDetectorError, OtherModelError, RequestError
from api.requests.source import is_upload_url
from api.routes.handler import Methods, reported
from images.decode.small import is_thumbnail
from images.fetch.urls import check_url
from store.metadata.values import format_timestamp, parse_timestamp
from store.schemas import Detector, ModelIdentity, NewKeys, NewObjects, ObjectBox, Upserted
from store.transfer.whole_row import WholeRow

if TYPE_CHECKING:
    from api.pipeline.backend import Backend  # heavy: only in a worker
    from store.transfer.transfer import ExportPage

_PAGE_BYTES = 8 << 20
_MOST_BYTES = 32 << 20
"""A page with its last row, which may be the largest, and the rows that are read with it."""

_CURSOR = re.compile("([0-9]{1,18})[.]([0-9]{1,18})", re.ASCII)
_UPLOADED = re.compile("upload:[0-9a-f]{64}")
_FLOAT = np.dtype("<f4")
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


async def export_index(backend: "Backend", request: ExportRequest) -> Response:
    """A page of the index: whole rows at one version.

    Raises:
        VersionError: the version of the cursor is not kept any more.
    """
    version, first = _place(request.cursor)
    transfer = backend.index.transfer

    async def page() -> Response:
        found = await transfer.page(version, first, request.limit)
        body = await asyncio.to_thread(_page, found, first, transfer.model)
        return Response(body, media_type="application/json")

    return await backend.large_answers.of_bytes(_MOST_BYTES, page)


async def import_rows(backend: "Backend", request: ImportRequest) -> ImportAnswer:
    """Put rows of an export in as they are; each for itself, answered after its commit.

    Raises:
        OtherModelError: their vectors are another model's.
        OtherDetectorError: their objects are another detector's.
        StoreFault: they cannot be written.
    """
    transfer = backend.index.transfer
    given = ImportModel.checked(_object(request.model, "model"))
    if (made := ModelIdentity(given.name, given.pretrained, request.dim)) != transfer.model:
        raise OtherModelError(made, transfer.model)
    read = await asyncio.to_thread(lambda: [_read(row, request.dim) for row in request.rows])
    rows = [row for row in read if isinstance(row, WholeRow)]
    if any(row.objects is not None for row in rows):
        _refuse_other(request.detector, transfer.detector)
    new = NewKeys(backend.settings.api.max_new_keys)
    put = iter(await transfer.put(rows, new, author(), skip=request.skip_duplicates))
    became = [next(put) if isinstance(one, WholeRow) else one for one in read]
    return ImportAnswer(
        results=[_result(row, one) for row, one in zip(request.rows, became, strict=True)]
    )


def _refuse_other(given: Any, own: Detector | None) -> None:
    said = ObjectDetector.checked(_object(given, "detector"))
    if (made := Detector(said.name, said.recipe)) != own:
        raise OtherDetectorError(made, own)


def _place(cursor: str | None) -> tuple[int | None, int]:
    """The version and the row that a page begins with."""
    if cursor is None:
        return None, 0
    if (found := _CURSOR.fullmatch(cursor)) is None:
        raise RequestError("cursor must be the `next` of the page before")
    return int(found[1]), int(found[2])


def _page(page: "ExportPage", first: int, model: ModelIdentity) -> bytes:
    """A page's rows as JSON, as many as its size allows. Blocks."""
    rows: list[str] = []
    size = 0
    for row in page.rows:
        rows.append(_encode(_told(row)))
        size += len(rows[-1])
        if size >= _PAGE_BYTES:
            break
    rest: dict[str, Any] = {
        "total": page.total,
        "version": page.version,
        "model": {"name": model.model, "pretrained": model.pretrained},
        "dim": model.dim,
        "columns": page.columns,
    }
    if page.detector is not None:
        rest["detector"] = {"name": page.detector.name, "recipe": page.detector.recipe}
    if rows and first + len(rows) < page.total:
        rest["next"] = f"{page.version}.{first + len(rows)}"
    return f'{{"rows":[{",".join(rows)}],{_encode(rest)[1:]}'.encode()


def _told(row: WholeRow) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": row.id,
        "url": row.url,
        "metadata": row.metadata,
        "created_at": format_timestamp(row.created_at),
        "vector": _base64(row.vector.astype(_FLOAT).tobytes()),
        "pixels": row.pixels,
        "original": row.original,
        "thumbnail": None if row.thumbnail is None else _base64(row.thumbnail),
    }
    if row.objects is not None:
        told["objects"] = _told_objects(row.objects)
    return told


def _told_objects(of: NewObjects) -> dict[str, Any]:
    width, height = of.size
    return {
        "width": width,
        "height": height,
        "left_out": of.left_out,
        "objects": [vars(box) for box in of.boxes],
        "vectors": _base64(of.vectors.astype(_FLOAT).tobytes()),
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _read(given: Any, dim: int) -> WholeRow | Exception:
    """A row as the store takes it, or why it is none. What the store checks is left to it."""
    try:
        row = ImportRow.checked(_object(given, "each row"))
        if not (is_upload_url(row.url) and _UPLOADED.fullmatch(row.url)):
            check_url(row.url)
        if (moment := parse_timestamp(row.created_at)) is None:
            raise RequestError("created_at must be an RFC 3339 time with a zone")  # noqa: TRY301
        vector = _floats(row.vector, "vector")
        objects = None if row.objects is None else _objects(row.objects, dim)
        small = None if row.thumbnail is None else _bytes(row.thumbnail, "thumbnail")
        if small is not None and not _is_small(small):
            raise RequestError(  # noqa: TRY301
                f"the thumbnail must be a JPEG file of at most {MAX_THUMBNAIL_SIDE} pixels a side"
                f" and {MAX_THUMBNAIL_BYTES} bytes"
            )
    except Exception as error:  # fails this row alone
        return error
    what = (row.id, row.url, moment, row.metadata, vector)
    return WholeRow(*what, row.pixels, row.original, small, objects)


def _is_small(data: bytes) -> bool:
    return len(data) <= MAX_THUMBNAIL_BYTES and is_thumbnail(data, MAX_THUMBNAIL_SIDE)


def _object(given: Any, name: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise RequestError(f"{name} must be an object")
    return given


def _bytes(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(f"the {name} must be base64") from None


def _floats(text: str, name: str) -> NDArray[np.float32]:
    data = _bytes(text, name)
    if len(data) % _FLOAT.itemsize:
        raise RequestError(f"the {name} must be float32 numbers, of 4 bytes each")
    return np.frombuffer(data, _FLOAT)


def _objects(given: Any, dim: int) -> NewObjects:
    of = WholeObjects.checked(_object(given, "objects"))
    boxes = [WholeObject.checked(_object(one, "each object")) for one in of.objects]
    vectors = _floats(of.vectors, "vectors of its objects")
    if len(vectors) != len(boxes) * dim:
        raise RequestError(f"the vectors of its objects must be {dim} numbers for each object")
    own = tuple(ObjectBox(box.class_name, box.confidence, _edges(box.xyxy)) for box in boxes)
    return NewObjects((of.width, of.height), own, of.left_out, vectors.reshape(len(own), dim))


def _edges(given: Sequence[float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = given
    return left, top, right, bottom


def _result(given: Any, became: Upserted | Exception) -> ImportResult:
    if isinstance(became, Upserted):
        result = ImportResult(id=became.id, created=became.created)
        if became.skipped:
            result.skipped = True
        return result
    own = given.get("id") if isinstance(given, dict) else None
    problem = reported(import_rows.__name__, became)
    return ImportResult(
        id=own if isinstance(own, str) else None, message=problem.message, code=problem.code
    )


ROUTES: dict[str, Methods] = {"/index/export": {"GET": (ExportRequest, export_index)}}
