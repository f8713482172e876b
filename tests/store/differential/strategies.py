"""Random keys, values, filters and images: everything nasty that a client could send.

Each is made from one random number, and not drawn piece by piece: hypothesis gives a machine of
many steps little variety, and repeats its pieces so much that a patch hardly ever met its key.
"""

from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st

from store.schemas import NewImage, NewObjects, ObjectBox, image_id
from tests.store.support import DIM, vector

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
    "2024-5-01",
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
    "2024-05-01",
    "2024-05-01T10:00:00",
    "2024:05:01 10:00:00",
    "9999-12-31T23:59:59.999999Z",
]
INTEGERS = [0, 1, -1, 7, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), -(2**63) + 1]
WHOLE = [0.0, -0.0, 7.0, 12.0, -3.0, 2.0**53, -(2.0**63)]  # floats that a key of integers takes
FLOATS = [1.5, -2.25, 0.1, 1e308, -1e308, 5e-324, -5e-324, 1e22, 1e300, 2.0**63, *WHOLE]
LISTS: list[list[str]] = [
    [], [""], ["'"], ["a", "b"], ["b", "a"], ["x' OR 1=1 --", "🦊"], ["a"], ["\x00"]
]  # fmt: skip
REFUSED = [2**63, -(2**70), float("nan"), float("inf"), "\ud800", [1], ["a", None], ["\udfff"]]

FAVOURITES: dict[str, list[Any]] = {
    "string": ["\\", "\\'", "x' OR 1=1 --"],
    "integer": [0, 7, 2**63 - 1],
    "float": [0.0, -0.0, 7.0],
    "timestamp": ["2024-05-01T12:00:00+02:00", "2024-05-01T10:00:00.000001Z"],
    "list": [["a"], ["x' OR 1=1 --", "🦊"]],
}
CLASSES = ("dog", "cat's", "tv: 10|5;")
WORDS = [
    "red", "BUS", "Café", "cafe", "tree", "AND", "house", "houses", "hosue", "mouse", "reddish",
    "红色运动鞋", "运动", "鞋", "x7", "12345", "12346",
]  # fmt: skip
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
    "gps": "string",
    "gps.lat": "integer",
    "gps.at": "timestamp",
    "gps.by.who": "list",
}
WIDENS = {"integer": "float", "timestamp": "string"}
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


def seeded(make: Callable[[Random], T]) -> st.SearchStrategy[T]:
    """A strategy of what a function makes of a random generator."""
    return st.integers(0, 2**64 - 1).map(lambda seed: make(Random(seed)))


def text(rng: Random, longest: int = 4) -> str:
    """A few characters of any alphabet, those before the surrogates."""
    return "".join(chr(rng.randrange(0xD800)) for _ in range(rng.randint(0, longest)))


def value(rng: Random, kind: str) -> Any:
    """A value of a type; half of them are of a few, so that rows and filters meet."""
    if kind in FAVOURITES and rng.random() < 0.5:
        return rng.choice(FAVOURITES[kind])
    match kind:
        case "string":
            return rng.choice([rng.choice(NASTY), rng.choice(MOMENTS), text(rng), words(rng)])
        case "integer":
            return rng.choice([rng.choice(INTEGERS), rng.randint(-(2**63), 2**63 - 1)])
        case "float":
            return rng.choice([rng.choice(FLOATS), rng.uniform(-9, 9), rng.uniform(-1, 1) * 1e308])
        case "boolean" | "timestamp":
            return rng.choice([True, False] if kind == "boolean" else MOMENTS)
    some = rng.choices(NASTY[:-1] + WORDS, k=rng.randint(0, 3))
    return rng.choice([rng.choice(LISTS), some])


def any_value(rng: Random) -> Any:
    """A value of any type, or one that no column takes."""
    right = value(rng, rng.choice(list(KEYS.values())))
    return rng.choice([right, rng.choice([*REFUSED, None, 0, 7, 0.5, True, False])])


def sent(rng: Random, key: str) -> Any:
    """A value for a key: of its type, or now and then of that which it widens to."""
    kind, drawn = KEYS[key], rng.random()
    if kind == "integer" and drawn < 0.2:
        return rng.choice(WHOLE)
    return value(rng, WIDENS[kind] if kind in WIDENS and drawn > 0.9 else kind)


def metadata(rng: Random) -> Any:
    """What an image is added with."""
    drawn = rng.random()
    if drawn < 0.2:
        return words(rng) if drawn < 0.12 else rng.choice(NASTY)
    if drawn < 0.28:
        return None if drawn < 0.25 else rng.choice([5, [], True, {}])
    return obj(rng, nulls=0.1)


def obj(rng: Random, nulls: float) -> dict[str, Any]:
    """Keys with values that mostly are of the key's type, and some without."""
    chosen = rng.sample(list(KEYS), rng.randint(1, 7))
    made = {key: None if rng.random() < nulls else sent(rng, key) for key in chosen}
    if rng.random() < 0.15:
        made[rng.choice(chosen)] = any_value(rng)
    if rng.random() < 0.05:
        made[rng.choice(BAD_KEYS)] = 1
    made = nested(rng, made)
    if rng.random() < 0.2:
        made[TEXT] = rng.choice([words(rng), words(rng), rng.choice(NASTY), "", None, *BAD_TEXTS])
    return made


TEXT = "$text"
BAD_TEXTS: list[Any] = ["\ud800", 5]


def nested(rng: Random, flat: dict[str, Any]) -> dict[str, Any]:
    """The same, with some of the dotted keys as objects; and sometimes a thing beside them."""
    made: dict[str, Any] = {}
    for key, of_key in flat.items():
        names = key.split(".") if rng.random() < 0.6 else [key]
        if len(names) == 3 and rng.random() < 0.3:
            names = rng.choice([[names[0], ".".join(names[1:])], [".".join(names[:2]), names[2]]])
        _put(made, names, of_key)
    if rng.random() < 0.15:
        _put(made, *rng.choice(ODD))
    return made


ODD: list[tuple[list[str], Any]] = [
    (["gps"], {}),
    (["gps"], None),
    (["gps", "by"], {}),
    (["gps", "by"], None),
    (["gps", "lat"], 7),
    (["gps.lat"], None),
    (["gps.lat"], 1.5),
    (["gps", ""], 1),
    (["gps", "$gt"], 1),
    (["gps", "$text"], "no text"),
    (["gps", "\ud800"], 1),
    (["gps", "k" * 125], 1),
]


def _put(node: dict[str, Any], names: list[str], value: Any) -> None:
    """Sets a value in objects of objects; what is in its way is replaced, as in JavaScript."""
    for name in names[:-1]:
        if not isinstance(node.get(name), dict):
            node[name] = {}
        node = node[name]
    node[names[-1]] = value


def words(rng: Random) -> str:
    """One to four words of a few."""
    return " ".join(rng.choices(WORDS, k=rng.randint(1, 4)))


def url(rng: Random) -> str:
    """Mostly one of few, so that an image is added, changed and deleted many times."""
    return rng.choice(URLS[:6] if rng.random() < 0.6 else URLS)


def image(rng: Random) -> NewImage:
    """Few vectors and pixels, so that images meet each other again."""
    pixels = rng.choice([None, None, "p1", "p2"])
    # An id of its own, of which a few are those of urls.
    own = rng.choice(["a:1", "b.2", "c-3", image_id(URLS[0])]) if rng.random() < 0.2 else None
    skip = rng.random() < 0.5
    return NewImage(
        url(rng),
        rng.choice(POOL),
        metadata(rng),
        pixels=pixels,
        skip_duplicate=skip,
        own_id=own,
        objects=objects(rng),
    )


def objects(rng: Random) -> NewObjects | None:
    """A few objects; None where nobody has looked."""
    if rng.random() < 0.3:
        return None
    boxes = tuple(
        ObjectBox(rng.choice(CLASSES), rng.choice((0.3, 0.5, 0.9)), (n / 8, 0.0, (n + 1) / 8, 0.5))
        for n in range(rng.randint(0, 4))
    )
    vectors = [rng.choice(POOL) for _ in boxes]
    stacked = np.stack(vectors) if vectors else np.empty((0, DIM), np.float32)
    return NewObjects((640, 480), boxes, rng.randint(0, 2), stacked)


def object_filter(rng: Random) -> dict[str, Any]:
    """A filter on objects."""
    node: dict[str, Any] = {"class_name": rng.choice(CLASSES)} if rng.random() < 0.8 else {}
    if rng.random() < 0.5:
        node["confidence"] = {"$gte": rng.choice((0.3, 0.4, 0.9))}
    if rng.random() < 0.5:
        node["$count"] = {rng.choice(("$eq", "$gte", "$lt")): rng.randint(0, 3)}
    return {"$not": {"$objects": node}} if rng.random() < 0.3 else {"$objects": node}


def several(rng: Random, make: Callable[[Random], T], least: int, most: int) -> list[T]:
    """So many of something."""
    return [make(rng) for _ in range(rng.randint(least, most))]


def filter_(rng: Random, keys: list[str] | None = None, depth: int = 3) -> dict[str, Any]:
    """A filter over some keys, or over all of them, and then some are refused."""
    drawn = rng.random()
    if depth == 0 or drawn < 0.6:
        wrong = keys is None and rng.random() < 0.05
        return _wrong_entry(rng) if wrong else _entry(rng, rng.choice(keys or list(KEYS)))
    inner = [filter_(rng, keys, depth - 1) for _ in range(rng.randint(1, 3))]
    if drawn < 0.7:
        return {"$and": inner}
    if drawn < 0.85:
        return {"$or": inner}
    return {"$not": inner[0]} if drawn < 0.95 else {k: v for each in inner for k, v in each.items()}


def echo(rng: Random, stored: dict[str, Any]) -> dict[str, Any]:
    """A filter that compares a key with the very value that a row has."""
    key = rng.choice(list(stored))
    name = rng.choice(["$eq", "$ne", "$in", "$nin", "$contains", *_ORDERED])
    return {key: {name: [stored[key]] if name in ("$in", "$nin") else stored[key]}}


_ORDERED = ["$lt", "$lte", "$gt", "$gte"]


def _entry(rng: Random, key: str) -> dict[str, Any]:
    drawn = rng.random()
    if drawn < 0.03:
        return {}
    if drawn < 0.3:
        return {key: None if drawn < 0.08 else _operand(rng, key)}
    return {key: _condition(rng, key, 2)}


def _condition(rng: Random, key: str, depth: int) -> dict[str, Any]:
    names = ["$eq", "$ne", "$in", "$nin", "$exists"] + (["$not"] if depth else [])
    names += _ORDERED if KEYS[key] not in ("boolean", "list") else []
    of_text = KEYS[key] in ("string", "list") or (KEYS[key] == "timestamp" and rng.random() < 0.2)
    names += ["$contains", "$ieq", "$icontains"] if of_text else []
    names += ["$starts", "$istarts"] if of_text and KEYS[key] != "list" else []
    return {
        name: _operand_of(rng, key, name, depth) for name in rng.sample(names, rng.randint(1, 2))
    }


def _operand_of(rng: Random, key: str, name: str, depth: int) -> Any:
    if name == "$exists":
        return rng.random() < 0.5
    if name == "$not":
        return _condition(rng, key, depth - 1)
    if name in ("$contains", "$starts", "$ieq", "$icontains", "$istarts"):
        part = rng.choice([rng.choice(NASTY)[: rng.randint(0, 9)], text(rng, 2)])
        return rng.choice([part, part.upper(), part.lower()])
    if name in _ORDERED:
        return _operand(rng, key)
    if name in ("$in", "$nin"):
        return [_or_null(rng, key) for _ in range(rng.randint(0, 4))]
    return _or_null(rng, key)


def _or_null(rng: Random, key: str) -> Any:
    return None if rng.random() < 0.15 else _operand(rng, key)


def _operand(rng: Random, key: str) -> Any:
    kind, drawn = KEYS[key], rng.random()
    if kind == "integer" and drawn < 0.3:
        return rng.choice([*FLOATS, rng.randint(-(2**70), 2**70)])
    if kind == "timestamp" and drawn < 0.15:
        return rng.choice([*NASTY[:5], "2024", "hello"])
    if kind == "float" and drawn < 0.3:
        return rng.randint(-9, 9)
    if kind == "list" and drawn < 0.5:
        return rng.choice(["", "a", "b", "'", "🦊", "x' OR 1=1 --"])
    return value(rng, kind)


def _wrong_entry(rng: Random) -> dict[str, Any]:
    """Any operator with any value on any key: most of them are refused."""
    names = ["$eq", "$in", "$nin", "$contains", "$exists", "$not", "$regex", *_ORDERED]
    names += ["$starts", "$ieq", "$icontains", "$istarts"]
    operand = {rng.choice(names): any_value(rng)}
    key = rng.choice([*KEYS, *KEYS, "unknown", "$where", "$not", "$and", ""])
    return {key: rng.choice([operand, any_value(rng)])}
