"""What the filter language refuses, and how it says so."""

from typing import Any

import pytest

from store.errors import FilterError, UnknownKeyError
from store.metadata.columns import Registry
from store.metadata.filters import MAX_DEPTH, MAX_LIST, MAX_TERMS, compile_filter

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
