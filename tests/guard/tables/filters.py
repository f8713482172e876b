"""Filters: injection, operators, types, depth and counts, against three stored images.

`STORED` is what the stage adds before the rows are asked; every row counts the results.
"""

from typing import Any

from tests.guard.case import BAD_REQUEST, Case, Expected, finds, refusal, sent

ROW = {"s": "A", "n": 1, "f": 0.5, "b": True, "t": "2024-05-01T12:00:00Z", "l": ["red", "it's"]}
STORED: list[dict[str, Any]] = [
    ROW,
    {"s": "B' OR 1=1 --", "n": 2, "f": 1.5, "b": False, "t": "2025-01-01T00:00:00+02:00", "l": []},
    {"s": "100% _x_ \\", "n": -(2**63), "f": -1e308, "l": ["blue"], "k'\"`; --": "🦊"},
]
ALL = len(STORED)
INVALID = refusal("invalid_filter")
UNKNOWN = refusal("unknown_key", says="unknown metadata key")


def filtered(node: Any, expected: Expected, title: str = "") -> Case:
    return sent("search_simmilar_images", {"metadata": node}, expected, title)


def nested(depth: int, node: Any) -> Any:
    for _ in range(depth):
        node = {"$not": node}
    return node


INJECTED = (
    "' OR 1=1 --",
    "' OR '1'='1",
    "A' OR 1=1 --",
    "A'; DROP TABLE images; --",
    "A' UNION SELECT * FROM images --",
    "A') OR (true",
    "A\\' OR 1=1 --",
    "A'' OR 1=1 --",
    "A' /* */ OR /* */ true --",
    'A" OR 1=1 --',
    "A` OR 1=1 --",
    "A\x00' OR 1=1 --",
    "A\n' OR 1=1 --",
    "A\u2019 OR 1=1 --",
    "A\uff07 OR 1=1 --",
    "A' OR regexp_like(s, '.*') --",
    "A' OR length(repeat('x', 1000000000)) > 0 --",
    "A' || 'x",
    "%",
    "_",
    "A%",
    "null",
    "true",
    "${s}",
    "{{s}}",
    "s",
    "m_0",
    "\\",
    "'",
    "''",
    "",
)
VALUES = [filtered({"s": text}, finds(0), f"a value of {text!r}") for text in INJECTED]
VALUES += [
    filtered({"s": {"$in": list(INJECTED)}}, finds(0), "all of them in a list"),
    filtered({"s": {"$nin": list(INJECTED)}}, finds(ALL), "none of them in a list"),
    filtered({"l": {"$contains": "' OR 1=1 --"}}, finds(0)),
    filtered({"l": {"$contains": "it's"}}, finds(1)),
    filtered({"s": {"$contains": "' OR 1=1"}}, finds(1)),
    filtered({"s": {"$contains": "%"}}, finds(1)),
    filtered({"s": {"$contains": "_x_"}}, finds(1)),
    filtered({"s": {"$contains": "_"}}, finds(1)),
    filtered({"s": {"$contains": "\\"}}, finds(1)),
    filtered({"s": {"$contains": ""}}, finds(ALL)),
    filtered({"s": "B' OR 1=1 --"}, finds(1)),
    filtered({"s": "100% _x_ \\"}, finds(1)),
    filtered({"s": "x" * 60_000}, finds(0), "a value of 60,000 characters"),
    filtered({"s": "\ud800"}, refusal("invalid_filter", "bad_request")),
]
KEYS = [
    filtered({key: 1}, UNKNOWN, f"a key of {key!r:.50}")
    for key in (
        "1=1 --", "s' OR 1=1 --", 's" = "A', "s`", "s; DROP TABLE images", "S", "s ", "id", "url",
        "vector", "_rowid", "_distance", "m_0", "created_at", "count(*)", "(select 1)", "s.x", "s,n",
        "", "\0", "\n", "🦊", "__class__", "k" * 100_000,
    )
] + [filtered({"k'\"`; --": "🦊"}, finds(1)), filtered({"k'\"`; --": {"$exists": False}}, finds(ALL - 1))]  # fmt: skip

OPERATORS = [
    filtered({"$where": "1=1"}, INVALID),
    filtered({"$expr": {}}, INVALID),
    filtered({"$nor": []}, INVALID),
    filtered({"$": 1}, INVALID),
    filtered({"n": {"$regex": ".*"}}, INVALID),
    filtered({"n": {"$gt": 0, "$where": 1}}, INVALID),
    filtered({"n": {"gt": 0}}, INVALID),
    filtered({"n": {"$GT": 0}}, INVALID),
    filtered({"n": {"$gt ": 0}}, INVALID),
    filtered({"n": {"$gt'": 0}}, INVALID),
    filtered({"n": {}}, INVALID),
    filtered({"$and": []}, INVALID),
    filtered({"$or": []}, INVALID),
    filtered({"$or": {}}, INVALID),
    filtered({"$or": [5]}, INVALID),
    filtered({"$or": [[]]}, INVALID),
    filtered({"$or": "x"}, INVALID),
    filtered({"$not": []}, INVALID),
    filtered({"$not": "x"}, INVALID),
    filtered({"$not": None}, INVALID),
    filtered({"$and": None}, INVALID),
    filtered({"s": {"$exists": 1}}, INVALID),
    filtered({"s": {"$exists": "true"}}, INVALID),
    filtered({"s": {"$in": "A"}}, INVALID),
    filtered({"s": {"$in": {}}}, INVALID),
    filtered({"s": {"$in": [{}]}}, INVALID),
    filtered({"s": {"$in": [["A"]]}}, INVALID),
    filtered({"s": {"$not": "A"}}, INVALID),
    filtered({"s": {"$eq": {"$eq": "A"}}}, INVALID),
    filtered({"s": {"$contains": 5}}, INVALID),
    filtered({"n": {"$contains": 1}}, INVALID),
    filtered({"b": {"$lt": True}}, INVALID),
    filtered({"l": {"$gt": "a"}}, INVALID),
    filtered({"n": {"$lt": None}}, INVALID),
    filtered({"n": {"$gte": [1]}}, INVALID),
]

TYPES = [
    filtered({key: value}, INVALID)
    for key, values in {
        "s": (1, 1.5, True, ["A"]),
        "n": ("1", True, [1]),
        "f": ("0.5", True, [0.5], 2**53 + 1),
        "b": (1, 0, "true", [True]),
        "t": ("yesterday", "2024-05-1", "2024-05-01 12:00:00", 5, True),
        "l": (1, True, [1], [None]),
    }.items()
    for value in values
] + [
    filtered({"t": "2024-05-01T12:00:00"}, finds(1)),
    filtered({"t": "2024:05:01 12:00:00"}, finds(1)),
    filtered({"t": {"$lt": "2024-05-01"}}, finds(0)),
]

LIMITS = [
    filtered(nested(9, {"n": 1}), finds(ALL - 1), "nested 10 deep"),
    filtered(nested(10, {"n": 1}), INVALID, "nested 11 deep"),
    filtered(nested(20, {"n": 1}), INVALID, "nested 21 deep"),
    filtered(nested(200, {"n": 1}), refusal("invalid_filter", "bad_request"), "nested 201 deep"),
    filtered({"$or": [{"n": 1}] * 100}, finds(1), "100 conditions"),
    filtered({"$or": [{"n": 1}] * 101}, INVALID, "101 conditions"),
    filtered({"$or": [{}] * 101}, INVALID, "101 empty conditions"),
    filtered({"$or": [{"n": 1}] * 20_000}, INVALID, "20,000 conditions"),
    filtered({"s": {"$in": ["A"] * 1000}}, finds(1), "1,000 values"),
    filtered({"s": {"$in": ["A"] * 1001}}, INVALID, "1,001 values"),
    filtered({"$or": [{"s": {"$in": ["A"] * 1000}}] * 11}, INVALID, "11,000 values"),
    filtered({f"k{n}": 1 for n in range(500)}, UNKNOWN, "500 keys"),
]

MEANINGS = [
    filtered({"n": 1}, finds(1)),
    filtered({"n": 1.0}, finds(1)),
    *(filtered({"n": beyond}, finds(0)) for beyond in (1.5, 2**63, -(2**63) - 1, 10**40)),
    filtered({"n": {"$lt": 10**40}}, finds(ALL)),
    filtered({"n": {"$lt": 2}}, finds(2)),
    filtered({"n": -(2**63)}, finds(1)),
    filtered({"n": {"$ne": 1}}, finds(2)),
    filtered({"f": {"$lte": 0.5}}, finds(2)),
    filtered({"f": -1e308}, finds(1)),
    filtered({"b": True}, finds(1)),
    filtered({"b": {"$ne": True}}, finds(2)),
    filtered({"b": None}, finds(1)),
    filtered({"b": {"$in": [True, None]}}, finds(2)),
    filtered({"t": "2024-05-01T14:00:00+02:00"}, finds(1)),
    filtered({"t": {"$gte": "2024-12-31T22:00:00Z"}}, finds(1)),
    filtered({"l": "red"}, finds(1)),
    filtered({"l": []}, finds(1)),
    filtered({"l": ["red", "it's"]}, finds(1)),
    filtered({"s": {"$exists": True}}, finds(ALL)),
    filtered({"$or": [{"n": 1}, {"n": 2}]}, finds(2)),
    filtered({"$and": [{"n": 1}, {"n": 2}]}, finds(0)),
    filtered({"$not": {"n": 1}}, finds(2)),
    filtered({"n": {"$not": {"$lt": 2}}}, finds(1)),
    filtered({"s": "A", "n": 2}, finds(0)),
]

DELETED = [
    sent("delete_images", {"metadata": node}, expected, f"deleting by {node!r:.60}")
    for node, expected in (
        ({}, BAD_REQUEST),
        ("s = 'A'", BAD_REQUEST),
        ({"nosuch": 1}, UNKNOWN),
        ({"$where": "1=1"}, INVALID),
        ({"s": "' OR 1=1 --"}, Expected(200, holds={"deleted": 0})),
        ({"$or": [{"n": 1}] * 101}, INVALID),
    )
]

KEEPS_ALL = refusal("invalid_filter", says="the filter keeps every image")
BROAD: list[dict[str, Any]] = [
    {"$not": {"s": "no such"}},
    {"$not": {"$not": {"$not": {"s": "no such"}}}},
    {"s": {"$ne": "no such"}},
    {"s": {"$nin": ["no such"]}},
    {"s": {"$nin": []}},
    {"s": {"$not": {"$contains": "no such"}}},
    {"n": {"$not": {"$lt": 1, "$gt": 1}}},
    {"$or": [{"n": 1}, {"$not": {"n": 1}}]},
    {"$or": [{"n": 1}, {"n": {"$ne": 1}}]},
    {"$or": [{"n": {"$exists": True}}, {"n": None}]},
    {"$or": [{"n": {"$lt": 2}}, {"n": {"$gte": 2}}, {"n": {"$exists": False}}]},
    {"$and": [{"s": {"$ne": "no such"}}, {"n": {"$ne": -99}}]},
    {"n": {"$exists": True}},
    {"$or": [{"n": {"$lt": 2}}, {"n": {"$gte": 2}}]},
    {"$not": {"$and": [{"n": {"$lt": 2}}, {"n": {"$gt": 5}}]}},
    {"$not": {"$and": [{"n": 1}, {"n": 2}]}},
    {"$not": {"$or": [{"s": "no such"}, {"n": -99}]}},
    {"l": {"$nin": ["no such", ["no", "such"]]}, "f": {"$ne": 77.5}},
]
EMPTY: list[dict[str, Any]] = [{"$and": [{}]}, {"$or": [{"n": 1}, {}]}, {"$not": {"$not": {}}}]
KEPT = [
    sent("delete_images", {"metadata": node}, expected, f"deleting all by {node!r:.80}")
    for nodes, expected in ((BROAD, KEEPS_ALL), (EMPTY, INVALID))
    for node in nodes
]

CASES = [*VALUES, *KEYS, *OPERATORS, *TYPES, *LIMITS, *MEANINGS, *DELETED, *KEPT]
