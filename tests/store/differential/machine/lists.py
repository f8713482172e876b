"""Rules that ask the table and the model for the same lists: sorted, grouped, counted, paged."""

from dataclasses import asdict, dataclass, replace
from random import Random
from typing import Any

from hypothesis.stateful import invariant, rule

from store.index import ImageIndex
from store.schemas import Found, GroupedHit, SearchQuery
from tests.store.differential.machine.machine import (
    EVERYTHING,
    HANDLES,
    Machine,
    counts,
    exact,
    outcome,
)
from tests.store.differential.model.lists import (
    CREATED,
    Asked,
    Place,
    check,
    facet_under,
    listed,
)
from tests.store.differential.strategies import KEYS, filter_, seeded, several

ORDERED = [key for key, kind in KEYS.items() if kind != "list"]


@dataclass
class Paging:
    """Pages that are read one by one, whatever is done to the table in between.

    Attributes:
        query: of the pages.
        cursor: of the next one.
        last: the last image that was read, as it was then.
        types: of the columns when it began: an order by others is another one.
        staying: the rows that have been there and the same all the time.
        seen: the ids that were read.
    """

    query: SearchQuery
    asked: Asked
    cursor: str
    last: Place
    types: dict[str, str]
    staying: dict[str, Any]
    seen: list[str]


def asked(rng: Random) -> Asked:
    """What a list is asked for: mostly keys that there are."""
    keys = rng.sample([*ORDERED, CREATED], rng.choice([0, 1, 1, 1, 2]))
    if rng.random() < 0.05:
        keys += rng.choice([["unknown"], ["SELECT"], keys[:1], [*ORDERED[:5]]])
    sort = tuple(rng.choice(["", "-"]) + key for key in keys)
    node = filter_(rng) if rng.random() < 0.6 else {}
    group_by = rng.choice([*ORDERED, "SELECT"]) if rng.random() < 0.4 else None
    return Asked(node, sort, group_by, rng.random() < 0.3)


def query_of(asked: Asked, **more: Any) -> SearchQuery:
    return SearchQuery(
        filter=asked.filter, sort=asked.sort, group_by=asked.group_by, distinct=asked.distinct,
        **more,
    )  # fmt: skip


class Lists(Machine):
    """The lists of the table are the model's."""

    def __init__(self) -> None:
        super().__init__()
        self.paging: Paging | None = None
        self.turns = 0

    @rule(handle=HANDLES, rng=seeded(lambda rng: rng))
    def lists(self, handle: int, rng: Random) -> None:
        """Several lists, as a whole or in part."""
        for each in several(rng, asked, 4, 4):
            page = rng.choice([(EVERYTHING, 0), (EVERYTHING, 0), (3, 0), (2, 3)])
            self._list(self.indexes[handle], each, page, rng.sample([*KEYS], rng.randint(0, 2)))

    def _list(
        self, index: ImageIndex, asked: Asked, page: tuple[int, int], facets: list[str]
    ) -> None:
        limit, offset = page
        query = query_of(asked, limit=limit, offset=offset, facets=tuple(facets), total=True)
        counts["sorted or grouped"] += 1
        wanted = outcome(lambda: check(self.model, asked, facets))
        found = outcome(lambda: self._run(index.find(query)))
        if wanted is not None:
            assert found is wanted, (query, found, wanted)
            return
        right = listed(self.model, asked)
        self._same_page(query, found, right[offset : offset + limit])
        assert found.total == len(self.model.matching(asked.filter))
        assert (found.next is not None) is (len(right) > offset + limit)
        told = [exact(asdict(each)) for each in found.facets or []]
        expected = [facet_under(self.model, asked.filter, key) for key in facets]
        assert told == [exact(asdict(each)) for each in expected]

    def _begin(self, index: ImageIndex, asked: Asked, limit: int) -> None:
        if outcome(lambda: check(self.model, asked)) is not None:
            return
        counts["page by cursor"] += 1
        query = query_of(asked, limit=limit)
        found = self._run(index.find(query))
        self._same_page(query, found, listed(self.model, asked)[:limit])
        if found.next is not None:
            last = found.hits[-1].id
            there = {own: self.model.rows[own] for own in self.model.matching(asked.filter)}
            self.paging = Paging(
                query,
                asked,
                found.next,
                (last, self.model.rows[last]),
                dict(self.model.columns),
                there,
                [hit.id for hit in found.hits],
            )

    @invariant()
    def next_page(self) -> None:
        """A page after each operation, whatever it was; of others once all have been read."""
        self.turns += 1
        index = self.indexes[self.turns % 2]
        if self.paging is not None:
            self.paging = self._next(index, self.paging)
        elif len(self.model.rows) > 1:
            rng = Random(f"{self.turns} {sorted(self.model.rows)}")
            self._begin(index, asked(rng), rng.randint(1, 3))

    def _next(self, index: ImageIndex, paging: Paging) -> Paging | None:
        if self._is_another_order(paging):
            return None
        counts["page by cursor"] += 1
        query = replace(paging.query, cursor=paging.cursor)
        found = self._run(index.find(query))
        self._same_page(query, found, listed(self.model, paging.asked, paging.last)[: query.limit])
        paging.seen += [hit.id for hit in found.hits]
        rows = self.model.rows
        paging.staying = {own: row for own, row in paging.staying.items() if rows.get(own) is row}
        if found.next is None:
            if paging.asked.group_by is None and not paging.asked.distinct:
                assert all(paging.seen.count(own) == 1 for own in paging.staying), paging
            return None
        last = found.hits[-1].id
        return replace(paging, cursor=found.next, last=(last, rows[last]))

    def _is_another_order(self, paging: Paging) -> bool:
        """Whether a key is gone, or of another type, or the filter does not fit any more."""
        names = [each.removeprefix("-") for each in paging.asked.sort]
        names += [paging.asked.group_by] if paging.asked.group_by else []
        columns = self.model.columns
        changed = any(columns.get(name) != paging.types.get(name) for name in names)
        return changed or outcome(lambda: check(self.model, paging.asked)) is not None

    def _same_page(self, query: SearchQuery, found: Found, right: list[tuple[str, int]]) -> None:
        ids = [self._same_hit(hit) for hit in found.hits]
        assert ids == [own for own, _ in right], (query, ids, right)
        if query.group_by is not None:
            sizes = [hit.group_size for hit in found.hits if isinstance(hit, GroupedHit)]
            assert sizes == [size for _, size in right], (query, sizes, right)
