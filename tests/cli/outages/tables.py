"""Two tables to import, good and bad rows mixed, and what is to come of each row."""

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

FAILING = {
    "missing": "http_status",
    "text": "not_an_image",
    "closed": "http_status",
    "conflict": "metadata_conflict",
    "empty": "no_url",
    "long": "bad_row",
}
"""Kinds of rows that cannot succeed, and the codes that they fail with."""

MENDED_BY_HOST = ("missing", "text", "closed")
MENDED_BY_HAND = ("conflict", "empty")
_KINDS = ("good", *FAILING, "busy", "weak")
PERIOD = 50
"""Of so many rows one is of each kind, and all others are good."""

_HEADER = ("url", "sku", "number", "price", "shop", "code", "size")


class Item(NamedTuple):
    """A row of a table.

    Attributes:
        number: tells it from all others.
        kind: one of `_KINDS`.
        url: of its picture; that which it should have, where it has none.
        id: what the image is called, or empty.
    """

    number: int
    kind: str
    url: str
    id: str

    @property
    def path(self) -> str:
        """What the host is asked for."""
        return f"/{self.kind}/{self.number}.jpg"

    @property
    def is_to_succeed(self) -> bool:
        """Whether it is indexed as it stands."""
        return self.kind not in FAILING

    @property
    def is_asked_for(self) -> bool:
        """Whether the host is."""
        return self.kind not in {"empty", "long"}

    @property
    def metadata(self) -> dict[str, Any]:
        """As they are to be in the index."""
        fixed = {"size": 5} if self.kind in MENDED_BY_HAND else {}
        shop = "Müller, 東京" if self.number % 2 else 'the "good" shop'
        common = {"number": self.number, "price": self.number / 4, "shop": shop}
        return {**common, "code": f"{self.number:05}", **fixed}


def items(count: int, files: str, *, are_named: bool) -> list[Item]:
    """So many rows; with ids of their own, or without."""
    begin = count if are_named else 0
    rows = list[Item]()
    for number in range(begin, begin + count):
        kind = dict(enumerate(_KINDS)).get(number % PERIOD, "good")
        row = Item(number, kind, "", f"sku-{number}" if are_named else "")
        rows.append(row._replace(url=files + row.path[1:]))
    return rows


def write_table(path: Path, rows: Iterable[Item]) -> None:
    """Write a CSV file of them; without the column of ids where they have none."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_HEADER)
        for row in rows:
            own = row.metadata
            size = "large" if row.kind == "conflict" else ""
            url = "" if row.kind == "empty" else row.url
            values = (own[key] for key in ("number", "price", "shop", "code"))
            writer.writerow([url, row.id, *values, size, *(["!"] if row.kind == "long" else [])])


def failures_in(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of failures."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def number_of(failure: dict[str, Any]) -> int:
    """Which row a failure is of; one with too many values is listed as it was."""
    row = failure["row"]
    return int(row[_HEADER.index("number")] if isinstance(row, list) else row["metadata"]["number"])


def mended(failures: Iterable[dict[str, Any]], by_number: dict[int, Item]) -> Iterator[str]:
    """The lines, of which a person has put right what is in their hands."""
    for failure in failures:
        item = by_number.get(number_of(failure))
        if item is not None and item.kind in MENDED_BY_HAND:
            failure["row"]["url"] = item.url
            failure["row"]["metadata"]["size"] = 5
        yield json.dumps(failure) + "\n"
