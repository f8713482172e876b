"""The command `image-search index`: its options, and how its errors read."""

import sys
from pathlib import Path
from typing import Any

import click

from image_search.cli.index.options import reading_of, reading_options
from image_search.cli.terminal import failures_option, shown, to_service


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@to_service
@reading_options
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
    help="What to do with a picture that is already indexed under another URL.",
)
@click.option(
    "--exif",
    is_flag=True,
    help="Add when, where and with which camera a picture was taken, as its EXIF tells, to the"
    " metadata; keys that are there win.",
)
@click.option(
    "--without-objects",
    is_flag=True,
    help="Leave out the objects of an exported index; `image-search redetect` finds them anew.",
)
@failures_option("File for the list of images that could not be indexed: JSON lines.")
@click.option(
    "--state",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="File that records what is done.  [default: the first source's name and .index-state]",
)
@click.option("--retry-all", is_flag=True, help="Try again also what was refused for good.")
@click.option("--start-over", is_flag=True, help="Index again what is already done.")
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
    file; a quoted glob such as '2024/**/*.jpg'; a .csv, .tsv, .parquet, .jsonl or .ndjson file with
    a column of URLs, the other columns being metadata; a .txt file with a URL a line; a file that
    --failures wrote; - for URLs or JSON lines on standard input; or an http(s) URL. Started again
    with the same sources, it goes on where it stopped, and tries again what may pass. Exit status:
    0 all are indexed, 1 some failed, or there was no picture, 2 wrong usage, 3 the service cannot
    be used.
    """
    from image_search.cli.index.journal import JournalError  # noqa: PLC0415 - so that --help answers at once
    from image_search.cli.index.run import run_index  # noqa: PLC0415
    from image_search.cli.index.sending import IndexOptions  # noqa: PLC0415
    from image_search.cli.tables.rows import SourceError  # noqa: PLC0415

    try:
        reading = reading_of(given)
        code = run_index(sources, reading, IndexOptions(**given))
    except (SourceError, JournalError, ValueError) as error:
        raise click.UsageError(shown(error)) from error
    except OSError as error:
        raise click.ClickException(shown(error)) from error
    sys.exit(code)
