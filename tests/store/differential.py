"""Random operations on a real table and on a plain model of it, with equal answers throughout.

Two handles work on one folder, each read goes through either. For a longer run than the tests'::

    python -m tests.store.differential --operations 20000
"""

import argparse
import asyncio
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from store.errors import StoreError
from store.index import ImageIndex
from store.schemas import Hit, NewImage, SearchQuery, StoredImage, image_id
from store.settings import StoreSettings
from tests.store.model_table import ModelTable, fits, fused_bounds
from tests.store.model_values import Refused
from tests.store.strategies import METADATA, PHRASES, POOL, URLS, filters, images
from tests.store.support import IDENTITY

# A Rust panic inside of LanceDB leaves its caller waiting for ever.
OPERATION_TIMEOUT_S = 60
EVERYTHING = 1000

HANDLES = st.integers(0, 1)
IDS = st.sampled_from([*map(image_id, URLS), "0" * 32, "", "' OR true --"])
FILTERS = filters()
PAGES = st.tuples(st.sampled_from([1, 3, EVERYTHING]), st.sampled_from([0, 0, 2, 50]))
VECTORS = st.sampled_from(POOL)
PATCHES = st.tuples(IDS, METADATA)
DELETES = st.lists(IDS, max_size=4)

counts: Counter[str] = Counter()


class Differential(RuleBasedStateMachine):
    """Each rule asks the table and the model the same."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp())
        self.model = ModelTable()
        self.versions: dict[int, ModelTable] = {}
        self.indexes = [self._run(self._open()) for _ in range(2)]
        self._remember()

    def teardown(self) -> None:
        for index in self.indexes:
            self._run(index.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    # Writes.

    @rule(handle=HANDLES, image=images())
    def upsert(self, handle: int, image: NewImage) -> None:
        self._same(
            "upsert", lambda: self.indexes[handle].upsert(image), lambda: self.model.upsert(image)
        )
        self._remember()

    @rule(handle=HANDLES, batch=st.lists(images() | PATCHES | DELETES, min_size=2, max_size=12))
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
            expected = _outcome(partial(self._applied, each))
            assert _comparable(answer) == expected, (each, answer)
        self._remember()

    @rule(handle=HANDLES, patch=PATCHES)
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
        self.indexes[handle] = self._run(self._open())
        self._remember()

    @rule(handle=HANDLES, data=st.data())
    def restore(self, handle: int, data: st.DataObject) -> None:
        listed = {each.version: each for each in self._run(self.indexes[handle].versions())}
        assert set(self.versions) <= set(listed)
        number = data.draw(st.sampled_from(sorted(self.versions)))
        counts["restore"] += 1
        assert self._run(self.indexes[handle].restore(version=number)).version == number
        self.model.become(self.versions[number])
        self._remember()

    # Reads.

    @rule(handle=HANDLES, own=IDS)
    def get(self, handle: int, own: str) -> None:
        counts["get"] += 1
        found = self._run(self.indexes[handle].get(own))
        assert (found is None) is (own not in self.model.rows)
        if found is not None:
            self._same_image(found)

    @rule(handle=HANDLES, node=FILTERS, page=PAGES)
    def filter(self, handle: int, node: Any, page: tuple[int, int]) -> None:
        index, (limit, offset) = self.indexes[handle], page
        query = SearchQuery(filter=node, limit=limit, offset=offset)
        self._same(
            "filter",
            lambda: index.search(query),
            lambda: self.model.matching(node)[offset : offset + limit],
        )
        self._same("count", lambda: index.count(node), lambda: len(self.model.matching(node)))

    @rule(
        handle=HANDLES,
        vector=VECTORS,
        node=st.none() | FILTERS,
        page=PAGES,
        least=st.sampled_from([None, None, -1.0, 0.0, 0.25]),
    )
    def nearest(
        self, handle: int, vector: Any, node: Any, page: tuple[int, int], least: float | None
    ) -> None:
        query = SearchQuery(
            vector=vector, filter=node, limit=page[0], offset=page[1], min_score=least
        )
        self._same(
            "search by vector",
            lambda: self.indexes[handle].search(query),
            lambda: self._nearest(query)[page[1] : page[1] + page[0]],
        )

    @rule(
        handle=HANDLES,
        text=PHRASES,
        text_vector=VECTORS,
        vector=st.none() | VECTORS,
        node=st.none() | FILTERS,
    )
    def text(self, handle: int, text: str, text_vector: Any, vector: Any, node: Any) -> None:
        counts["search by text"] += 1
        query = SearchQuery(
            vector=vector, text=text, text_vector=text_vector, filter=node, limit=EVERYTHING
        )
        among = _outcome(lambda: self.model.matching(node or {}))
        if isinstance(among, type):
            assert _outcome(lambda: self._run(self.indexes[handle].search(query))) is among
            return
        hits = self._run(self.indexes[handle].search(query))
        vectors = [each for each in (vector, text_vector) if each is not None]
        rankings = [[own for own, _ in self.model.nearest(each, among)] for each in vectors]
        bounds = fused_bounds(rankings, self.model.having_words(text, among))
        found = [self._same_hit(hit) for hit in hits]
        assert sorted(found) == sorted(among)
        assert fits(found, bounds), (text, found, bounds)

    @rule(handle=HANDLES, page=PAGES)
    def listing(self, handle: int, page: tuple[int, int]) -> None:
        counts["images"] += 1
        limit, offset = page
        found = self._run(self.indexes[handle].images(limit, offset))
        assert found.total == len(self.model.rows)
        expected = self.model.matching({})[offset : offset + limit]
        assert [self._same_image(each) for each in found.images] == expected

    @rule(handle=HANDLES, ids=DELETES)
    def vectors(self, handle: int, ids: list[str]) -> None:
        counts["vectors"] += 1
        found = self._run(self.indexes[handle].vectors(ids))
        assert set(found) == set(ids) & set(self.model.rows)
        assert all(np.array_equal(found[own], self.model.rows[own].vector) for own in found)

    @rule(handle=HANDLES, vector=VECTORS, url=st.sampled_from(URLS))
    def near_duplicates(self, handle: int, vector: Any, url: str) -> None:
        counts["near duplicates"] += 1
        hits = self._run(self.indexes[handle].near_duplicates(vector, url, 0.25, EVERYTHING))
        others = set(self.model.rows) - {image_id(url)}
        expected = [own for own, score in self.model.nearest(vector, others) if score >= 0.25]
        assert [self._same_hit(hit) for hit in hits] == expected

    @rule(handle=HANDLES, metadata=METADATA, node=FILTERS)
    def checks(self, handle: int, metadata: Any, node: Any) -> None:
        """What is said beforehand is what the operation itself would say."""
        index = self.indexes[handle]
        image = NewImage("https://example.org/new", POOL[0], metadata)
        self._same(
            "check metadata",
            lambda: index.check_metadata(metadata),
            lambda: _nothing(self.model.copy().upsert(image)),
        )
        self._same(
            "check filter",
            lambda: index.check_filter(node),
            lambda: _nothing(self.model.matching(node)),
        )

    @invariant()
    def the_whole_table_is_the_models(self) -> None:
        for index in self.indexes:
            found = self._run(index.images(EVERYTHING))
            assert [self._same_image(each) for each in found.images] == self.model.matching({})
            assert found.total == len(self.model.rows)

    # How the two are compared.

    def _same(
        self, name: str, asked: Callable[[], Awaitable[Any]], expected: Callable[[], Any]
    ) -> None:
        counts[name] += 1
        answer = _outcome(lambda: self._run(asked()))
        if isinstance(answer, list):
            answer = [self._same_hit(hit) for hit in answer]
        assert _comparable(answer) == _outcome(expected)

    def _applied(self, operation: Any) -> Any:
        """Applies an operation of a burst to the model."""
        if isinstance(operation, NewImage):
            return self.model.upsert(operation)
        if isinstance(operation, list):
            return self.model.delete(operation)
        own, metadata = operation
        return (own, _exact(self.model.metadata(own))) if self.model.patch(own, metadata) else None

    def _nearest(self, query: SearchQuery) -> list[str]:
        assert query.vector is not None
        least = -1.0 if query.min_score is None else query.min_score
        among = self.model.matching(query.filter or {})
        return [own for own, score in self.model.nearest(query.vector, among) if score >= least]

    def _same_image(self, found: StoredImage | Hit) -> str:
        row = self.model.rows[found.id]
        assert found.url == row.url
        assert _exact(found.metadata) == _exact(self.model.metadata(found.id))
        return found.id

    def _same_hit(self, hit: Hit) -> str:
        return self._same_image(hit)

    def _remember(self) -> None:
        """Keeps what this version of the table holds, to go back to it later."""
        version = self._run(self.indexes[0].versions())[0]
        self.versions[version.version] = self.model.copy()

    async def _open(self) -> ImageIndex:
        # Compaction, too, comes every few commits by itself, and large bursts are several commits.
        rare = StoreSettings(
            store_uri=str(self.folder), store_upkeep_every=5, store_max_commit_rows=6
        )
        return await ImageIndex.open(rare, IDENTITY)

    def _run(self, asked: Awaitable[Any]) -> Any:
        return self.runner.run(asyncio.wait_for(asked, OPERATION_TIMEOUT_S))


async def _sent(index: ImageIndex, operation: Any) -> Any:
    if isinstance(operation, NewImage):
        return await index.upsert(operation)
    if isinstance(operation, list):
        return await index.delete(operation)
    return await index.patch(*operation)


def _outcome(asked: Callable[[], Any]) -> Any:
    """What was answered, or the class of the error."""
    try:
        return asked()
    except StoreError as error:
        return type(error)
    except Refused as refused:
        return refused.error


def _nothing(_: Any) -> None:
    """Stands for an answer that only matters as not being an error."""


def _comparable(answer: Any) -> Any:
    if isinstance(answer, StoreError):
        return type(answer)
    if isinstance(answer, StoredImage):
        return answer.id, _exact(answer.metadata)
    return answer


def _exact(metadata: Any) -> Any:
    """In a form in which 1, 1.0 and True differ, 0.0 and -0.0 too; keys have no order."""
    if isinstance(metadata, dict):
        return {key: repr(value) for key, value in metadata.items()}
    return metadata


def check(operations: int, steps: int) -> Counter[str]:
    """Runs machines of so many steps until there were enough operations.

    Returns:
        How many there were of each.

    Raises:
        AssertionError: an answer of the table was not the model's.
    """
    counts.clear()
    few = settings(
        max_examples=10,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    while counts.total() < operations:
        run_state_machine_as_test(Differential, settings=few)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--operations", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=60, help="operations on one table")
    wanted = parser.parse_args()
    began = time.monotonic()
    done = check(wanted.operations, wanted.steps)
    for name, count in done.most_common():
        print(f"{count:8} {name}")  # noqa: T201 - a command's answer
    seconds = time.monotonic() - began
    print(f"{done.total():8} operations in {seconds:.0f} s, all answers equal")  # noqa: T201


if __name__ == "__main__":
    main()
