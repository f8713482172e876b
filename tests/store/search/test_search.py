"""Ranking against numpy, filters before ranking, text, fusion and paging."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from store.errors import InvalidRowError, QueryError
from store.index import ImageIndex
from store.schemas import MAX_OFFSET, FloatVector, Hit, NewImage, SearchQuery, image_id
from store.search.lists import spans
from store.search.relevance import FUSION_DEPTH
from store.snapshot import snapshot
from store.snapshot.snapshot import Snapshot
from tests.store.support import DIM, opened, url_of, vector

ROWS = 600
TWINS = range(500, 540)  # one picture under forty urls
VECTORS = np.stack([vector(500 if n in TWINS else n) for n in range(ROWS)])
TEXTS = {
    550: "a red bus in the rain",
    551: "a red car, parked",
    552: "AND a Café on the corner",
    553: "the bus stop; no 'bus'",
}


class Search:
    """Searches the table, to compare with what it should find."""

    def __init__(self, runner: asyncio.Runner, index: ImageIndex) -> None:
        self._runner, self._index = runner, index

    def __call__(self, query: SearchQuery) -> list[Hit]:
        return self._runner.run(self._index.search(query))

    def matches(self, query: SearchQuery) -> tuple[Snapshot, dict[int, float]]:
        """The table, and how well the words of the rows that have some match, by number."""
        found = self._runner.run(self._index.matches(query))
        urls = found.snapshot.take(found.rows, ["url"])["url"].to_pylist()
        return found.snapshot, dict(zip(map(number_of, urls), found.scores.tolist(), strict=True))


def number_of(url: str) -> int:
    return int(url.removeprefix("https://example.org/").removesuffix(".jpg"))


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Search]:
    with asyncio.Runner() as runner:
        context = opened(tmp_path_factory.mktemp("search"), store_upkeep_every=2)
        index = runner.run(context.__aenter__())
        runner.run(_fill(index))
        yield Search(runner, index)
        runner.run(context.__aexit__(None, None, None))


async def _fill(index: ImageIndex) -> None:
    """In several commits, so that there are fragments and rows that the text index lacks."""
    for start in range(0, ROWS, 100):
        numbers = range(start, start + 100)
        await asyncio.gather(*(index.upsert(_image(n)) for n in numbers))


def _image(n: int) -> NewImage:
    return NewImage(url_of(n), VECTORS[n], TEXTS.get(n, {"n": n, "rare": n % 97 == 0}))


def numbers(hits: list[Hit]) -> list[int]:
    return [number_of(hit.url) for hit in hits]


def wanted(query: FloatVector, among: list[int] | None = None) -> list[int]:
    among = list(range(ROWS)) if among is None else among
    scores = VECTORS[among].astype(np.float64) @ query.astype(np.float64)
    return [among[n] for n in np.argsort(-scores, kind="stable")]


@pytest.mark.parametrize("seed", [3, 1001, 1002])
def test_nearest_is_exact(search: Search, seed: int) -> None:
    query = vector(seed)
    hits = search(SearchQuery(vector=query, limit=50))
    assert numbers(hits) == wanted(query)[:50]
    scores = VECTORS[numbers(hits)] @ query
    assert [hit.score for hit in hits] == pytest.approx(scores.tolist(), abs=2e-6)


@pytest.mark.timeout(60)
def test_a_vector_at_an_odd_address_is_searched_like_any_other(search: Search) -> None:
    """As vectors from another process come; LanceDB panics over them and the search never ends."""
    straight = vector(3)
    odd = np.frombuffer(b"x" + straight.tobytes(), np.uint8)[1:].view(np.float32)
    assert not odd.flags.aligned
    assert search(SearchQuery(vector=odd)) == search(SearchQuery(vector=straight))


def test_the_same_picture_scores_exactly_one_and_the_opposite_minus_one(search: Search) -> None:
    for n in range(0, 100, 7):
        assert search(SearchQuery(vector=VECTORS[n], limit=1))[0].score == 1.0
    everything = search(SearchQuery(vector=-VECTORS[3], limit=1000))
    assert everything[-1].score == -1.0


def test_a_rare_filter_still_gives_limit_hits(search: Search) -> None:
    query = -VECTORS[0]  # the rows that match lie anywhere but near
    rare = [n for n in range(ROWS) if n % 97 == 0]
    hits = search(SearchQuery(vector=query, filter={"rare": True}, limit=len(rare)))
    assert numbers(hits) == wanted(query, rare)
    few = search(SearchQuery(vector=query, filter={"n": {"$in": [7, 8]}}, limit=10))
    assert numbers(few) == wanted(query, [7, 8])


def test_equal_rows_come_in_one_order_however_they_are_paged(search: Search) -> None:
    query = SearchQuery(vector=VECTORS[500], limit=40)
    whole = search(query)
    assert set(numbers(whole)) == set(TWINS)
    assert [hit.id for hit in whole] == sorted(hit.id for hit in whole)
    pages = [search(replace(query, limit=7, offset=offset)) for offset in range(0, 40, 7)]
    assert [hit.id for page in pages for hit in page][:40] == [hit.id for hit in whole]


@pytest.mark.parametrize("megabytes", [64, 0], ids=["in memory", "on disk"])
def test_pages_of_many_equal_rows_fit_and_only_they_are_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, megabytes: int
) -> None:
    """One picture under many urls."""
    rows = 1200
    whole: list[int] = []
    take = Snapshot.take

    def counted(self: Any, row_ids: Any, columns: list[str]) -> Any:
        if columns != ["id"]:
            whole.append(len(row_ids))
        return take(self, row_ids, columns)

    async def check() -> None:
        async with opened(tmp_path, store_memory_mb=megabytes) as index:
            images = [NewImage(url_of(n), vector(1), {"n": n}) for n in range(rows)]
            await asyncio.gather(*map(index.upsert, images))
            monkeypatch.setattr(Snapshot, "take", counted)
            pages = [
                await index.search(SearchQuery(vector=vector(1), limit=10, offset=offset))
                for offset in range(40, 240, 10)
            ]
            hits = [hit for page in pages for hit in page]
            assert len({hit.id for hit in hits}) == 200
            assert [hit.id for hit in hits] == sorted(hit.id for hit in hits)
            assert {hit.score for hit in hits} == {1.0}
            assert [hit.metadata for hit in hits] == [{"n": n} for n in numbers(hits)]
            assert whole == [10] * 20
            near = await index.near_duplicates(NewImage(url_of(3), vector(1)), 0.9, 10)
            assert len(near) == 10
            assert image_id(url_of(3)) not in {hit.id for hit in near}

    asyncio.run(check())


def test_min_score_cuts_off(search: Search) -> None:
    query = SearchQuery(vector=VECTORS[5], limit=1000, min_score=0.3)
    hits = search(query)
    scores = VECTORS.astype(np.float64) @ VECTORS[5]
    assert len(hits) == int((scores >= 0.3).sum())
    assert min(hit.score for hit in hits if hit.score is not None) >= 0.3
    assert search(replace(query, offset=len(hits))) == []
    text = SearchQuery(text="red", text_vector=VECTORS[5], limit=1000, min_score=0.3)
    assert {hit.id for hit in search(text)} == {hit.id for hit in hits}


def test_a_filter_alone_lists_the_newest_first(search: Search) -> None:
    hits = search(SearchQuery(filter={"n": {"$lt": 300}}, limit=10, offset=5))
    assert numbers(hits) == list(range(294, 284, -1))
    assert {hit.score for hit in hits} == {None}
    assert numbers(search(SearchQuery(limit=3))) == [599, 598, 597]


def test_lists_of_large_tables_are_those_of_small_ones(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = [
        SearchQuery(filter=only, limit=20, offset=offset)
        for only in (None, {"n": {"$lt": 300}}, {"n": {"$in": [3, 590]}})
        for offset in (0, 15, 290, 595, 700)
    ]
    plain = [search(query) for query in queries]
    monkeypatch.setattr("store.search.lists.newest.MIN_ROWS", 0)
    monkeypatch.setattr(spans, "MIN_ROWS", 0)
    monkeypatch.setattr(spans, "FEW_ROWS", 0)
    monkeypatch.setattr(snapshot, "SAMPLE_VALUES", 64)
    assert [search(query) for query in queries] == plain


def fused(search: Search, query: SearchQuery) -> list[int]:
    """The fusion by its formula, of the best of each ranking.

    How well the words match is taken from the index, and tested in `test_full_text`.
    """
    snapshot, words = search.matches(query)
    vectors = [each for each in (query.vector, query.text_vector) if each is not None]
    best = [n for each in vectors for n in ranked(each)[:FUSION_DEPTH]]
    totals = {n: 0.6 * words.get(n, 0) for n in {*words, *best}}
    for each in vectors:
        sample = snapshot.sample.astype(np.float64) @ each
        median, low = np.quantile(sample, [0.5, 0.16])
        far = {n: (float(VECTORS[n] @ each) - median) / (median - low) for n in totals}
        for n in totals:
            share = far[n] / max(5, *far.values())
            totals[n] += 0.4 * (share if share > 0 else share / 1000)
    return sorted(totals, key=lambda n: (-round(totals[n], 7), image_id(url_of(n))))


def ranked(query: FloatVector) -> list[int]:
    """All rows by their similarity, the twins among them by their id."""
    scores = np.round(VECTORS.astype(np.float64) @ query.astype(np.float64), 9)
    return sorted(range(ROWS), key=lambda n: (-scores[n], image_id(url_of(n))))


def test_text_finds_its_words_and_what_it_describes(search: Search) -> None:
    query = SearchQuery(text="red BUS", text_vector=VECTORS[42], limit=20)
    hits = search(query)
    assert numbers(hits) == fused(search, query)[:20]
    # 550 has both words, 553 one of them twice, 551 one once.
    assert numbers(hits)[0] == 550
    assert {551, 553, 42} <= set(numbers(hits[:6]))
    for hit, n in zip(hits, numbers(hits), strict=True):
        assert hit.score == pytest.approx(float(VECTORS[n] @ VECTORS[42]), abs=2e-6)


def test_picture_and_text_are_both_heard_and_the_score_is_the_pictures(search: Search) -> None:
    query = SearchQuery(vector=VECTORS[10], text="cafe", text_vector=VECTORS[20], limit=50)
    hits = search(query)
    assert numbers(hits) == fused(search, query)[:50]
    assert numbers(hits)[0] == 552
    assert {10, 20} <= set(numbers(hits[:6]))
    for hit, n in zip(hits, numbers(hits), strict=True):
        assert hit.score == pytest.approx(float(VECTORS[n] @ VECTORS[10]), abs=2e-6)


def test_pictures_that_do_not_stand_out_leave_a_name_that_is_there_first(search: Search) -> None:
    """A text that means nothing to the model is near to some pictures, too."""
    middle = VECTORS.mean(axis=0)
    query = SearchQuery(text="parked", text_vector=middle / np.linalg.norm(middle), limit=1)
    assert numbers(search(query)) == [551]


def test_a_filter_goes_with_text(search: Search) -> None:
    query = SearchQuery(text="bus", text_vector=VECTORS[42], filter={"n": {"$lt": 40}}, limit=100)
    assert sorted(numbers(search(query))) == list(range(40))


def test_pages_of_a_fusion_fit_together(search: Search) -> None:
    query = SearchQuery(text="red bus", text_vector=VECTORS[42], limit=FUSION_DEPTH)
    whole = search(query)
    pages = [search(replace(query, limit=16, offset=each)) for each in range(0, FUSION_DEPTH, 16)]
    assert [hit.id for page in pages for hit in page] == [hit.id for hit in whole]
    assert len({hit.id for hit in whole}) == FUSION_DEPTH
    assert len(search(replace(query, limit=1000))) == ROWS


@pytest.mark.parametrize(
    "text",
    ["", " ", "'", '"red bus"', "red AND NOT bus", "+red -bus", "text:bus", "bus~2 a*", "(((", "🦊",
     "\x00", "\\", "x' OR 1=1 --", "{}[]^:!", "red " * 2000],
)  # fmt: skip
def test_any_text_is_plain_words(search: Search, text: str) -> None:
    words = {"red", "bus", "text", "and", "not", "a", "no"} & set(
        "".join(c if c.isalnum() else " " for c in text.lower()).split()
    )
    query = SearchQuery(text=text, text_vector=VECTORS[42], limit=8)
    assert numbers(search(query))[0] == 42 or words
    matching = {n for n, stored in TEXTS.items() if words & set(_words(stored))}
    assert matching <= set(search.matches(query)[1])


def _words(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text.lower()).split()


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (SearchQuery(limit=0), QueryError),
        (SearchQuery(limit=1001), QueryError),
        (SearchQuery(offset=-1), QueryError),
        (SearchQuery(offset=MAX_OFFSET + 1), QueryError),
        (SearchQuery(vector=vector(1), min_score=1.5), QueryError),
        (SearchQuery(vector=vector(1), min_score=float("nan")), QueryError),
        (SearchQuery(min_score=0.5), QueryError),
        (SearchQuery(text="bus"), QueryError),
        (SearchQuery(text_vector=vector(1)), QueryError),
        (SearchQuery(text="\ud800", text_vector=vector(1)), QueryError),
        (SearchQuery(text="x" * 10_001, text_vector=vector(1)), QueryError),
        (SearchQuery(vector=np.zeros(DIM, np.float32)), InvalidRowError),
        (SearchQuery(vector=vector(1)[:3]), InvalidRowError),
    ],
)
def test_queries_out_of_bounds_are_refused(
    search: Search, query: SearchQuery, error: type[Exception]
) -> None:
    with pytest.raises(error):
        search(query)


def test_a_row_is_found_by_its_new_text_only(tmp_path_factory: Any) -> None:
    async def check() -> None:
        async with opened(tmp_path_factory.mktemp("text")) as index:
            for text in ("green tree", "blue sea"):
                await index.upsert(NewImage("https://example.org/a", vector(1), text))
            # With the other row nearest to the text's vector, only its words bring the first up.
            await index.upsert(NewImage("https://example.org/b", vector(2)))
            for text, first in (("green", "b"), ("sea", "a")):
                query = SearchQuery(text=text, text_vector=vector(2), limit=1)
                [hit] = await index.search(query)
                assert hit.url.endswith(first)

    asyncio.run(check())
