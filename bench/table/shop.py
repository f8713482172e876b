"""Are the pages of a shop there as soon as with SQLite and FTS5 over the same rows?

Products of four pictures each, with a title of five words, two tags, a price and a shop. Lists are
sorted, counted and grouped under filters that keep 1 %, 50 % and all; both have an index for each
column, and but for words and vectors their answers have to be equal. A text is looked for in titles
and tags, here with beginnings, typos and the pictures' vectors, there with beginnings alone::

    uv run python -m bench shop --rows 1000000

To lay down a million rows takes minutes: ``--kept folder`` leaves them for the next run, whose
peak of memory is then that of the searches alone.
"""

import asyncio
import json
import resource
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

from bench.report import Limit, Report, median, percentile
from bench.service.child import answer_of
from bench.service.models import PREFIX, SIZES, service_settings
from bench.service.table import Clusters, Matrix, load, number_of, service_identity
from bench.table.sqlite import Catalogue
from store.index import ImageIndex
from store.schemas import Found, GroupedHit, SearchQuery
from store.settings import StoreSettings

MOST_MS = {"newest": 10, "page": 10, "picture": 15, "text": 30}
LIST_MOST_MS = 40
MOST_GIB = 4
_WARM_UP = 3
SHOPS, PICTURES_OF_ONE = 40, 4
FILTERS: dict[str, dict[str, Any]] = {"all": {}, "50 %": {"half": True}, "1 %": {"percent": 3}}
LISTS: dict[str, dict[str, Any]] = {
    "newest": {},
    "sort": {"sort": ("price",)},
    "total": {"total": True},
    "facets": {"facets": ("shop",)},
    "group_by": {"group_by": "product"},
}
PICTURES: dict[str, dict[str, Any]] = {
    **FILTERS,
    "20 %": {"percent": {"$lt": 20}},
    "8 %": {"percent": {"$lt": 8}},
    "100 rows": {"price": 0.25},
}
PAGES: dict[str, dict[str, Any]] = {
    "newest": {},
    "sorted": {"sort": ("price",)},
    "sorted by few values": {"sort": ("-shop",)},
}
_SYLLABLES = ("ka", "lo", "mi", "ne", "ru", "ta", "vo", "xi", "za", "bel", "dor", "fin", "gar")


@cache
def vocabulary() -> tuple[list[str], list[float]]:
    """Made-up words, and how often each is used at most: that of a rank is one by the rank."""
    drawn = Random(7)  # noqa: S311 - the same words each time
    parts = (drawn.choices(_SYLLABLES, k=drawn.randint(2, 4)) for _ in range(40_000))
    words = [*dict.fromkeys(map("".join, parts))]
    total, bounds = 0.0, []
    for rank in range(1, len(words) + 1):
        total += 1 / rank
        bounds.append(total)
    return words, bounds


def product_metadata(number: int) -> dict[str, Any]:
    """What a row has under its keys."""
    words, bounds = vocabulary()
    drawn = Random(number)  # noqa: S311 - likewise
    some = drawn.choices(words, cum_weights=bounds, k=7)
    return {
        "title": " ".join(some[:5]),
        "tags": some[5:],
        "price": number * 7919 % 10_007 / 4,
        "shop": f"shop {number % SHOPS}",
        "product": f"product {number // PICTURES_OF_ONE}",
        "percent": number * 40_503 % 100,
        "half": number * 2_654_435_761 % 1000 < 500,
    }


async def _timed(call: Callable[[int], Any], runs: int) -> tuple[list[float], list[Any]]:
    """Milliseconds of calls and what they answered, the first few left out."""
    took, answers = [], []
    for n in range(runs + _WARM_UP):
        began = time.perf_counter()
        answer = call(n)
        answers.append(await answer if isinstance(answer, Awaitable) else answer)
        took.append(1e3 * (time.perf_counter() - began))
    return took[_WARM_UP:], answers[_WARM_UP:]


def _plain(found: Found) -> list[Any]:
    """An answer as SQLite gives it."""
    rows = [
        (number_of(hit.url), *([hit.group_size] if isinstance(hit, GroupedHit) else []))
        for hit in found.hits
    ]
    counts = [list(each) for facet in found.facets or [] for each in facet.values or []]
    return [[list(row) for row in rows], found.total, counts]


class Searches:
    """The same searches of both, each by its number."""

    def __init__(self, index: ImageIndex, peer: Catalogue, vectors: Matrix, rows: int) -> None:
        self._index, self._peer, self._vectors, self._rows = index, peer, vectors, rows

    async def cases(self, runs: int) -> dict[str, tuple[list[float], list[float], bool]]:
        """Milliseconds of both, and whether their answers are the same, by case."""
        found = {}
        for kept, filter_ in FILTERS.items():
            for name, asked in LISTS.items():
                query = SearchQuery(filter=filter_, **asked)
                own, answers = await _timed(partial(self._own, query), runs)
                peer, right = await _timed(partial(self._listed, filter_, name), runs)
                found[f"{name}, {kept}"] = own, peer, _plain(answers[0]) == right[0]
            own, _ = await _timed(partial(self._by_text, filter_), runs)
            peer, _ = await _timed(partial(self._texts, filter_), runs)
            found[f"text, {kept}"] = own, peer, True
        for kept, filter_ in PICTURES.items():
            own, _ = await _timed(partial(self._by_picture, filter_), runs)
            found[f"picture, {kept}"] = own, [], True
        for name, asked in PAGES.items():
            query = SearchQuery(**asked)
            cursors = await self._cursors(query, runs + _WARM_UP)
            own, _ = await _timed(partial(self._paged, cursors, query), runs)
            found[f"page by cursor, {name}"] = own, [], True
        return found

    async def _paged(self, cursors: list[str | None], query: SearchQuery, n: int) -> Found:
        return await self._index.find(replace(query, cursor=cursors[n]))

    async def _cursors(self, query: SearchQuery, count: int) -> list[str | None]:
        """Places in a list: behind pictures of some products, half of the way in by their age."""
        first = self._rows // PICTURES_OF_ONE // 2
        products = [{"product": f"product {first + 97 * n}"} for n in range(count)]
        return [
            (await self._index.find(replace(query, filter=of, limit=1))).next for of in products
        ]

    def _own(self, query: SearchQuery, _: int) -> Awaitable[Found]:
        return self._index.find(query)

    def _listed(self, kept: dict[str, Any], name: str, _: int) -> list[Any]:
        return self._peer.listed(kept, name)

    def _by_text(self, kept: dict[str, Any], n: int) -> Awaitable[Found]:
        vector = self._vectors[n]
        return self._index.find(SearchQuery(text=text_of(n), text_vector=vector, filter=kept))

    def _texts(self, kept: dict[str, Any], n: int) -> list[Any]:
        return self._peer.texts(text_of(n), kept)

    def _by_picture(self, kept: dict[str, Any], n: int) -> Awaitable[Found]:
        return self._index.find(SearchQuery(vector=self._vectors[n], filter=kept))


def text_of(number: int) -> str:
    """A word that few titles have, and one that many have."""
    words, _ = vocabulary()
    return f"{words[50 + 31 * number]} {words[5 + number]}"


async def _measure(rows: int, runs: int) -> None:
    settings, model = StoreSettings(), service_identity()
    began = time.perf_counter()
    vectors, file = Clusters(rows, dim=model.dim), Path(settings.store_uri) / "peer.sqlite"
    is_kept = file.exists()
    if not is_kept:
        await load(settings, model, vectors.batches(rows), product_metadata)
    index = await ImageIndex.open(settings, model)
    if not is_kept:
        await index.run_upkeep()
    filled = 0.0 if is_kept else time.perf_counter() - began
    peer = Catalogue(file, rows, product_metadata)
    searches = Searches(index, peer, vectors.rows(runs + _WARM_UP, stream=1), rows)
    cases = await searches.cases(runs)
    await index.close()
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"cases": cases, "GiB": gib, "filled": filled}))


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--models", choices=SIZES, default="demo")
    parser.add_argument("--kept", help="folder of the rows, to be used again")


def run(given: Namespace, report: Report) -> list[Limit]:
    with tempfile.TemporaryDirectory() as name:
        folder = given.kept or name
        settings = {**service_settings(given.models), f"{PREFIX}STORE_URI": folder}
        found = answer_of(__name__, settings, given.rows, given.runs)
    table, limits = [], []
    for case, (own, peer, _) in found["cases"].items():
        of_peer = median(peer) if peer else None
        table.append((case, median(own), percentile(own, 99), of_peer))
        most = MOST_MS.get(case.split(maxsplit=1)[0].rstrip(","), max(LIST_MOST_MS, of_peer or 0))
        limits.append(Limit(f"p50 ms, {case}", median(own), most=most))
    report.table(
        ["page", "p50 ms", "p99 ms", "SQLite p50 ms"],
        table,
        f"{given.rows:,} rows, laid down and indexed in {found['filled']:.0f} s",
    )
    wrong = sum(not equal for _, _, equal in found["cases"].values())
    return [
        Limit("lists that differ from SQLite's", wrong, most=0),
        Limit("peak GiB, upkeep and SQLite included", found["GiB"], most=MOST_GIB),
        *limits,
    ]


if __name__ == "__main__":
    asyncio.run(_measure(int(sys.argv[1]), int(sys.argv[2])))
