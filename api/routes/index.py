"""The routes of the index as a whole: its state, its versions, and going back to one."""

from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.contract.requests import NoRequest, RestoreRequest
from api.errors import RequestError
from api.limits.encoding import listed
from api.routes.handler import Framed, answered
from api.routes.mount import mounted
from store.metadata.values import format_timestamp, parse_timestamp
from store.schemas import Facet, IndexState, TableVersion, UpkeepReport


@answered
async def get_index(service: Framed, _: NoRequest) -> Response:
    """The table as it is now."""
    return JSONResponse(_state(await (await service.backend()).index.state()))


@answered
async def list_versions(service: Framed, _: NoRequest) -> Response:
    """The versions that can be restored, newest first."""
    versions = await (await service.backend()).index.versions()
    return await listed("versions", map(_version, versions))


@answered
async def list_columns(service: Framed, _: NoRequest) -> Response:
    """The metadata keys with the values that images have."""
    facets = await (await service.backend()).index.facets()
    return await listed("columns", map(_column, facets))


async def restore(service: Framed, request: RestoreRequest) -> Response:
    """Make the table as it was, as a new version."""
    before = None if request.before is None else parse_timestamp(request.before)
    if request.before is not None and before is None:
        raise RequestError("before must be an RFC 3339 time with a zone: 2026-01-31T12:00:00Z")
    index = (await service.backend()).index
    restored = await index.restore(version=request.version, before=before)
    return JSONResponse({"message": "success", "restored": _version(restored)})


def _state(state: IndexState) -> dict[str, Any]:
    return {
        "rows": state.rows,
        "dim": state.model.dim,
        "model": {"name": state.model.model, "pretrained": state.model.pretrained},
        "columns": state.columns,
        "fragments": state.fragments,
        "vector_index": state.vector_index,
        "indexed_rows": state.indexed_rows,
        "unindexed_rows": state.unindexed_rows,
        "size_bytes": state.size_bytes,
        "version": state.version,
        "estimated_recall": state.upkeep.recall if state.upkeep else None,
        "upkeep": _upkeep(state.upkeep) if state.upkeep else None,
    }


def _upkeep(report: UpkeepReport) -> dict[str, Any]:
    return {
        "finished_at": format_timestamp(report.finished_at),
        "seconds": round(report.seconds, 3),
        "result": report.result,
        "did": report.did,
    }


def _column(facet: Facet) -> dict[str, Any]:
    column: dict[str, Any] = {"key": facet.key, "type": facet.type, "count": facet.count}
    if facet.values is not None:
        column["values"] = [{"value": value, "count": count} for value, count in facet.values]
        column["more"] = facet.more
    elif facet.count:
        column |= {"min": facet.min, "max": facet.max}
    return column


def _version(version: TableVersion) -> dict[str, Any]:
    return {
        "version": version.version,
        "created_at": format_timestamp(version.created_at),
        "rows": version.rows,
    }


ROUTES: list[Route] = [
    mounted("/index", GET=(NoRequest, get_index)),
    mounted("/index/columns", GET=(NoRequest, list_columns)),
    mounted("/index/versions", GET=(NoRequest, list_versions)),
]
