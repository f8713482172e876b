"""`image-search index` as a person calls it: its options, and how its failures read."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from cli.options import to_service


def _as_object(_context: click.Context, _option: click.Parameter, text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise click.BadParameter("""must be a JSON object such as '{"shop": "A"}'""")
    return given


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@to_service
@click.option(
    "--url-column", default="url", show_default=True, help="Column that has the pictures' URLs."
)
@click.option(
    "--text-columns",
    default="",
    metavar="NAMES",
    help="Columns of a CSV file to take as text, comma-separated: postal codes and the like.",
)
@click.option(
    "--file-key",
    default="file",
    show_default=True,
    metavar="KEY",
    help="Metadata key that takes the path of a picture's file; '' takes none.",
)
@click.option(
    "--metadata",
    default="{}",
    metavar="JSON",
    callback=_as_object,
    help="Metadata of every image; what a row or a file says itself goes before.",
)
@click.option(
    "--in-flight",
    type=click.IntRange(1, 1024),
    help="Requests at once.  [default: as many as the service takes]",
)
@click.option(
    "--on-duplicate",
    type=click.Choice(["add", "skip", "skip_near"]),
    default="add",
    show_default=True,
    help="What to do with a picture that is indexed under another URL.",
)
@click.option(
    "--failures",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="File to list images in that could not be indexed: JSON lines.",
)
@click.option(
    "--state",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="File that keeps what is done.  [default: the first source's name and .index-state]",
)
@click.option("--start-over", is_flag=True, help="Index again what is done already.")
@click.option(
    "--patience",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Seconds to wait for a service that does not answer.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the numbers at the end as JSON.")
def index(sources: tuple[str, ...], **given: Any) -> None:
    """Index the pictures of folders, of files, of tables, of standard input or of URLs.

    A SOURCE is a folder, whose pictures and those of the folders below are uploaded; a picture's
    file; a quoted glob such as '2024/**/*.jpg'; a .csv, .parquet, .jsonl or .ndjson file with a
    column of URLs, the other columns being metadata; - for URLs or JSON lines on standard input; or
    an http(s) URL. Started again with the same sources, it goes on where it stopped. Exit status: 0
    all are indexed, 1 some failed, 2 wrong usage, 3 the service cannot be had.
    """
    from cli.index.index_run import run_index  # noqa: PLC0415 - only what a command needs
    from cli.index.journal import JournalError  # noqa: PLC0415
    from cli.query.shown import shown  # noqa: PLC0415
    from cli.tables.rows import SourceError  # noqa: PLC0415

    try:
        code = run_index(sources, given)
    except (SourceError, JournalError, ValueError) as error:
        raise click.UsageError(shown(str(error))) from error
    except OSError as error:
        raise click.ClickException(shown(str(error))) from error
    sys.exit(code)
