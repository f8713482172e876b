"""Random keys, values, filters and images: everything nasty that a client could send."""

from typing import Any, TypeVar

from hypothesis import strategies as st

from store.schemas import NewImage
from tests.store.support import vector

T = TypeVar("T")
NASTY = [
    "",
    "'",
    "''",
    "\\",
    "\\'",
    "\\' OR true --",
    "x' OR 1=1 --",
    '"',
    "`",
    "%",
    "a_b",
    "null",
    "true",
    "\x00",
    "a\nb",
    "\r",
    "\u2028",
    "\u202egnp.evil",
    "é",
    "e\u0301",
    "🦊",
    "\uffff",
    "\U0010ffff",
    "Ω); DROP TABLE images; --",
    "${x}",
    "{}",
    "/* */",
    "2024-05-01",
    "2024-05-01T12:00:00",
    "2024-02-30T12:00:00Z",
    "2024-05-01 12:00:00Z",
    "7",
    "long " * 2000,
]
MOMENTS = [
    "0001-01-01T00:00:00Z",
    "1969-12-31T23:59:59.999999Z",
    "1970-01-01T00:00:00Z",
    "2024-05-01T12:00:00+02:00",
    "2024-05-01t10:00:00z",
    "2024-05-01T10:00:00.000001Z",
    "2024-05-01T10:00:00.0000019-00:00",
    "2024-05-01T10:00:00.1Z",
    "9999-12-31T23:59:59.999999Z",
]
INTEGERS = [0, 1, -1, 7, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), -(2**63) + 1]
FLOATS = [0.0, -0.0, 1.5, -2.25, 0.1, 7.0, 1e308, -1e308, 5e-324, -5e-324, 1e22, 2.0**63, 2.0**53]
LISTS: list[list[str]] = [
    [], [""], ["'"], ["a", "b"], ["b", "a"], ["x' OR 1=1 --", "🦊"], ["a"], ["\x00"]
]  # fmt: skip
REFUSED = [2**63, -(2**70), float("nan"), float("inf"), "\ud800", [1], ["a", None], ["\udfff"], {}]

WORDS = ["red", "BUS", "Café", "cafe", "tree", "AND", "house"]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join) | st.sampled_from(NASTY)
PHRASES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.sampled_from(NASTY + MOMENTS) | st.text(max_size=4),
    "integer": st.sampled_from(INTEGERS) | st.integers(-(2**63), 2**63 - 1),
    "float": st.sampled_from(FLOATS) | st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "timestamp": st.sampled_from(MOMENTS),
    "list": st.sampled_from(LISTS) | st.lists(st.sampled_from(NASTY[:-1]), max_size=3),
}
ANY_VALUE = st.one_of(*VALUES.values(), st.sampled_from(REFUSED))
# What a key mostly holds; each name is chosen to break out of something.
KEYS = {
    "s'hop\"`": "string",
    "_rowid": "integer",
    "dotted.key with 🦊": "float",
    "x' OR 1=1 --": "boolean",
    "\x00\n": "timestamp",
    "SELECT": "list",
    "select": "string",
    "id": "integer",
    "vector": "float",
    "m_0": "list",
    "\\": "string",
    "\u202ertl": "timestamp",
    "K" * 128: "boolean",
    " ": "string",
}
BAD_KEYS = ["", "$eq", "\ud800", "k" * 129]
URLS = [f"https://example.org/{n}.jpg" for n in range(16)] + [
    "https://example.org/' OR 1=1 --",
    'https://example.org/🦊\\"`',
    "HTTPS://EXAMPLE.ORG/0.JPG",
    "https://example.org/0.jpg ",
    "\x00",
    "https://example.org/" + "long" * 2000,
]
# Their similarities, and those to each other, are far enough apart to be put in order by anyone.
POOL = [*(vector(n) for n in range(10)), -vector(0)]


def _rarely(
    often: st.SearchStrategy[T], seldom: st.SearchStrategy[T], one_in: int = 25
) -> st.SearchStrategy[T]:
    return st.integers(1, one_in).flatmap(lambda n: seldom if n == one_in else often)


def values_of(key: str) -> st.SearchStrategy[Any]:
    return _rarely(VALUES[KEYS[key]] | st.none() if key in KEYS else ANY_VALUE, ANY_VALUE)


def entries() -> st.SearchStrategy[tuple[str, Any]]:
    keys = _rarely(st.sampled_from(list(KEYS)), st.sampled_from(BAD_KEYS))
    return keys.flatmap(lambda key: st.tuples(st.just(key), values_of(key)))


OBJECTS = st.lists(entries(), max_size=5).map(dict)
METADATA = _rarely(st.one_of(OBJECTS, OBJECTS, TEXTS, st.none()), st.sampled_from([5, [], True]))


@st.composite
def images(draw: st.DrawFn) -> NewImage:
    """Few urls, vectors and pixels, so that images meet each other again."""
    return NewImage(
        draw(st.sampled_from(URLS)),
        draw(st.sampled_from(POOL)),
        draw(METADATA),
        draw(st.sampled_from([None, None, "p1", "p2"])),
        draw(st.booleans()),
    )


_ORDERED = ["$lt", "$lte", "$gt", "$gte"]


def _operands(key: str) -> st.SearchStrategy[Any]:
    kind = KEYS[key]
    if kind == "integer":
        return VALUES[kind] | st.integers(-(2**70), 2**70) | st.sampled_from(FLOATS)
    if kind == "float":
        return VALUES[kind] | st.integers(-9, 9)
    if kind == "list":
        return VALUES[kind] | st.sampled_from(["", "a", "b", "'", "🦊", "x' OR 1=1 --"])
    return VALUES[kind]


def _operators(key: str, depth: int) -> list[str]:
    names = ["$eq", "$ne", "$in", "$nin", "$exists"] + (["$not"] if depth else [])
    names += _ORDERED if KEYS[key] not in ("boolean", "list") else []
    return names + (["$contains"] if KEYS[key] in ("string", "list") else [])


@st.composite
def conditions(draw: st.DrawFn, key: str, depth: int = 2) -> dict[str, Any]:
    named = st.lists(st.sampled_from(_operators(key, depth)), min_size=1, max_size=2, unique=True)
    return {name: draw(_operand_of(key, name, depth)) for name in draw(named)}


def _operand_of(key: str, name: str, depth: int) -> st.SearchStrategy[Any]:
    if name == "$exists":
        return st.booleans()
    if name == "$not":
        return conditions(key, depth - 1)
    if name == "$contains":
        return st.sampled_from(NASTY) | st.text(max_size=2)
    with_null = st.none() | _operands(key)
    if name in ("$in", "$nin"):
        return st.lists(with_null, max_size=4)
    return _operands(key) if name in _ORDERED else with_null


def _entry(key: str) -> st.SearchStrategy[dict[str, Any]]:
    operand = st.none() | _operands(key) | conditions(key)
    return operand.map(lambda each: {key: each})


def _wrong_entry() -> st.SearchStrategy[dict[str, Any]]:
    """Any operator with any value on any key: most of them are refused."""
    names = ["$eq", "$in", "$nin", "$contains", "$exists", "$not", "$regex", *_ORDERED]
    keys = st.sampled_from([*KEYS, "unknown", "$where", "$not", "$and", ""])
    conditions = st.dictionaries(st.sampled_from(names), ANY_VALUE | st.none(), max_size=2)
    return st.dictionaries(keys, ANY_VALUE | conditions, min_size=1, max_size=1)


def filters(keys: list[str] | None = None) -> st.SearchStrategy[dict[str, Any]]:
    """Filters over some keys, or over all of them with a few that are refused."""
    entries = st.sampled_from(keys or list(KEYS)).flatmap(_entry)
    leaves = entries | st.just({}) if keys else _rarely(entries, _wrong_entry() | st.just({}))
    return st.recursive(leaves, _compound, max_leaves=6)


def _compound(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        several.map(lambda parts: {"$and": parts}),
        several.map(lambda parts: {"$or": parts}),
        inner.map(lambda part: {"$not": part}),
        st.tuples(inner, inner).map(lambda pair: {**pair[0], **pair[1]}),
    )
