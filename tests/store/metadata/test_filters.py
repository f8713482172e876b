"""What the filter language refuses, and how it says so."""

from pathlib import Path
from typing import Any

import pytest

from store.errors import FilterError, UnknownKeyError
from store.metadata.columns import Registry
from store.metadata.filters import MAX_DEPTH, MAX_LIST, MAX_TERMS, compile_filter
from store.metadata.values import format_timestamp
from tests.store.support import image, opened, run

_, REGISTRY = Registry().place(
    {"s": "x", "n": 1, "f": 1.5, "b": True, "t": "2024-05-01T12:00:00Z", "l": ["x"]}
)


def compiled(node: Any) -> str:
    return compile_filter(node, REGISTRY.by_key)


def nested(depth: int) -> dict[str, Any]:
    node: dict[str, Any] = {"n": 1}
    for _ in range(depth - 1):
        node = {"$not": node}
    return node


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ("s = 1", "a filter must be an object"),
        ({"$or": []}, "$or needs a list of filters that is not empty"),
        ({"$and": {"n": 1}}, "$and needs a list"),
        ({"$and": [5]}, "a filter must be an object"),
        ({"$where": "1"}, "unknown operator '$where'; known here are $and, $or, $not"),
        ({"n": {"$regex": "x"}}, "unknown operator '$regex'; known here are $eq, $ne, $lt"),
        ({"n": {"x": 1}}, "unknown operator 'x'"),
        ({"n": {}}, "'n' has no operator"),
        ({"n": "x"}, "'n' holds an integer, not a string"),
        ({"n": True}, "'n' holds an integer, not a boolean"),
        ({"n": {"$lt": "x"}}, "'n' holds an integer, not a string"),
        ({"n": {"$lt": None}}, "'n' was given null"),
        ({"s": {"$in": [{}]}}, "'s' was given an object"),
        ({"n": {"$lt": float("inf")}}, "inf on metadata key 'n' is not a number"),
        ({"f": float("nan")}, "only finite numbers can be stored"),
        ({"f": {"$gt": 2**53 + 1}}, "an integer that no float is exactly equal to"),
        ({"s": 1}, "'s' holds a string, not an integer"),
        ({"s": "\ud800"}, "not valid Unicode"),
        ({"l": {"$in": ["\ud800"]}}, "not valid Unicode"),
        ({"l": {"$contains": "\ud800"}}, "not valid Unicode"),
        ({"b": {"$lt": True}}, "$lt does not work on metadata key 'b': it holds a boolean"),
        ({"l": {"$gte": "x"}}, "$gte does not work on metadata key 'l'"),
        ({"l": 1}, "'l' holds a list of strings, not an integer"),
        ({"t": "yesterday"}, "compare it with a time such as"),
        ({"t": 5}, "'t' holds a timestamp, not an integer"),
        ({"n": {"$contains": "1"}}, "$contains does not work on metadata key 'n'"),
        ({"s": {"$contains": 1}}, "needs a string"),
        ({"s": {"$in": "x"}}, "$in needs a list of values"),
        ({"s": {"$exists": 1}}, "needs true or false"),
        ({"s": {"$not": "x"}}, "needs operators"),
        ({"s": {"$in": ["x"] * (MAX_LIST + 1)}}, "at most 1000 values"),
        ({"$or": [{"s": {"$in": ["x"] * MAX_LIST}}] * 11}, "at most 10000 values"),
        ({"$or": [{"n": 1}] * (MAX_TERMS + 1)}, "at most 100 conditions"),
        ({"$or": [{}] * (MAX_TERMS + 1)}, "at most 100 conditions"),
        (nested(MAX_DEPTH + 1), "nested at most 10 deep"),
        (nested(100_000), "nested at most 10 deep"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refusals_are_one_clear_line(node: Any, words: str) -> None:
    with pytest.raises(FilterError) as caught:
        compiled(node)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    str(caught.value).encode()


def test_when_an_image_was_added_is_a_timestamp(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            for n in range(3):
                await index.upsert(image(n, {"n": n}))
            dates = [each.created_at for each in (await index.images(3)).images]
            middle = format_timestamp(dates[1])
            counts = {"$lt": 1, "$lte": 2, "$gt": 1, "$gte": 2, "$eq": 1, "$ne": 2}
            for name, count in counts.items():
                assert await index.count({"$created_at": {name: middle}}) == count
            assert await index.count({"$created_at": {"$gte": "2020-01-01"}, "n": 1}) == 1
            assert await index.count({"$not": {"$created_at": {"$exists": True}}}) == 0
            with pytest.raises(FilterError, match="'\\$created_at' holds a timestamp"):
                await index.count({"$created_at": "yesterday"})
            with pytest.raises(FilterError, match="the filter keeps every image"):
                await index.delete_matching({"$created_at": {"$exists": True}})
            assert await index.delete_matching({"$created_at": {"$lt": middle}}) == 1

    run(check())


def test_letters_of_any_case(tmp_path: Path) -> None:
    shops = ["Éclair", "ÉCLAIR GRAND", "Straße", "ΟΔΟΣ", ""]
    lists = [["Red", "BLUE"], ["red\x1fblue"], [], [""], ["x\x1e", "red"]]
    counts: list[tuple[dict[str, Any], int]] = [
        ({"s": {"$ieq": "éCLAIR"}}, 1),
        ({"s": {"$istarts": "éclair"}}, 2),
        ({"s": {"$icontains": "GRA"}}, 1),
        ({"s": {"$ieq": "STRASSE"}}, 0),  # lower case, and not "case folding"
        ({"s": {"$icontains": "οδοσ"}}, 0),
        ({"s": {"$starts": "É"}}, 2),
        ({"s": {"$starts": ""}}, 5),
        ({"l": {"$ieq": "RED"}}, 2),
        ({"l": {"$icontains": "blue"}}, 1),
        ({"l": {"$ieq": ""}}, 1),
        ({"l": {"$not": {"$icontains": "red"}}}, 3),
    ]

    async def check() -> None:
        async with opened(tmp_path) as index:
            for n, (shop, colours) in enumerate(zip(shops, lists, strict=True)):
                await index.upsert(image(n, {"s": shop, "l": colours}))
            for node, count in counts:
                assert await index.count(node) == count, node
            for name in ("$starts", "$istarts"):
                with pytest.raises(FilterError, match="does not work on metadata key 'l'"):
                    await index.count({"l": {name: "x"}})

    run(check())


def test_bounds_let_the_largest_filters_through() -> None:
    assert compiled(nested(MAX_DEPTH)).count("NOT (") == MAX_DEPTH - 1
    assert compiled({"$or": [{"n": 1}] * MAX_TERMS}).count("IN (1)") == MAX_TERMS
    assert compiled({"s": {"$in": ["x"] * MAX_LIST}}).count("'x'") == MAX_LIST


def test_an_unknown_key_is_refused_with_the_known_ones_named() -> None:
    with pytest.raises(UnknownKeyError) as caught:
        compiled({"nope\n": 1})
    assert str(caught.value) == (
        "unknown metadata key 'nope\\n'; known keys are 'b', 'f', 'l', 'n', 's', 't'"
    )
    with pytest.raises(UnknownKeyError, match="no image has metadata keys yet"):
        compile_filter({"n": 1}, {})
    _, many = Registry().place({f"key{n:02}": n for n in range(50)})
    with pytest.raises(UnknownKeyError, match=r"'key19' and 30 more$"):
        compile_filter({"n": 1}, many.by_key)
    with pytest.raises(UnknownKeyError, match=r"'key49', 'key00', .* 'key16' and 30 more$"):
        compile_filter({"kez49": 1}, many.by_key)
    _, more = many.place({"zone.lat": 1.5})
    with pytest.raises(UnknownKeyError, match=r"keys are 'zone.lat', 'key00', "):
        compile_filter({"zone": {"lat": 1.5}}, more.by_key)
