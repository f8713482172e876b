"""Rules that ask the table and the model the same."""

from dataclasses import asdict
from random import Random
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from store.index import ImageIndex
from store.schemas import (
    FloatVector,
    Hit,
    NewImage,
    ObjectQuery,
    ObjectTerm,
    SearchQuery,
    image_id,
)
from store.search.facets import facets_of
from tests.store.differential.machine.machine import (
    DELETES,
    EVERYTHING,
    FILTERS,
    HANDLES,
    IDS,
    Machine,
    counts,
    exact,
    nothing,
    outcome,
)
from tests.store.differential.model.facets import facet
from tests.store.differential.model.table import fits, fused_bounds
from tests.store.differential.model.values import as_json_value
from tests.store.differential.strategies import (
    POOL,
    URLS,
    echo,
    filter_,
    metadata,
    object_filter,
    seeded,
    several,
    words,
)

PAGES = st.tuples(st.sampled_from([EVERYTHING, 3, 1]), st.sampled_from([0, 0, 2, 50]))
VECTORS = st.sampled_from(POOL)


class Reads(Machine):
    """The answers of the table are the model's."""

    @rule(handle=HANDLES, own=IDS)
    def get(self, handle: int, own: str) -> None:
        counts["get"] += 1
        found = self._run(self.indexes[handle].get(own))
        assert (found is None) is (own not in self.model.rows)
        if found is not None:
            self._same_image(found)

    @rule(handle=HANDLES, own=IDS)
    def objects(self, handle: int, own: str) -> None:
        """What is in an image, and the vector of each object."""
        counts["objects"] += 1
        index, row = self.indexes[handle], self.model.rows.get(own)
        found, expected = self._run(index.objects(own)), row.objects if row else None
        assert (found is None) is (expected is None)
        if found is None or expected is None:
            return
        told = found.size, found.boxes, found.left_out
        assert told == (expected.size, expected.boxes, expected.left_out)
        for n, vector in enumerate(expected.vectors):
            assert np.array_equal(self._run(index.object_vector(own, n)), vector)

    @rule(handle=HANDLES, vector=VECTORS, page=PAGES)
    def objects_nearest(self, handle: int, vector: FloatVector, page: tuple[int, int]) -> None:
        counts["search of objects"] += 1
        (limit, offset), of = page, ObjectQuery((ObjectTerm(vector),))
        query = SearchQuery(objects=of, limit=limit, offset=offset)
        hits = self._run(self.indexes[handle].find(query)).hits
        expected = self.model.best_objects(vector)[offset : offset + limit]
        assert [hit.id for hit in hits] == [own for own, _ in expected]
        assert np.allclose([hit.score for hit in hits], [score for _, score in expected], atol=2e-6)
        for hit in hits:
            own = self.model.rows[self._same_hit(hit)].objects
            assert own is not None
            assert np.isclose(own.vectors[hit.numbers[0]] @ vector, hit.score, atol=2e-6)

    @rule(handle=HANDLES, rng=seeded(lambda rng: rng))
    def showing(self, handle: int, rng: Random) -> None:
        for node in several(rng, object_filter, 5, 5):
            counts["filter of objects"] += 1
            found, _ = self._run(self.indexes[handle].matching(node))
            assert set(found) == self.model.showing(node), node

    @rule(handle=HANDLES, rng=seeded(lambda rng: rng), page=PAGES)
    def filter(self, handle: int, rng: Random, page: tuple[int, int]) -> None:
        stored = [self._values(own) for own, row in self.model.rows.items() if row.values]
        nodes = several(rng, filter_, 5, 5)
        nodes += [echo(rng, rng.choice(stored)) for _ in range(10 if stored else 0)]
        for node in nodes:
            self._filter(self.indexes[handle], node, page)

    def _filter(self, index: ImageIndex, node: Any, page: tuple[int, int]) -> None:
        limit, offset = page
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

    @rule(handle=HANDLES, rng=seeded(lambda rng: rng))
    def text(self, handle: int, rng: Random) -> None:
        for text in several(rng, words, 4, 4):
            query = SearchQuery(
                vector=rng.choice([None, rng.choice(POOL)]),
                text=text,
                text_vector=rng.choice(POOL),
                filter=filter_(rng) if rng.random() < 0.5 else None,
                limit=EVERYTHING,
            )
            self._text(self.indexes[handle], query)

    def _text(self, index: ImageIndex, query: SearchQuery) -> None:
        counts["search by text"] += 1
        among = outcome(lambda: self.model.matching(query.filter or {}))
        if isinstance(among, type):
            assert outcome(lambda: self._run(index.search(query))) is among
            return
        hits = self._run(index.search(query))
        vectors = [each for each in (query.vector, query.text_vector) if each is not None]
        words = self.model.having_words(query.text or "", among)
        rankings = [self.model.nearest(each, among) for each in vectors]
        everything = [self.model.similarities(each) for each in vectors]
        bounds = fused_bounds(rankings, everything, words)
        found = [self._same_hit(hit) for hit in hits]
        assert sorted(found) == sorted(among)
        assert fits(found, bounds), (query.text, found, bounds)

    @rule(handle=HANDLES, page=PAGES)
    def listing(self, handle: int, page: tuple[int, int]) -> None:
        counts["images"] += 1
        limit, offset = page
        found = self._run(self.indexes[handle].images(limit, offset))
        assert found.total == len(self.model.rows)
        expected = self.model.matching({})[offset : offset + limit]
        assert [self._same_image(each) for each in found.images] == expected

    @rule(handle=HANDLES, url=st.sampled_from(URLS))
    def of_a_url(self, handle: int, url: str) -> None:
        counts["by url"] += 1
        found = self._run(self.indexes[handle].images(EVERYTHING, url=url))
        rows = {own: row.order for own, row in self.model.rows.items() if row.url == url}
        expected = sorted(rows, key=lambda own: -rows[own])
        assert [self._same_image(each) for each in found.images] == expected
        assert found.total == len(expected)

    @rule(handle=HANDLES, ids=DELETES)
    def vectors(self, handle: int, ids: list[str]) -> None:
        counts["vectors"] += 1
        found = self._run(self.indexes[handle].vectors(ids))
        assert set(found) == set(ids) & set(self.model.rows)
        assert all(np.array_equal(found[own], self.model.rows[own].vector) for own in found)

    @rule(handle=HANDLES, vector=VECTORS, url=st.sampled_from(URLS))
    def near_duplicates(self, handle: int, vector: Any, url: str) -> None:
        counts["near duplicates"] += 1
        found = self._run(
            self.indexes[handle].near_duplicates(NewImage(url, vector), 0.25, EVERYTHING)
        )
        others = set(self.model.rows) - {image_id(url)}
        expected = [own for own, score in self.model.nearest(vector, others) if score >= 0.25]
        assert [each.id for each in found] == expected
        assert all(each.url == self.model.rows[each.id].url for each in found)

    @rule(handle=HANDLES, given=seeded(metadata), node=FILTERS)
    def checks(self, handle: int, given: Any, node: Any) -> None:
        """What is said beforehand is what the operation itself would say."""
        index = self.indexes[handle]
        image = NewImage("https://example.org/new", POOL[0], given)
        self._same(
            "check metadata",
            lambda: _checked(index, given),
            lambda: nothing(self.model.copy().upsert(image)),
        )
        self._same(
            "check filter",
            lambda: _checked_first(index, node),
            lambda: self.model.matching(node),
        )

    @invariant()
    def the_whole_table_is_the_models(self) -> None:
        for index in self.indexes:
            found = self._run(index.images(EVERYTHING))
            assert [self._same_image(each) for each in found.images] == self.model.matching({})
            assert found.total == len(self.model.rows)

    @rule(handle=HANDLES)
    def facets(self, handle: int) -> None:
        counts["facets"] += 1
        index = self.indexes[handle]
        found = facets_of(self._run(index.snapshots.latest()))
        for each in found:
            expected = facet(self.model, each.key)
            assert exact(asdict(each)) == exact(asdict(expected)), (each, expected)
        assert {each.key: each.type for each in found} == self._run(index.state()).columns

    def _values(self, own: str) -> dict[str, Any]:
        """A row's values by key, as they come back."""
        return {key: as_json_value(value) for key, value in self.model.rows[own].values.items()}

    def _nearest(self, query: SearchQuery) -> list[str]:
        assert query.vector is not None
        least = -1.0 if query.min_score is None else query.min_score
        among = self.model.matching(query.filter or {})
        return [own for own, score in self.model.nearest(query.vector, among) if score >= least]


async def _checked(index: ImageIndex, given: Any) -> None:
    nothing(await index.check_metadata(given))


async def _checked_first(index: ImageIndex, node: Any) -> list[Hit]:
    """A search with the filter that was compiled by the check."""
    checked = await index.check_filter(node)
    return await index.search(SearchQuery(filter=checked, limit=EVERYTHING))
