"""Prints what the commands to a service tell: a table, lines with tabs, or JSON lines."""

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from image_search.cli.terminal import json_line, shown

as_json_lines = click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")


def print_rows(
    head: Sequence[str], rows: Sequence[Sequence[Any]], documents: list[Any], as_json: bool
) -> None:
    """Print JSON lines, a table on a terminal, or else lines with tabs."""
    if as_json:
        print_json(documents)
        return
    cells = [[shown(_text(value)) for value in row] for row in rows]
    if sys.stdout.isatty():
        _print_table(head, cells)
        return
    for row in cells:
        click.echo("\t".join(row))


def _print_table(head: Sequence[str], cells: list[list[str]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - so that --help is fast
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table()
    for name in head:
        table.add_column(name, overflow="fold")  # half an id or a name is of no use
    for row in cells:
        table.add_row(*map(Text, row))  # as Text, brackets are no markup
    Console(highlight=False).print(table)


def print_json(documents: list[Any]) -> None:
    """Print JSON lines."""
    for document in documents:
        click.echo(json_line(document))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=datetime.isoformat)
