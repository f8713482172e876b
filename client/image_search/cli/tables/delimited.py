"""CSV files as people have them: which encoding and which delimiter, the header, the records."""

import codecs
import csv
import shlex
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from image_search.cli.tables.rows import SourceError, missing_column

_LONGEST_FIELD = 1 << 24
_DELIMITERS = (",", ";", "\t", "|")
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_SAMPLE_ROWS = 20


class NotCsvError(SourceError):
    """The quotes of a file are not those of a CSV file."""


class Form(NamedTuple):
    """How a CSV file is written.

    Attributes:
        encoding: of its text.
        delimiter: between the cells of a row.
        names: of the columns, without blanks around them; empty for a column that has none.
        first: which record, from 0, is the header.
        quoting: `csv.QUOTE_NONE` where a quote is a sign like any other.
    """

    encoding: str
    delimiter: str
    names: tuple[str, ...]
    first: int
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL

    @property
    def has_decimal_commas(self) -> bool:
        """Whether it is of a country where 12,50 is a number, and so `;` stands between cells."""
        return self.delimiter == ";"


def form_of(path: Path, url_column: str, encoding: str | None) -> Form:
    """How a CSV file is written, by its first bytes and its header.

    The delimiter is one by which the header has the column of the urls; `sep=;` before the header,
    as Excel has it, says it as well.

    Args:
        path: of the file.
        url_column: of the pictures' urls.
        encoding: of its text; None for UTF-8, or UTF-16 where the file begins with its mark.

    Raises:
        SourceError: the file has no such column, or is not in this encoding.
    """
    coding = _encoding(path, encoding)
    said = _first_line(path, coding)
    if "\0" in said:
        raise SourceError(f"{path}: not UTF-8 text; it may be --encoding utf-16-le or utf-16-be")
    first = int(said.lower().startswith("sep=") and len(said) == len("sep=;"))
    forms = [_form(path, coding, one, first) for one in (said[-1] if first else _DELIMITERS)]
    fitting = (form for form in forms if url_column in form.names)
    form = next(fitting, None) or max(forms, key=lambda form: len(form.names))
    if not any(form.names):
        raise SourceError(f"{path}: there is no header: the first line must name the columns")
    return form


def records(path: Path, form: Form) -> Iterator[tuple[int, list[str]]]:
    """The first line of each row, and its cells: as many as there are columns, where it can be.

    Empty cells at the end, which spreadsheets leave out or add, are filled up or cut off; a row of
    empty cells is none.
    """
    wanted = len(form.names)
    read = _read(path, form.encoding, form.delimiter, form.quoting)
    for line, record in islice(read, form.first + 1, None):
        if any(record):
            cells = record + [""] * (wanted - len(record))
            yield line, cells if any(cells[wanted:]) else cells[:wanted]


def check_columns(
    path: Path, form: Form, url_column: str, others: Collection[str], dropped: Collection[str]
) -> None:
    """Refuse a file that has not all columns that are named, or one of them twice.

    Raises:
        SourceError: so it is.
    """
    named = [one for one in form.names if one]
    if url_column not in named:
        raise missing_column(path, url_column, named, _sample(path, form))
    for name in others:
        if name not in named:
            raise missing_column(path, name, named)
    for name, times in Counter(named).items():
        if times > 1 and name not in dropped:
            way_out = "" if name == url_column else f" (or --leave-out {shlex.quote(name)})"
            raise SourceError(
                f"{path}: {times} columns are called {name!r}: rename all but one{way_out}"
            )


def _sample(path: Path, form: Form) -> dict[str, str]:
    """A value of each column, if one of the first rows has any."""
    rows = [cells for _, cells in islice(records(path, form), _SAMPLE_ROWS)]
    columns = zip(form.names, zip(*rows, strict=False), strict=False)
    return {name: next(filter(None, cells), "") for name, cells in columns}


def _encoding(path: Path, given: str | None) -> str:
    if given is not None:
        try:
            "".encode(given)
        except LookupError:
            raise SourceError(
                f"--encoding {given}: unknown; give one such as windows-1252 or utf-16"
            ) from None
        name = codecs.lookup(given).name
        return "utf-8-sig" if name == "utf-8" else name
    with path.open("rb") as file:
        head = file.read(2)
    if not head:
        raise SourceError(f"{path}: the file is empty")
    return _MARKS.get(head, "utf-8-sig")


def _first_line(path: Path, encoding: str) -> str:
    try:
        with path.open(encoding=encoding) as file:
            return file.readline(_LONGEST_FIELD).rstrip("\n")
    except UnicodeError as error:
        raise SourceError(_undecodable(path, encoding)) from error


def _form(path: Path, encoding: str, delimiter: str, first: int) -> Form:
    read = _read(path, encoding, delimiter, strict=False)  # by a wrong delimiter it is none
    header = next(islice(read, first, None), (0, list[str]()))[1]
    return Form(encoding, delimiter, tuple(name.strip() for name in header), first)


def _read(
    path: Path, encoding: str, delimiter: str, quoting: Literal[0, 3] = 0, *, strict: bool = True
) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(_LONGEST_FIELD)
    line = 0
    try:
        with path.open(encoding=encoding, newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, quoting=quoting, strict=strict)
            for record in reader:
                if record:
                    yield line + 1, record
                line = reader.line_num
    except UnicodeError as error:
        raise SourceError(_undecodable(path, encoding)) from error
    except csv.Error as error:
        raise NotCsvError(
            f"{path}: line {line + 1} is not CSV: {error}; a cell with quotes stands in quotes, and"
            " has them twice"
        ) from error


def _undecodable(path: Path, encoding: str) -> str:
    if encoding != "utf-8-sig":
        return f"{path}: the text is not in the encoding {encoding}"
    with path.open("rb") as file:
        number = next((at for at, line in enumerate(file, 1) if not _is_utf8(line)), 1)
    return (
        f"{path}: line {number} is not UTF-8 text: save it as UTF-8, or say what it is in, such as"
        " --encoding windows-1252"
    )


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
