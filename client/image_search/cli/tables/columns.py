"""Columns of tables: which of them names the images, which are left out, and which are renamed."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from image_search.cli.tables.rows import Row, Source, SourceError, listed


@dataclass(frozen=True)
class Columns:
    """What is made of a table's columns.

    Attributes:
        url: the column of the pictures' urls.
        id: the one with what the images are called; None for ids that follow from urls.
        left_out: those that do not become metadata.
        renamed: what a column is called as a key of metadata, where that is another name.
    """

    url: str = "url"
    id: str | None = None
    left_out: Collection[str] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def needs_names(self) -> bool:
        """Whether a column is named that has to be there, so that a file is searched for it."""
        return bool(self.id is not None or self.left_out or self.renamed)

    def check(self, sources: Iterable[Source]) -> None:
        """Refuse a column that no source has, and one that is no metadata.

        What comes in on standard input has the columns that its rows have: nothing is refused.

        Raises:
            SourceError: so it is; the message names the columns that there are.
        """
        columns = [source.columns for source in sources]
        there = dict.fromkeys(chain.from_iterable(one for one in columns if one is not None))
        if None in columns:
            return
        own = [] if self.id is None else [("--id-column", self.id)]
        for option, name in [*own, *self._named()]:
            self._check_name(option, name, there)

    def check_header(self, path: object, header: Sequence[str]) -> None:
        """Refuse names by which two columns of a header would be one key.

        Raises:
            SourceError: so it is.
        """
        seen: dict[str, str] = {}
        for column in header:
            if column in self.left_out or column in {self.url, self.id}:
                continue
            other = seen.setdefault(self.key(column), column)
            if other != column:
                raise SourceError(f"{path}: {self._clash(other, column)}")

    def key(self, column: str) -> str:
        """The key of metadata that a column's values are stored under."""
        return self.renamed.get(column, column)

    def applied(self, row: Row) -> Row:
        """The row with its id, and with the keys that its metadata is to have.

        One that cannot be made so has the reason as its problem, and its columns as they were.
        """
        named = row if self.id is None else _called_by(self.id, row)
        if named.problem != row.problem or not isinstance(named.metadata, dict):
            return named
        values: dict[str, Any] = {}
        sources: dict[str, str] = {}
        for column, value in named.metadata.items():
            if column in self.left_out:
                continue
            other = sources.setdefault(self.key(column), column)
            if other != column:
                return row._replace(problem=self._clash(other, column))
            values[self.key(column)] = value
        return named._replace(metadata=values or None)

    def _named(self) -> list[tuple[str, str]]:
        left_out = [("--leave-out", name) for name in self.left_out]
        return [*left_out, *(("--rename", name) for name in self.renamed)]

    def _check_name(self, option: str, name: str, there: Collection[str]) -> None:
        what = f"{option} {name}"
        if name == self.url:
            raise SourceError(f"{what}: this column has the pictures' urls")
        if name == self.id and option != "--id-column":
            raise SourceError(f"{what}: this column has the images' ids")
        if not there:
            raise SourceError(
                f"{what}: there is no table with columns among the sources; what the key for the"
                " path of a file is called, --file-key says"
            )
        if name not in there:
            raise SourceError(f"{what}: there is no such column; the columns are: {listed(there)}")

    def _clash(self, one: str, other: str) -> str:
        return f"the columns {one!r} and {other!r} would both be called {self.key(one)!r}"


def _called_by(column: str, row: Row) -> Row:
    """The row with its id taken from a column; a file has none, and keeps what it has."""
    if row.file or row.id:
        return row
    columns = dict(row.metadata) if isinstance(row.metadata, dict) else {}
    own = columns.pop(column, None)
    if isinstance(own, bool | float | list | dict) or own in {None, ""}:
        problem = f"the row has no text and no whole number as its {column}"
        return row._replace(problem=row.problem or problem)
    return row._replace(id=str(own), metadata=columns or None)


def renamed_from(given: Iterable[str]) -> dict[str, str]:
    """New names of columns by their old ones, from texts `OLD=NEW`.

    Raises:
        ValueError: a text is no such pair, or a column is to have two names.
    """
    names: dict[str, str] = {}
    for text in given:
        old, equals, new = text.partition("=")
        if not (old and equals and new):
            raise ValueError(f"--rename {text}: give a column and its new name as OLD=NEW")
        if names.setdefault(old, new) != new:
            raise ValueError(f"--rename {text}: the column is to be called {names[old]!r} as well")
    return names
