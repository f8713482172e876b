"""Metadata through a real table: what comes back, what is refused, what stays."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.errors import (
    MetadataConflictError,
    MetadataError,
    MetadataLimitError,
    MetadataTypeError,
)
from store.metadata.columns import MAX_KEYS, Registry
from store.metadata.given import MAX_KEY_CHARS, CheckedMetadata
from store.metadata.rows import Row, image_of
from store.schemas import SearchQuery, image_id
from tests.store.support import image, opened, run, url_of

EVERY_TYPE = {
    "string": 'it\'s \\ "quoted" 🦊\x00',
    "empty": "",
    "integer": 2**63 - 1,
    "float": 0.1,
    "boolean": False,
    "timestamp": "2024-05-01T12:00:00.25Z",
    "list": ["a", "", "it's"],
    "empty list": [],
    "_rowid": 1,
    "a.b": "dotted",
    "A.B": "upper",
    "`": "tick",
    "x'; DROP TABLE images; --": "sql",
    " ": "blank",
    "\x00": "nul",
    "🦊": "fox",
}


def test_values_come_back_with_their_types_also_after_reopening(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(0, EVERY_TYPE))
            for n in range(1, 4):
                await index.upsert(image(n, {"another": n, "string": None}))
        async with opened(tmp_path, store_upkeep_every=1) as index:
            await index.upsert(image(4, "some text"))
            await index.upsert(image(5))
            await index.upsert(image(6, {}))
            await index.upsert(image(7, ""))
            while not index.stats().upkeep_runs:  # noqa: ASYNC110 - the next commit may be earlier
                await asyncio.sleep(0.01)
            stored = [await index.get(image_id(url_of(n))) for n in range(8)]
        metadata = [each and each.metadata for each in stored]
        assert metadata == [
            {**EVERY_TYPE, "timestamp": "2024-05-01T12:00:00.250000Z"},
            {"another": 1},
            {"another": 2},
            {"another": 3},
            "some text",
            None,
            None,
            "",
        ]
        first = metadata[0]
        assert isinstance(first, dict)
        assert [type(first[key]) for key in EVERY_TYPE] == [type(v) for v in EVERY_TYPE.values()]

    run(check())


def test_adding_again_replaces_metadata_whole(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            first = await index.upsert(image(1, {"a": 1, "b": "x"}))
            again = await index.upsert(image(1, {"b": "y"}))
            assert (first.created, again.created) == (True, False)
            assert first.id == again.id
            stored = await index.get(first.id)
            assert stored is not None
            assert stored.metadata == {"b": "y"}
            await index.upsert(image(1, "now text"))
            assert await index.search(SearchQuery(filter={"b": "y"})) == []

    run(check())


def test_a_conflict_fails_only_its_own_image(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            answers = await asyncio.gather(
                index.upsert(image(1, {"n": 1})),
                index.upsert(image(2, {"fresh": 1, "n": "one"})),
                index.upsert(image(3, {"n": 3})),
                index.upsert(image(4, {"fresh": "text"})),
                return_exceptions=True,
            )
            assert isinstance(answers[1], MetadataConflictError)
            assert str(answers[1]) == "metadata key 'n' holds an integer, not a string"
            assert [isinstance(each, Exception) for each in answers] == [False, True, False, False]
            assert index.stats().commits == 1
            assert await index.count() == 3
            # The refused image left no column: its other key took the type of the next image.
            assert await index.count({"fresh": "text"}) == 1

    run(check())


@pytest.mark.parametrize(
    ("patch", "told"),
    [
        ({"b": [1], "a": "x"}, MetadataTypeError),
        ({"a": "x", "b": [1]}, MetadataConflictError),
    ],
)
def test_of_a_patch_that_does_not_fit_the_first_key_is_told(
    tmp_path: Path, patch: dict[str, Any], told: type[MetadataError]
) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1, {"a": 1, "b": 2}))
            with pytest.raises(told):
                await index.patch(image_id(url_of(1)), patch)

    run(check())


def test_a_hundred_keys_and_no_more(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1, {f"k{n}": n for n in range(MAX_KEYS - 1)}))
            with pytest.raises(MetadataLimitError, match="at most 100 different keys"):
                await index.upsert(image(2, {"x": 1, "y": 2}))
            await index.upsert(image(3, {"last": 1, "k0": 5}))
            with pytest.raises(MetadataLimitError, match="'y'"):
                await index.upsert(image(4, {"y": 2}))
            await index.upsert(image(5, {"k7": 2, "last": 8}))
            assert await index.count() == 3

    run(check())


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        (5, MetadataTypeError),
        ([1], MetadataTypeError),
        ("\ud800", MetadataTypeError),
        ({"": 1}, MetadataTypeError),
        ({1: 1}, MetadataTypeError),
        ({"$and": 1}, MetadataTypeError),
        ({"\ud800": 1}, MetadataTypeError),
        ({"k" * (MAX_KEY_CHARS + 1): 1}, MetadataLimitError),
    ],
)
def test_metadata_of_a_wrong_shape_is_refused(metadata: Any, error: type[MetadataError]) -> None:
    with pytest.raises(error) as caught:
        CheckedMetadata.of(metadata)
    assert "\n" not in str(caught.value)
    str(caught.value).encode()  # a lone surrogate in a message would break its JSON


VALUES = st.one_of(
    st.text(max_size=8),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.lists(st.text(max_size=4), max_size=3),
)
KEYS = st.text(min_size=1, max_size=MAX_KEY_CHARS).filter(lambda key: key[0] != "$")


@settings(max_examples=200)
@given(st.dictionaries(KEYS, VALUES, max_size=8))
def test_any_keys_survive_the_registry_in_a_schema(metadata: dict[str, Any]) -> None:
    values, registry = Registry().place(metadata)
    read = Registry.from_schema(pa.schema([column.field() for column in registry.columns]))
    assert read.columns == registry.columns
    row = Row("", "", np.zeros(1, np.float32), datetime.now(UTC), None, None, None, values)
    assert image_of(row, read).metadata == (metadata or None)
    again, same = read.place(metadata)
    assert again == values
    assert same is read
