"""Rules that change the table, or whom it is changed through."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from store.changes.story import Span
from store.errors import NoChangeLogError
from store.index import ImageIndex
from store.metadata.values import ColumnType
from store.schemas import NOBODY, Author, NewImage, StoredImage, Upserted, image_id
from tests.store.differential.machine.machine import (
    DELETES,
    FILTERS,
    HANDLES,
    MEMORY_MB,
    Machine,
    bucket,
    comparable,
    counts,
    exact,
    outcome,
)
from tests.store.differential.strategies import (
    KEYS,
    URLS,
    image,
    metadata,
    obj,
    seeded,
    several,
    url,
)

IMAGES = seeded(image)
TYPES = {
    "string": ColumnType.STRING,
    "integer": ColumnType.INTEGER,
    "float": ColumnType.FLOAT,
    "boolean": ColumnType.BOOLEAN,
    "timestamp": ColumnType.TIMESTAMP,
    "list": ColumnType.STRINGS,
}
_T = TypeVar("_T")


def _patch(rng: Random) -> tuple[str, Any]:
    changes = metadata(rng) if rng.random() < 0.3 else obj(rng, nulls=0.5)
    return image_id(url(rng)), changes


def _operation(rng: Random) -> Any:
    drawn = rng.random()
    if drawn < 0.2:
        return [image_id(url(rng)) for _ in range(rng.randint(0, 3))]
    return _patch(rng) if drawn < 0.5 else image(rng)


def picked(among: Iterable[_T], pick: int) -> _T:
    """One of these; not drawn from them, as how many there are depends on the clock."""
    ordered = sorted(among)  # type: ignore[type-var] # numbers or moments
    return ordered[pick % len(ordered)]


class Writes(Machine):
    """Each rule does the same to the table and to the model."""

    @initialize(batch=seeded(lambda rng: several(rng, image, 4, 16)))
    def begin(self, batch: list[NewImage]) -> None:
        self.burst(0, batch)

    @rule(handle=HANDLES, image=IMAGES)
    def upsert(self, handle: int, image: NewImage) -> None:
        self._same(
            "upsert", lambda: self.indexes[handle].upsert(image), lambda: self.model.upsert(image)
        )
        self._remember()

    @rule(handle=HANDLES, batch=seeded(lambda rng: several(rng, _operation, 2, 12)))
    def burst(self, handle: int, batch: list[Any]) -> None:
        """Several at once through one handle: as if one after the other."""

        async def sent() -> list[Any]:
            index = self.indexes[handle]
            return await asyncio.gather(
                *(_sent(index, each) for each in batch), return_exceptions=True
            )

        answers = self._run(sent())
        counts["in bursts"] += len(batch)
        for each, answer in zip(batch, answers, strict=True):
            expected = outcome(partial(self._applied, each))
            assert comparable(answer) == expected, (each, repr(answer), expected)
        self._remember()

    @rule(handle=HANDLES, patch=seeded(_patch))
    def patch(self, handle: int, patch: tuple[str, Any]) -> None:
        self._same(
            "patch", lambda: self.indexes[handle].patch(*patch), lambda: self._applied(patch)
        )
        self._remember()

    @rule(handle=HANDLES, ids=DELETES)
    def delete(self, handle: int, ids: list[str]) -> None:
        self._same(
            "delete", lambda: self.indexes[handle].delete(ids), lambda: self.model.delete(ids)
        )
        self._remember()

    @rule(handle=HANDLES, node=FILTERS)
    def delete_matching(self, handle: int, node: Any) -> None:
        self._same(
            "delete by filter",
            lambda: self.indexes[handle].delete_matching(node),
            lambda: self.model.delete_matching(node),
        )
        self._remember()

    @rule(handle=HANDLES, urls=st.lists(st.sampled_from(URLS), max_size=3))
    def delete_urls(self, handle: int, urls: list[str]) -> None:
        self._same(
            "delete by url",
            lambda: self.indexes[handle].delete_urls(urls),
            lambda: self.model.delete_urls(urls),
        )
        self._remember()

    @rule(handle=HANDLES, node=FILTERS, patch=seeded(_patch))
    def patch_matching(self, handle: int, node: Any, patch: tuple[str, Any]) -> None:
        self._same(
            "patch by filter",
            lambda: self.indexes[handle].patch_matching(node, patch[1]),
            lambda: self.model.patch_matching(node, patch[1]),
        )
        self._remember()

    @rule(handle=HANDLES, key=st.sampled_from([*KEYS, "unknown", "text"]))
    def drop_column(self, handle: int, key: str) -> None:
        self._same(
            "drop column",
            lambda: self.indexes[handle].drop_column(key),
            lambda: self.model.drop_column(key),
        )
        self._remember()

    @rule(
        handle=HANDLES,
        key=st.sampled_from([*KEYS, "declared", "$text", ""]),
        kind=st.sampled_from(list(TYPES)),
    )
    def declare_column(self, handle: int, key: str, kind: str) -> None:
        self._same(
            "declare column",
            lambda: self.indexes[handle].declare_column(key, TYPES[kind]),
            lambda: self.model.declare_column(key, kind),
        )
        self._remember()

    @rule(handle=HANDLES, batch=seeded(lambda rng: several(rng, _owned, 2, 8)))
    def undo(self, handle: int, batch: list[tuple[bool, Any]]) -> None:
        """What a key does, with others between it, is undone but where others came after."""
        counts["undo"] += 1
        index, me, since = self.indexes[handle], Author(f"key {next(self.authors)}"), now()
        before: dict[str, Any] = {}
        kept, rewritten = set[str](), set[str]()
        for mine, operation in batch:
            rows = dict(self.model.rows)
            author = me if mine else Author("another")
            answer = outcome(partial(self._run, _sent(index, operation, author)))
            assert comparable(answer) == outcome(partial(self._applied, operation))
            for own in _touched(operation, answer, rows):
                if mine and own in rewritten:  # nothing of what it did before is left
                    kept.discard(own)
                    rewritten.discard(own)
                    before[own] = rows.get(own)
                elif mine:
                    before.setdefault(own, rows.get(own))
                elif own in before:
                    kept.add(own)
                    rewritten |= set() if isinstance(operation, tuple) else {own}
        goals = {own: row for own, row in before.items() if own not in kept}
        removed = len({own for own, row in goals.items() if row is None} & self.model.rows.keys())
        restored = sum(row is not None for row in goals.values())
        assert me.key is not None
        if bucket:  # beside which there is no log to undo by
            undo = outcome(lambda: self._run(index.undo(Span("key", since, now()))))
            assert undo is NoChangeLogError
            self._remember()
            return
        undone = self._run(index.undo(Span(me.key, since, now())))
        assert (undone.removed, undone.restored) == (removed, restored), undone
        assert {left.id for left in undone.left} == kept, undone
        self.model.take_back(goals)
        self._remember()

    @rule(handle=HANDLES)
    def upkeep(self, handle: int) -> None:
        report = self._run(self.indexes[handle].run_upkeep())
        counts["upkeep"] += 1
        assert report is None or report.result == "ok"
        self._remember()

    @rule(handle=HANDLES)
    def restart(self, handle: int) -> None:
        counts["restart"] += 1
        self._run(self.indexes[handle].close())
        self.indexes[handle] = self._run(self._open(MEMORY_MB[handle]))
        self._remember()

    @rule(handle=HANDLES, image=IMAGES, steps=st.integers(0, 6))
    def cancelled(self, handle: int, image: NewImage, steps: int) -> None:
        """An add whose caller goes away is done or not; nothing of it is half done."""
        counts["cancelled"] += 1
        index = self.indexes[handle]
        before = self._run(index.images(1)).images
        self._run(_cancelled(index, image, steps))
        if self._run(index.images(1)).images != before:  # each add has a date of its own
            self.model.upsert(image)
        self._remember()

    @rule(handle=HANDLES, pick=st.integers(0, 1_000_000), by_time=st.booleans())
    def restore(self, handle: int, pick: int, by_time: bool) -> None:
        counts["restore"] += 1
        index = self.indexes[handle]
        if by_time:
            moment = picked(self.moments, pick)
            self._run(index.restore(before=moment))
            self.model.become(self.moments[moment])
        else:
            listed = {each.version for each in self._run(index.versions())}
            number = picked(listed & set(self.versions), pick)
            assert self._run(index.restore(version=number)).version == number
            self.model.become(self.versions[number])
        self._remember()

    def _applied(self, operation: Any) -> Any:
        """Applies an operation of a burst to the model."""
        if isinstance(operation, NewImage):
            return self.model.upsert(operation)
        if isinstance(operation, list):
            return self.model.delete(operation)
        own, metadata = operation
        return (own, exact(self.model.metadata(own))) if self.model.patch(own, metadata) else None


async def _cancelled(index: ImageIndex, image: NewImage, steps: int) -> None:
    adding = asyncio.create_task(index.upsert(image))
    for _ in range(steps):
        await asyncio.sleep(0)
    adding.cancel()
    await asyncio.wait([adding])
    if not adding.cancelled():
        adding.exception()
    await index.delete(["nobody's"])  # waits behind what may still be under way


async def _sent(index: ImageIndex, operation: Any, by: Author = NOBODY) -> Any:
    if isinstance(operation, NewImage):
        return await index.upsert(operation, by)
    if isinstance(operation, list):
        return await index.delete(operation, by)
    own, changes = operation
    return await index.patch(own, changes, by)


def _owned(rng: Random) -> tuple[bool, Any]:
    """An operation, and whether the key that is undone later does it."""
    return rng.random() < 0.7, _operation(rng)


def _touched(operation: Any, answer: Any, rows: Mapping[str, Any]) -> set[str]:
    """The ids of the images that an operation has written or deleted."""
    if isinstance(operation, list):
        return set(operation) & rows.keys()
    written = isinstance(answer, StoredImage) or (
        isinstance(answer, Upserted) and not answer.skipped
    )
    own = operation.id if isinstance(operation, NewImage) else operation[0]
    return {own} if written else set()


def now() -> datetime:
    return datetime.now(UTC)
