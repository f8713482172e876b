"""Nested objects are dotted keys, and come back as they were sent; an object may have a text."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import MetadataError, MetadataLimitError, MetadataTypeError
from store.metadata.given import CheckedMetadata, as_sent, merged
from store.schemas import SearchQuery, image_id
from tests.store.support import image, opened, run, url_of, vector

AS_SENT: list[Any] = [
    {"gps": {"lat": 1.5, "lon": 2}, "shop": "A"},
    {"gps.lat": 1.5, "gps.lon": 2},
    {"gps": {"lat": 1.5}, "gps.lon": 2},
    {"a": {"b": {"c": "x"}}, "a.b": {"d": ["y"]}},
    {"$text": "a red star", "shop": "B"},
    {"$text": "alone"},
    {"$text": ""},
    "a text",
    "",
    None,
]


def test_what_was_sent_comes_back(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            for n, metadata in enumerate(AS_SENT):
                await index.upsert(image(n, metadata))
        async with opened(tmp_path) as index:
            for n, metadata in enumerate(AS_SENT):
                stored = await index.get(image_id(url_of(n)))
                assert stored is not None
                assert stored.metadata == metadata
            assert await index.count({"gps.lat": 1.5}) == 3
            assert await index.count({"a.b.c": "x", "a.b.d": "y"}) == 1
            query = SearchQuery(text="star", text_vector=vector(0), filter={"shop": "B"})
            text = await index.search(query)
            assert [hit.metadata for hit in text] == [{"$text": "a red star", "shop": "B"}]
            state = await index.state()
            assert set(state.columns) == {"gps.lat", "gps.lon", "shop", "a.b.c", "a.b.d"}

    run(check())


def test_a_text_stays_beside_keys_when_they_are_dropped(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(0, {"$text": "a red star", "shop": "A"}))
            await index.drop_column("shop")
            stored = await index.patch(image_id(url_of(0)), {"price": 1})
            assert stored is not None
            assert stored.metadata == {"$text": "a red star", "price": 1}

    run(check())


@pytest.mark.parametrize(
    ("metadata", "error", "words"),
    [
        ({"a": {"b": 1}, "a.b": 2}, MetadataTypeError, "'a.b' is given twice"),
        ({"a": {"": 1}}, MetadataTypeError, "a string that is not empty"),
        ({"a": {"$gt": 1}}, MetadataTypeError, "'a.$gt' begins with '$'"),
        ({"$text": 5}, MetadataTypeError, "'$text' is free text"),
        ({"a": {"k" * 127: 1}}, MetadataLimitError, "longer than 128"),
        ({"$text": "x" * 65_537}, MetadataLimitError, "65537 characters"),
        ({"$text": "\ud800"}, MetadataTypeError, "not valid Unicode"),
    ],
)
def test_refusals_are_one_clear_line(metadata: Any, error: type[MetadataError], words: str) -> None:
    with pytest.raises(error) as caught:
        CheckedMetadata.of(metadata)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_depth_is_too_much() -> None:
    deep: dict[str, Any] = {}
    for _ in range(10_000):
        deep = {"a": deep}
    with pytest.raises(MetadataLimitError):
        CheckedMetadata.of(deep)


@pytest.mark.parametrize(
    ("stored", "patch", "after"),
    [
        ({"gps": {"lat": 1, "lon": 2}}, {"gps": {"lat": 5}}, {"gps": {"lat": 5, "lon": 2}}),
        ({"gps": {"lat": 1, "lon": 2}}, {"gps.lat": 5}, {"gps": {"lat": 5, "lon": 2}}),
        ({"gps.lat": 1}, {"gps": {"lat": 5}}, {"gps.lat": 5}),
        ({"gps": {"lat": 1, "lon": 2}, "a": 1}, {"gps": None}, {"a": 1}),
        ({"gps": {"lat": 1, "lon": 2}}, {"gps": {"lat": None}}, {"gps": {"lon": 2}}),
        ({"gps": {"lat": 1}}, {"gps": "here"}, {"gps": "here"}),
        ({"gps": "here"}, {"gps": {"lat": 1}}, {"gps": {"lat": 1}}),
        ({"a": {"b": 1}}, {"a": 5, "a.b": 6}, {"a": 5, "a.b": 6}),
        ({"x.y": 1}, {"x.y": {"z": 2}, "x": {"y": 3}}, {"x.y": {"z": 2}, "x": {"y": 3}}),
        ({"$text": "t", "a": 1}, {"a": 2}, {"$text": "t", "a": 2}),
        ({"$text": "t", "a": 1}, {"$text": None}, {"a": 1}),
        ({"$text": "t", "a": 1}, {"a": None}, {"$text": "t"}),
        ("text", {"a": 1}, {"a": 1}),
        ("text", {"$text": "other"}, {"$text": "other"}),
        ({"a": 1}, "text", "text"),
        ({"a": 1}, None, None),
    ],
)
def test_a_patch_is_merged(stored: Any, patch: Any, after: Any) -> None:
    assert merged(stored, patch) == after


NAMES = st.text("ab.c", min_size=1, max_size=3)
TREES = st.recursive(
    st.integers(0, 9), lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)


@given(st.dictionaries(NAMES, TREES, max_size=3), st.dictionaries(NAMES, TREES, max_size=3))
def test_any_object_comes_back_and_can_be_patched(one: dict[str, Any], two: dict[str, Any]) -> None:
    for metadata in (one, two):
        try:
            checked = CheckedMetadata.of(metadata)
        except MetadataTypeError:  # a key twice, as an object's and with a dot
            return
        assert as_sent(None, checked.given, checked.nesting) == _without_empty(metadata)
    after = CheckedMetadata.of(merged(one, two))
    assert CheckedMetadata.of(two).given.items() <= after.given.items()


def _without_empty(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    inner = {name: _without_empty(value) for name, value in node.items()}
    return {name: value for name, value in inner.items() if value is not None} or None
