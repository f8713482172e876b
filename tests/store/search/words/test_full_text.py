"""Words of the free text, of strings and of lists: beginnings, typos, accents, unspaced scripts."""

from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from store.index import ImageIndex
from store.metadata.predicates import ALWAYS
from store.metadata.words import WORDS, parts_of
from store.schemas import SearchQuery, image_id
from store.search.words.full_text import matching, with_every_word
from tests.store.support import image, opened, run, url_of, vector

SHOP: list[Any] = [
    {"title": "Nike Pegasus Trail 4", "tags": ["Running", "new arrival"], "price": 90},
    {"title": "Café Crème T-shirt", "tags": ["été"], "price": 20},
    {"title": "这是一双红色的运动鞋", "price": 50},
    {"title": "รองเท้าวิ่งสีแดงราคาถูก"},
    {"title": "ナイキの赤いスニーカー"},
    {"title": "빨간 운동화를 신다"},
    {"title": "Женская обувь ЁЛКА", "code": "12345"},
    {"title": "plain", "$text": "a free text about sandals", "sold": True},
    "only a free text: boots",
    {"title": "straße", "nested": {"deep": ["Flügel", "hammer"]}},
    {"when": "2024-05-01"},
]
FOUND = [
    ("pegasus", {0}), ("PEGASUS", {0}), ("running", {0}), ("arrival", {0}), ("pegas", {0}),
    ("peg", {0}), ("pe", set()), ("pegasis", {0}), ("pegauss", {0}), ("pegsus", {0}),
    ("egasus", {0}), ("ppegasus", {0}), ("pegaszz", set()), ("nikee", {0}), ("nkie", set()),
    ("cafe", {1}), ("CRÈME", {1}), ("ete", {1}), ("shirt", {1}), ("t", {1}),
    ("运动鞋", {2}), ("红色", {2}), ("鞋", {2}), ("蓝", set()),
    ("รองเท้า", {3}), ("สีแดง", {3}), ("赤い", {4}), ("スニーカー", {4}), ("ﾅｲｷ", {4}),
    ("운동화", {5}), ("елка", {6}), ("ОБУВЬ", {6}), ("женска", {6}),
    ("12345", {6}), ("12346", set()), ("123", {6}),
    ("sandals", {7}), ("boots", {8}), ("strasse", {9}), ("flugel", {9}), ("hamer", {9}),
    ("pegasus boots", {0, 8}), ("", set()), ("?!", set()), ("🦊", set()), ("2024", set()),
    ("90", set()), ("pegasus OR -boots* \"x", {0, 8}),
]  # fmt: skip


async def matched(index: ImageIndex, text: str, *, every_word: bool = False) -> set[int]:
    """The numbers of the rows that a text matches, whatever their pictures show."""
    snapshot = await index.snapshots.latest()
    rows, _ = matching(snapshot, text, 1000, ALWAYS)
    if every_word:
        rows = rows[with_every_word(snapshot, text, rows)]
    urls = snapshot.take(rows, ["url"])["url"].to_pylist()
    return {int(url.rpartition("/")[2].removesuffix(".jpg")) for url in urls}


async def fill(index: ImageIndex) -> None:
    for number, metadata in enumerate(SHOP):
        await index.upsert(image(number, metadata))


@pytest.mark.parametrize("upkeep", [False, True])
def test_a_word_is_found_wherever_it_stands(tmp_path: Path, *, upkeep: bool) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await fill(index)
            if upkeep:
                await index.run_upkeep()
            for text, right in FOUND:
                assert await matched(index, text) == right, text
            every = [("pegasus nike", {0}), ("pegasus boots", set()), ("pegas trial", {0})]
            every += [("运动鞋 红色", {2}), ("运动 蓝色", set()), ("", set())]
            for text, right in every:
                assert await matched(index, text, every_word=True) == right, text

    run(check())


def test_words_and_filters_go_together(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await fill(index)
            for text, filter_, first in (
                ("sandals", {"title": "plain"}, 7),
                ("pegasus", {"price": {"$gt": 50}}, 0),
                ("运动鞋", {"price": {"$lt": 60}}, 2),
            ):
                query = SearchQuery(text=text, text_vector=vector(99), filter=filter_)
                hits = await index.search(query)
                assert hits[0].url == url_of(first)
            only = SearchQuery(text="boots", text_vector=vector(99), filter={"sold": True})
            assert [hit.url for hit in await index.search(only)] == [url_of(7)]

    run(check())


def test_exact_words_come_before_beginnings_and_these_before_typos(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            for number, title in enumerate(["runnes", "runners", "runner", "other"]):
                await index.upsert(image(number, {"title": title}))
            for _ in range(2):
                snapshot = await index.snapshots.latest()
                rows, scores = matching(snapshot, "runner", 10, ALWAYS)
                assert [*scores] == sorted(scores, reverse=True)
                titles = snapshot.take(rows, ["url"])["url"].to_pylist()
                assert titles == [url_of(2), url_of(1), url_of(0)]
                await index.run_upkeep()

    run(check())


async def follow_what_was_written(index: ImageIndex) -> None:
    """Adds, patches, deletes, widening, a key that goes, undo, and an older version."""
    ids = [image_id(url_of(number)) for number in range(len(SHOP))]
    before = (await index.versions())[0].version
    await index.patch(ids[0], {"title": "Adidas Gazelle"})
    await index.upsert(image(1, {"title": "Espresso"}))
    await index.patch(ids[10], {"when": "next spring"})
    await index.delete([ids[8]])
    for text, right in (
        ("pegasus", set()), ("gazelle", {0}), ("running", {0}), ("espreso", {1}), ("cafe", set()),
        ("spring", {10}), ("boots", set()),
    ):  # fmt: skip
        assert await matched(index, text) == right, text
    await index.upsert(image(11, {"when": "2024-05-01"}))
    assert await matched(index, "2024") == {11}
    await index.drop_column("title")
    for turn in range(2):
        for text, right in (("gazelle", set()), ("plain", set()), ("running", {0})):
            assert await matched(index, text) == right, (turn, text)
        await index.run_upkeep()
    for text, right in (("gazelle", set()), ("plain", set()), ("running", {0}), ("sandals", {7})):
        assert await matched(index, text) == right, text
    await index.restore(version=before)
    for text, right in FOUND:
        assert await matched(index, text) == right, text


@pytest.mark.parametrize("upkeep", [False, True])
def test_words_follow_what_is_written(tmp_path: Path, *, upkeep: bool) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await fill(index)
            if upkeep:
                await index.run_upkeep()
            await follow_what_was_written(index)

    run(check())


def _is_near(word: str, other: str) -> bool:
    """One typo apart, by the definition: every word that one typo makes."""
    letters = {*word, *other}
    cuts = [(word[:n], word[n:]) for n in range(len(word) + 1)]
    made = {a + b[1:] for a, b in cuts} | {a + c + b for a, b in cuts for c in letters}
    made |= {a + c + b[1:] for a, b in cuts if b for c in letters}
    made |= {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}
    return other in made


def _matches(query: str, texts: Iterable[str]) -> bool:
    words = [word for text in texts for word in text.lower().split()]
    return any(
        word == asked
        or (len(asked) > 2 and word.startswith(asked))
        or (len(asked) > 4 and _is_near(asked, word))
        for asked in query.split()
        for word in words
    )


def test_random_words_are_found_as_by_the_definition(tmp_path: Path) -> None:
    """With an index of some rows, with rows beside it, and after some have gone."""
    drawn = Random(5)

    def word() -> str:
        return "".join(drawn.choice("abc") for _ in range(drawn.randint(1, 8)))

    async def check() -> None:
        async with opened(tmp_path) as index:
            rows: dict[int, list[str]] = {}
            for number in range(300):
                rows[number] = [word(), f"{word()} {word().upper()}", word()]
                title, text, tag = rows[number]
                metadata = {"title": title, "$text": text, "tags": [tag]}
                await index.upsert(image(number, metadata))
                if number == 200:
                    await index.run_upkeep()
            for number in range(0, 300, 7):
                await index.delete([image_id(url_of(number))])
                del rows[number]
            for _ in range(150):
                query = " ".join(word() for _ in range(drawn.randint(1, 2)))
                right = {number for number, texts in rows.items() if _matches(query, texts)}
                assert await matched(index, query) == right, query

    run(check())


def test_the_index_knows_all_rows_after_upkeep(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await fill(index)
            await index.run_upkeep()
            snapshot = await index.snapshots.latest()
            numbers = {each.fragment_id for each in snapshot.dataset.get_fragments()}
            assert numbers <= snapshot.index_fragments[WORDS]

    run(check())


def test_words_are_cut_and_parted() -> None:
    assert parts_of("x" * 100) == (["x" * 64], [])
    assert parts_of("red_shoe.jpg") == (["red", "shoe", "jpg"], [])
    assert parts_of("हिन्दी में")[0] == ["हिन्दी", "में"]
    assert parts_of("Nikeの靴") == (["nike"], ["の靴"])
