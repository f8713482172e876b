"""One commit: new columns, then one merge of all its rows; or one delete."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from store.engine import CommitConflictError
from store.errors import MetadataError
from store.literals import literal
from store.metadata import Registry, split_metadata
from store.rows import Row, to_arrow
from store.schemas import NewImage, Upserted, image_id

if TYPE_CHECKING:
    from lancedb import AsyncTable

_TICK = timedelta(microseconds=1)


@dataclass
class _Plan:
    """What a commit will write, and the answer for each image that asked for it."""

    registry: Registry
    rows: dict[str, Row] = field(default_factory=dict)
    answers: list[MetadataError | str] = field(default_factory=list)


class Committer:
    """Writes commits to a table. Only one commit at a time: the writer sees to that."""

    def __init__(self, table: "AsyncTable") -> None:
        self._table = table
        self._last = datetime.min.replace(tzinfo=UTC)

    async def upsert(self, images: Sequence[NewImage]) -> list[Upserted | MetadataError]:
        """Adds or replaces the images' rows in one merge.

        Of two images with the same url the later one stays. An image whose metadata does not fit
        the columns, those of the earlier images included, is left out.

        Returns:
            An answer per image, in order.

        Raises:
            CommitConflictError: another process added columns in between; none of the rows was
                written.
            Exception: whatever LanceDB raised; none of the rows was written.
        """
        await self._table.checkout_latest()
        before = Registry.from_schema(await self._table.schema())
        plan = self._plan(images, before)
        if not plan.rows:
            return [answer for answer in plan.answers if isinstance(answer, MetadataError)]
        await self._add_columns(before, plan.registry)
        known = await self._known(plan.rows)
        await self._merge(plan)
        return _answered(plan.answers, known)

    async def delete(self, ids: Collection[str]) -> set[str]:
        """Deletes the rows of these ids; tells which of them there were."""
        await self._table.checkout_latest()
        known = await self._known(ids)
        if known:
            await self._table.delete(_among(known))
        return known

    def _plan(self, images: Iterable[NewImage], registry: Registry) -> _Plan:
        plan = _Plan(registry)
        for image in images:
            try:
                row = self._placed(image, plan)
            except MetadataError as error:
                plan.answers.append(error)
                continue
            plan.rows[row.id] = row
            plan.answers.append(row.id)
        return plan

    def _placed(self, image: NewImage, plan: _Plan) -> Row:
        text, given = split_metadata(image.metadata)
        values, plan.registry = plan.registry.place(given)
        return Row(image_id(image.url), image.url, image.vector, self._now(), text, values)

    def _now(self) -> datetime:
        # Rows of one commit, too, are ordered by when they were added.
        self._last = max(datetime.now(UTC), self._last + _TICK)
        return self._last

    async def _known(self, ids: Collection[str]) -> set[str]:
        found = await self._table.query().where(_among(ids)).select(["id"]).to_arrow()
        return set(found["id"].to_pylist())

    async def _add_columns(self, before: Registry, after: Registry) -> None:
        added = after.columns[len(before.columns) :]
        if not added:
            return
        try:
            await self._table.add_columns([column.field() for column in added])
        except Exception as error:
            # Another process took the names first: LanceDB has several errors for that.
            await self._table.checkout_latest()
            _check_unchanged(await self._table.schema(), before, error)
            raise

    async def _merge(self, plan: _Plan) -> None:
        schema = await self._table.schema()
        _check_unchanged(schema, plan.registry)
        merge = self._table.merge_insert("id").when_matched_update_all()
        rows = to_arrow(list(plan.rows.values()), plan.registry, schema)
        await merge.when_not_matched_insert_all().execute(rows)


def _check_unchanged(schema: pa.Schema, registry: Registry, cause: Exception | None = None) -> None:
    if Registry.from_schema(schema).columns != registry.columns:
        raise CommitConflictError("another process added columns first") from cause


def _answered(
    answers: Iterable[MetadataError | str], known: Collection[str]
) -> list[Upserted | MetadataError]:
    seen = set(known)
    result: list[Upserted | MetadataError] = []
    for answer in answers:
        if isinstance(answer, str):
            result.append(Upserted(answer, created=answer not in seen))
            seen.add(answer)
        else:
            result.append(answer)
    return result


def _among(ids: Iterable[str]) -> str:
    return f"id IN ({', '.join(map(literal, ids))})"
