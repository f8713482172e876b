"""The peer of `bench.table.shop`: the same rows in SQLite, their words in FTS5."""

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_COLUMNS = ("price", "shop", "product", "percent", "half")
_COUNT = "SELECT count(*) FROM items {where}"
_PAGE = "SELECT id FROM items {where} ORDER BY {order} LIMIT 10"
_GROUPS = (
    "SELECT max(id), count(*) FROM items {where} GROUP BY product ORDER BY max(id) DESC LIMIT 10"
)
_WORDS = (
    "SELECT items.id FROM words JOIN items ON items.id = words.rowid"
    " WHERE words MATCH :words{conditions} ORDER BY words.rank LIMIT 10"
)
_SHOPS = "SELECT shop, count(*) FROM items {where} GROUP BY shop ORDER BY 2 DESC, 1 LIMIT 100"


class Catalogue:
    """A database of so many rows, with an index for each column.

    Args:
        file: of the database; made where there is none.
        rows: how many.
        metadata: of each row, by its number.
    """

    def __init__(self, file: Path, rows: int, metadata: Callable[[int], dict[str, Any]]) -> None:
        if not file.exists():
            part = file.with_suffix(".part")
            part.unlink(missing_ok=True)
            _fill(sqlite3.connect(part), rows, metadata)
            part.rename(file)
        self._db = sqlite3.connect(file)
        self._db.execute("PRAGMA cache_size = -262144")

    def listed(self, kept: Mapping[str, Any], name: str) -> list[Any]:
        """A page of one of the lists: its rows, the total and the counts."""
        where = _where(kept)
        order = "price, id DESC" if name == "sort" else "id DESC"
        page = _GROUPS if name == "group_by" else _PAGE
        rows = self._asked(page.format(where=where, order=order), kept)
        total = self._asked(_COUNT.format(where=where), kept)[0][0] if name == "total" else None
        counts = self._asked(_SHOPS.format(where=where), kept) if name == "facets" else []
        return [rows, total, counts]

    def texts(self, text: str, kept: Mapping[str, Any]) -> list[Any]:
        """The best rows for a text's words and what begins so."""
        asked = " OR ".join(f"{word}*" for word in text.split())
        conditions = "".join(f" AND items.{name} = :{name}" for name in kept)
        return self._asked(_WORDS.format(conditions=conditions), {**kept, "words": asked})

    def _asked(self, sql: str, given: Mapping[str, Any]) -> list[Any]:
        return [list(row) for row in self._db.execute(sql, given)]


def _where(kept: Mapping[str, Any]) -> str:
    return " AND ".join(f"WHERE {name} = :{name}" for name in kept)


def _fill(db: sqlite3.Connection, rows: int, metadata: Callable[[int], dict[str, Any]]) -> None:
    db.execute("PRAGMA cache_size = -262144")
    db.execute(f"CREATE TABLE items (id INTEGER PRIMARY KEY, {', '.join(_COLUMNS)})")
    db.execute(
        "CREATE VIRTUAL TABLE words USING fts5(title, tags, content='', prefix='3 4 5',"
        ' tokenize="unicode61 remove_diacritics 2")'
    )
    for number in range(rows):
        given = metadata(number)
        values = (number, *(given[name] for name in _COLUMNS))
        db.execute("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?)", values)
        words = (number, given["title"], " ".join(given["tags"]))
        db.execute("INSERT INTO words (rowid, title, tags) VALUES (?, ?, ?)", words)
    for name in _COLUMNS:
        db.execute(f"CREATE INDEX by_{name} ON items ({name})")
    db.execute("INSERT INTO words (words) VALUES ('optimize')")
    db.execute("ANALYZE")
    db.commit()
    db.close()
