"""Whole rows as calls: read out of an index, and put into one."""

import base64
from collections.abc import Iterable
from typing import Any

import httpx

from image_search.request import MOST_LIST_BYTES, Call, of_json, post
from image_search.results.images import Added
from image_search.results.reading import read
from image_search.results.table import Detector, Model
from image_search.results.whole import ExportPage, NotImported, WholeImage, WholeObjects

_EXPORT_BYTES = 16 << 20
_FLOAT_BYTES = 4


def export_page(cursor: str | None = None, *, limit: int = 1000) -> Call[ExportPage]:
    """Some images of the index, whole: with their vectors and thumbnails.

    All pages are of one version, whatever is added or deleted meanwhile.

    Args:
        cursor: `next` of the page before; without, the first page of the index as it is now.
        limit: most images, 1 to 1000; a page ends at some megabytes, too.

    Raises:
        RefusedError: no page was asked for in so long that the version is not kept any more.
    """
    params: dict[str, str | int] = {"limit": limit}
    if cursor is not None:
        params["cursor"] = cursor
    read_page = of_json(ExportPage)
    return Call("GET", "/index/export", read_page, params=params, most_bytes=_EXPORT_BYTES)


def import_rows(
    rows: Iterable[WholeImage],
    model: Model,
    *,
    detector: Detector | None = None,
    skip_duplicates: bool = False,
) -> Call[list[Added | NotImported]]:
    """Put images of an export into an index of the same model, as they are; one result for each.

    An id that is there is replaced. Up to 1000 rows, as many as a request may have bytes.

    Args:
        rows: of `export_page`.
        model: of the same.
        detector: likewise; needed where rows have objects.
        skip_duplicates: leave out new images whose pixels another image has.

    Raises:
        RefusedError: the index has another model or detector, or the key that is used may not.
    """
    whole = list(rows)
    dim = len(whole[0].vector) // _FLOAT_BYTES if whole else 0
    body = {"model": vars(model), "dim": dim, "rows": [_row(one) for one in whole]}
    if detector is not None and any(one.objects for one in whole):
        body["detector"] = vars(detector)
    if skip_duplicates:
        body["skip_duplicates"] = True
    return post("/index/import", body, _put_or_not, most_bytes=MOST_LIST_BYTES)


def _row(whole: WholeImage) -> dict[str, Any]:
    small, objects = whole.thumbnail, whole.objects
    row = {
        **vars(whole),
        "created_at": whole.created_at.isoformat(),
        "vector": base64.b64encode(whole.vector).decode("ascii"),
        "thumbnail": None if small is None else base64.b64encode(small).decode("ascii"),
        "objects": None if objects is None else _objects(objects),
    }
    return row if objects is not None else {k: v for k, v in row.items() if k != "objects"}


def _objects(of: WholeObjects) -> dict[str, Any]:
    return {
        **vars(of),
        "objects": [vars(each) for each in of.objects],
        "vectors": base64.b64encode(of.vectors).decode("ascii"),
    }


def _put_or_not(answer: httpx.Response) -> list[Added | NotImported]:
    return [
        read(NotImported, one) if "message" in one else read(Added, one)
        for one in answer.json()["results"]
    ]
