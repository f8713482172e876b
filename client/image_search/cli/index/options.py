"""Options that say how sources are read: those of every command that has any."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from image_search.cli.terminal import json_object

if TYPE_CHECKING:
    from image_search.cli.index.sources import Reading

_OPTIONS = (
    click.option(
        "--url-column", default="url", show_default=True, help="Column with the pictures' URLs."
    ),
    click.option(
        "--id-column",
        help="Column with what the images are called.  [default: an id made of the URL]",
    ),
    click.option(
        "--leave-out",
        multiple=True,
        metavar="COLUMN",
        help="A column that is not to become metadata. Can be given several times.",
    ),
    click.option(
        "--rename",
        multiple=True,
        metavar="OLD=NEW",
        help="A column and the metadata key that it is to become. Can be given several times.",
    ),
    click.option(
        "--text-columns",
        default="",
        metavar="NAMES",
        help="Columns of a CSV file to read as text, comma-separated: postal codes and the like.",
    ),
    click.option(
        "--encoding",
        help="Encoding of CSV files, such as windows-1252."
        "  [default: UTF-8, or UTF-16 with its mark]",
    ),
    click.option(
        "--file-key",
        default="file",
        show_default=True,
        metavar="KEY",
        help="Metadata key for the path of a picture's file; '' stores no path.",
    ),
    click.option(
        "--metadata",
        default="{}",
        metavar="JSON",
        callback=json_object,
        help="Metadata of every image; keys that a row or a file has itself win.",
    ),
)


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: add the options; `reading_of` makes of them what they say."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def reading_of(given: dict[str, Any]) -> "Reading":
    """What the options say, which are taken out of those that a command was given.

    Raises:
        ValueError: a column is to be renamed to nothing, or to two names.
    """
    from image_search.cli.index.sources import Reading  # noqa: PLC0415 - so that --help is fast
    from image_search.cli.tables.columns import renamed_from  # noqa: PLC0415

    return Reading(
        url_column=given.pop("url_column"),
        text_columns=[name for name in given.pop("text_columns").split(",") if name],
        file_key=given.pop("file_key"),
        metadata=given.pop("metadata"),
        id_column=given.pop("id_column"),
        leave_out=list(given.pop("leave_out")) or None,
        rename=renamed_from(given.pop("rename")) or None,
        encoding=given.pop("encoding"),
    )
