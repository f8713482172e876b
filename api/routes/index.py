"""The routes of the index as a whole: its state, columns and versions, and going back to one."""

from typing import TYPE_CHECKING, Any

from api.contract.requests import NoRequest, RestoreRequest
from api.contract.responses import (
    Column,
    ColumnsAnswer,
    IndexAnswer,
    RestoreAnswer,
    Value,
    Version,
    VersionsAnswer,
)
from api.errors import RequestError
from api.routes.handler import Methods
from store.metadata.values import parse_timestamp

if TYPE_CHECKING:
    from api.pipeline.backend import Backend  # heavy: only in a worker
    from store.schemas import Facet


async def get_index(backend: "Backend", _: NoRequest) -> IndexAnswer:
    """The table as it is now."""
    state = await backend.index.state()
    model, upkeep = state.model, state.upkeep
    named = {"name": model.model, "pretrained": model.pretrained}
    recall = upkeep.recall if upkeep else None
    return IndexAnswer.model_validate(
        {**vars(state), "dim": model.dim, "model": named, "estimated_recall": recall}
    )


async def list_versions(backend: "Backend", _: NoRequest) -> VersionsAnswer:
    """The versions that can be restored, newest first."""
    return VersionsAnswer.model_validate({"versions": await backend.index.versions()})


async def list_columns(backend: "Backend", _: NoRequest) -> ColumnsAnswer:
    """The metadata keys with the values that images have."""
    return ColumnsAnswer(columns=[_column(facet) for facet in await backend.index.facets()])


async def restore_index(backend: "Backend", request: RestoreRequest) -> RestoreAnswer:
    """Make the table as it was, as a new version."""
    before = None if request.before is None else parse_timestamp(request.before)
    if request.before is not None and before is None:
        raise RequestError("before must be an RFC 3339 time with a zone: 2026-01-31T12:00:00Z")
    restored = await backend.index.restore(version=request.version, before=before)
    return RestoreAnswer(message="success", restored=Version.model_validate(restored))


def _column(facet: "Facet") -> Column:
    applies: dict[str, Any] = {}
    if facet.values is not None:
        values = [Value(value=value, count=count) for value, count in facet.values]
        applies = {"values": values, "more": facet.more}
    elif facet.count:
        applies = {"min": facet.min, "max": facet.max}
    return Column(key=facet.key, type=facet.type, count=facet.count, **applies)


ROUTES: dict[str, Methods] = {
    "/index": {"GET": (NoRequest, get_index)},
    "/index/columns": {"GET": (NoRequest, list_columns)},
    "/index/versions": {"GET": (NoRequest, list_versions)},
}
