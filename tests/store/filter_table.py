"""The tables of docs/filters.md, made by asking a real index.

Run ``python -m tests.store.filter_table --write`` after a change of the filter language;
`tests.store.metadata.test_filter_table` fails while the page says anything else than the index
does.
"""

import json
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from store.errors import FilterError
from store.index import ImageIndex
from store.schemas import SearchQuery, image_id
from tests.store.support import image, opened, run, url_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "filters.md"
REFUSED = "refused"

# By type, the values that stand below, equal to and above the operand `x`, which is the second.
# Booleans and lists have no order: there the third equals `x` too; a list's `x` is what it holds.
VALUES: dict[str, tuple[Any, Any, Any]] = {
    "string": ("apple", "banana", "banana pie"),
    "integer": (-(2**63), 5, 2**63 - 1),
    "float": (-1e308, 0.5, 1e308),
    "boolean": (False, True, True),
    "timestamp": (
        "1969-12-31T23:59:59.999999Z",
        "2024-05-01T12:00:00+02:00",
        "9999-12-31T00:00:00Z",
    ),
    "list": (["blue"], ["red"], ["tan", "red"]),
}
ROWS = ("below", "equal", "above", "null", "absent", "text")
X = {kind: values[1] for kind, values in VALUES.items()} | {"list": "red"}

# Every operator, with `x` standing for the operand.
CONDITIONS: tuple[Any, ...] = (
    "x",
    None,
    *({name: "x"} for name in ("$eq", "$ne", "$lt", "$lte", "$gt", "$gte")),
    *({name: None} for name in ("$eq", "$ne", "$lt", "$lte", "$gt", "$gte")),
    *({name: operand} for name in ("$in", "$nin") for operand in (["x"], ["x", None], [None], [])),
    {"$exists": True},
    {"$exists": False},
    {"$contains": "x"},
    {"$contains": None},
    *({name: "x"} for name in ("$starts", "$ieq", "$icontains", "$istarts")),
    *({"$not": {name: "x"}} for name in ("$eq", "$lt", "$gte", "$contains")),
    {"$not": {"$in": ["x", None]}},
    {"$not": {"$exists": True}},
    {"$gte": "x", "$ne": "x"},
)
FILTERS: tuple[Any, ...] = (
    {"$not": {"key": "x"}},
    {"$not": {"key": None}},
    {"$and": [{"key": {"$exists": True}}, {"key": {"$ne": "x"}}]},
    {"$or": [{"key": "x"}, {"key": None}]},
)
OPERANDS: tuple[tuple[str, Any], ...] = (
    ("string", "banana"),
    ("integer", 5),
    ("whole float", 5.0),
    ("float", 5.5),
    ("boolean", True),
    ("timestamp", "2024-05-01T10:00:00Z"),
    ("list of strings", ["red"]),
    ("list of others", [5]),
    ("object", {}),
)


def made() -> dict[str, str]:
    """The tables by their names in the page, as Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        return run(_ask(Path(folder)))


def written() -> dict[str, str]:
    """The tables as the page has them."""
    return dict(re.findall(r"<!-- table: (\w+) -->\n(.*?)\n<!-- end -->", PAGE.read_text(), re.S))


async def _ask(folder: Path) -> dict[str, str]:
    async with opened(folder) as index:
        for place, name in enumerate(ROWS):
            await index.upsert(image(place, _metadata(place, name)))
        return {
            "rows": _markdown(["row", *VALUES], [_stored(place) for place in range(3)]),
            "operators": await _table(
                index, [(_json({"key": each}), {"key": each}) for each in CONDITIONS]
            ),
            "logic": await _table(index, [(_json(each), each) for each in FILTERS]),
            "operands": await _operands(index),
        }


def _metadata(place: int, name: str) -> dict[str, Any] | str:
    if name == "text":
        return "banana red"
    values = {k: values[place] if place < 3 else None for k, values in VALUES.items()}
    return {"other": 1, **(values if name != "absent" else {})}


def _stored(place: int) -> list[str]:
    values = (each[place] for each in VALUES.values())
    return [f"`{ROWS[place]}`", *(f"`{_json(each)}`" for each in values)]


async def _table(index: ImageIndex, filters: Iterable[tuple[str, Any]]) -> str:
    lines = [
        [f"`{shown}`", *[await _cell(index, _filled(node, kind)) for kind in VALUES]]
        for shown, node in filters
    ]
    return _markdown(["filter", *VALUES], lines)


async def _operands(index: ImageIndex) -> str:
    """Whether each type of operand is taken, by column type, with `$eq`, `$lt` and `$contains`."""
    lines = [
        [f"{word} `{_json(operand)}`", *[await _taken(index, kind, operand) for kind in VALUES]]
        for word, operand in OPERANDS
    ]
    return _markdown(["operand", *VALUES], lines)


async def _taken(index: ImageIndex, kind: str, operand: Any) -> str:
    nodes = {name: {kind: {name: operand}} for name in ("$eq", "$lt", "$contains")}
    taken = [f"`{name}`" for name, node in nodes.items() if await _cell(index, node) != REFUSED]
    return " ".join(taken) or REFUSED


async def _cell(index: ImageIndex, node: Mapping[str, Any]) -> str:
    """The names of the rows that match, or that the filter is refused."""
    try:
        hits = await index.search(SearchQuery(filter=node, limit=1000))
    except FilterError:
        return REFUSED
    found = {hit.id for hit in hits}
    names = [name for place, name in enumerate(ROWS) if image_id(url_of(place)) in found]
    return "all" if len(names) == len(ROWS) else ", ".join(names) or "none"


def _filled(node: Any, kind: str) -> Any:
    """A filter with the column's name for `key` and its operand for `x`."""
    if isinstance(node, Mapping):
        return {kind if k == "key" else k: _filled(each, kind) for k, each in node.items()}
    if isinstance(node, list):
        return [_filled(each, kind) for each in node]
    return X[kind] if node == "x" else node


def _json(value: Any) -> str:
    return json.dumps(value).replace('"x"', "x")


def _markdown(head: list[str], lines: list[list[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _write() -> None:
    page = PAGE.read_text()
    for name, table in made().items():
        begin, end = f"<!-- table: {name} -->\n", "\n<!-- end -->"
        before, _, rest = page.partition(begin)
        page = before + begin + table + end + rest.partition(end)[2]
    PAGE.write_text(page)


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m tests.store.filter_table --write")
    _write()
