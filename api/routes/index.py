"""The routes of the index as a whole: its state, columns, versions and changes, and going back."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from api.access.author import author
from api.contract.requests.table import (
    ColumnRequest,
    DeclareRequest,
    LogRequest,
    NoRequest,
    RestoreRequest,
    UndoRequest,
)
from api.contract.responses.columns import (
    ColumnsAnswer,
    DeclareAnswer,
    DropAnswer,
    ObjectClass,
    column_of,
)
from api.contract.responses.table import Change as ChangeRow
from api.contract.responses.table import (
    IndexAnswer,
    IndexedObjects,
    LogAnswer,
    RestoreAnswer,
    UndoAnswer,
    Version,
    VersionsAnswer,
)
from api.errors import RequestError
from api.routes.handler import Methods
from store.changes.change import LogQuery
from store.changes.story import Span
from store.metadata.values import ColumnType, parse_timestamp

if TYPE_CHECKING:
    from api.pipeline.backend import Backend  # heavy: only in a worker
    from store.changes.change import Change

_MOST_IDS = 20_000
"""In one answer; who wants more pages on."""


async def get_index(backend: "Backend", _: NoRequest) -> IndexAnswer:
    """The table as it is now."""
    state = await backend.index.state()
    model, upkeep = state.model, state.upkeep
    named = {"name": model.model, "pretrained": model.pretrained}
    recall = upkeep.recall if upkeep else None
    answer = IndexAnswer.model_validate(
        {**vars(state), "dim": model.dim, "model": named, "estimated_recall": recall}
    )
    if of := await backend.index.objects_state():
        answer.objects = IndexedObjects(
            detector=of.detector.name,
            recipe=of.detector.recipe,
            images=of.images,
            objects=of.objects,
            **({"earlier": of.earlier} if of.earlier else {}),
        )
    return answer


async def list_versions(backend: "Backend", _: NoRequest) -> VersionsAnswer:
    """The versions that can be restored, newest first."""
    return VersionsAnswer.model_validate({"versions": await backend.index.versions()})


async def list_columns(backend: "Backend", _: NoRequest) -> ColumnsAnswer:
    """The metadata keys with the values that images have."""
    columns = [column_of(facet) for facet in await backend.index.facets()]
    if of := await backend.index.objects_state():
        classes = [ObjectClass.model_validate(each) for each in of.classes]
        return ColumnsAnswer(columns=columns, classes=classes)
    return ColumnsAnswer(columns=columns)


async def declare_column(backend: "Backend", request: DeclareRequest) -> DeclareAnswer:
    """Give a metadata key a type before its first value, or a wider one."""
    kind = next(each for each in ColumnType if each.label == request.type)
    created = await backend.index.declare_column(request.key, kind, author())
    return DeclareAnswer(message="success", key=request.key, type=request.type, created=created)


async def drop_column(backend: "Backend", request: ColumnRequest) -> DropAnswer:
    """Take a metadata key and its values away; its name is free again."""
    count = await backend.index.drop_column(request.key, author())
    return DropAnswer(message="success", key=request.key, count=count)


async def restore_index(backend: "Backend", request: RestoreRequest) -> RestoreAnswer:
    """Make the table as it was, as a new version."""
    before = _moment("before", request.before)
    restored = await backend.index.restore(version=request.version, before=before, by=author())
    return RestoreAnswer(message="success", restored=Version.model_validate(restored))


async def list_changes(backend: "Backend", request: LogRequest) -> LogAnswer:
    """The changes of the table, newest first."""
    since, before = _moment("since", request.since), _moment("before", request.before)
    query = LogQuery(request.limit, since, before, request.key, request.action, request.id)
    found, more = await backend.index.changes(query)
    changes, ids = [_change(one) for one in found], 0
    for place, change in enumerate(changes):
        ids += len(change.ids)
        if place and ids > _MOST_IDS:
            return LogAnswer(changes=changes[:place], more=True)
    return LogAnswer(changes=changes, more=more)


async def undo_changes(backend: "Backend", request: UndoRequest) -> UndoAnswer:
    """Undo the changes of one key."""
    since, before = _moment("since", request.since), _moment("before", request.before)
    undone = await backend.index.undo(
        Span(request.key, since or datetime.now(UTC), before or datetime.now(UTC)),
        dry_run=request.dry_run,
        by=author(),
    )
    told = {"message": "success", "dry_run": request.dry_run, **vars(undone)}
    return UndoAnswer.model_validate(told)


def _moment(name: str, text: str | None) -> datetime | None:
    moment = None if text is None else parse_timestamp(text)
    if text is not None and moment is None:
        raise RequestError(f"{name} must be an RFC 3339 time with a zone: 2026-01-31T12:00:00Z")
    return moment


def _change(change: "Change") -> ChangeRow:
    return ChangeRow.model_validate({**vars(change), **vars(change.by), **change.more})


ROUTES: dict[str, Methods] = {
    "/index": {"GET": (NoRequest, get_index)},
    "/index/columns": {"GET": (NoRequest, list_columns)},
    "/index/columns/{key:rest}": {
        "PUT": (DeclareRequest, declare_column),
        "DELETE": (ColumnRequest, drop_column),
    },
    "/index/log": {"GET": (LogRequest, list_changes)},
    "/index/versions": {"GET": (NoRequest, list_versions)},
}
