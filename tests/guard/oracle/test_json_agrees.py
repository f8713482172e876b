"""Random metadata and filters through the running service: kept and found, or refused."""

import contextlib
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.errors import FilterError
from store.metadata.columns import Registry
from store.metadata.filters import compile_filter
from tests.guard.case import FETCHED, Case, either, sent
from tests.guard.judge import complaints
from tests.guard.stage.stage import Stage
from tests.guard.tables.filters import ROW
from tests.store.differential.model.values import as_time

WITHIN_S = 30
# Few names, as a table takes 100 at most. The first value of each decides on its type.
KEYS = st.sampled_from(["a", "b", "ü", "s'x", "", "$a", "k" * 129, "\0", "id", "\u202e", "🦊"])
NUMBERS = st.integers() | st.integers(-(2**70), 2**70) | st.floats()
TEXTS = st.text(st.characters(codec=None), max_size=20) | st.sampled_from(
    ["2024-05-01T12:00:00Z", "2024-05-01T12:00:00.5+02:00", "' OR 1=1 --", "\\", "null"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=5,
)
METADATA = TEXTS | st.dictionaries(KEYS, VALUES, max_size=4) | VALUES
OPERATORS = [
    "$eq",
    "$ne",
    "$lt",
    "$lte",
    "$gt",
    "$gte",
    "$in",
    "$nin",
    "$exists",
    "$contains",
    "$and",
    "$or",
    "$not",
    "$where",
    "x",
]
NAMES = st.sampled_from([*OPERATORS, *ROW, "nosuch", "", "\0"])
FILTERS = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
by_http = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def body_of(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def same(given: Any, kept: Any) -> bool:
    """Equal, with what may change in a column: null is absent, as is an object without a value, and
    a moment may move its zone."""
    if isinstance(given, dict):
        left = {name: value for name, value in given.items() if has_value(value)}
        kept = kept or {}
        return left.keys() == kept.keys() and all(same(left[name], kept[name]) for name in left)
    if isinstance(given, str) and isinstance(kept, str) and given != kept:
        return as_time(given) == as_time(kept) is not None
    return bool(given == kept) and isinstance(given, bool) == isinstance(kept, bool)


def has_value(node: Any) -> bool:
    """Whether there is a value in an object, or it is one."""
    return any(map(has_value, node.values())) if isinstance(node, dict) else node is not None


@by_http
@given(metadata=METADATA)
def test_metadata_is_kept_as_it_was_or_refused(stage: Stage, metadata: Any) -> None:
    url = f"http://{stage.host()}/metadata"
    case = sent("post_image_to_index", body_of(url=url, metadata=metadata), REFUSABLE)
    added = stage.ask(case)
    assert not complaints(case, added, WITHIN_S), added
    if added.status == 200:
        kept = stage.ask(
            Case("kept", FETCHED, path=f"images/{added.document['id']}", method="GET")
        ).document["metadata"]
        assert same(metadata, kept) or metadata == "", (metadata, kept)


REFUSABLE = either(
    "bad_request", "metadata_type", "metadata_conflict", "metadata_limit", "invalid_metadata"
)
_, REGISTRY = Registry().place(ROW)


@by_http
@given(node=FILTERS)
def test_a_filter_is_asked_or_refused(stage: Stage, node: Any) -> None:
    expected = either("bad_request", "invalid_filter", "unknown_key")
    case = sent("search_simmilar_images", body_of(metadata=node), expected)
    outcome = stage.ask(case)
    if isinstance(node, str):  # a text, and no filter
        assert outcome.status in (200, 400), outcome
    else:
        assert not complaints(case, outcome, WITHIN_S), outcome


@settings(max_examples=1000, deadline=None)
@given(node=FILTERS)
def test_a_filter_is_compiled_or_refused(node: Any) -> None:
    """Whatever JSON can say: SQL comes out, or an error of this room."""
    with contextlib.suppress(FilterError):
        assert compile_filter(node, REGISTRY.by_key)
