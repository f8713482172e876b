"""`image-search index` as a person calls it: options, files, and the line at the end."""

import sys
from pathlib import Path
from typing import Any

import click

from cli.options import UNAVAILABLE, to_service

_INTERRUPTED = 130


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
    help="File that keeps what is done.  [default: the source's name and .index-state]",
)
@click.option("--start-over", is_flag=True, help="Index again what is done already.")
@click.option(
    "--patience",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Seconds to wait for a service that does not answer.",
)
def index(sources: tuple[str, ...], **given: Any) -> None:
    """Index the pictures of tables, of standard input or of URLs.

    A SOURCE is a .csv, .parquet, .jsonl or .ndjson file with a column of URLs, the other columns
    being metadata; or - for URLs or JSON lines on standard input; or an http(s) URL. Started again
    with the same files, it goes on where it stopped. Exit status: 0 all are indexed, 1 some failed,
    2 wrong usage, 3 the service cannot be had.
    """
    from cli.journal import JournalError  # noqa: PLC0415 - only what a command needs
    from cli.rows import SourceError  # noqa: PLC0415

    try:
        code = _run(sources, given)
    except (SourceError, JournalError, ValueError) as error:
        raise click.UsageError(_line(error)) from error
    except OSError as error:
        raise click.ClickException(_line(error)) from error
    sys.exit(code)


def _run(sources: tuple[str, ...], given: dict[str, Any]) -> int:
    from cli.indexing import Failures  # noqa: PLC0415 - only what a command needs
    from cli.journal import Journal  # noqa: PLC0415
    from cli.sources import opened  # noqa: PLC0415

    text_columns = [name for name in given["text_columns"].split(",") if name]
    source, first = opened(sources, given["url_column"], text_columns)
    state = given["state"]
    if source.identity is None and state is not None:
        raise ValueError("standard input cannot be read again: leave --state out")
    if state is None and first is not None and source.identity is not None:
        state = first.with_name(first.name + ".index-state")
    how = {name: given[name] for name in ("server", "url_column", "on_duplicate")}
    identity = {**(source.identity or {}), **how, "text_columns": text_columns}
    journal = Journal(state, identity, start_over=given["start_over"])
    try:
        if journal.began_anew:
            click.echo(f"{state} was of other sources or options: it begins anew.", err=True)
        failures = Failures(given["failures"], journal)
        try:
            return _indexed(source, journal, failures, given)
        finally:
            failures.close()
    finally:
        journal.close()


def _indexed(source: Any, journal: Any, failures: Any, given: dict[str, Any]) -> int:
    import asyncio  # noqa: PLC0415 - only what a command needs

    from rich.console import Console  # noqa: PLC0415

    from cli.indexing import Indexing, IndexOptions, UnavailableError  # noqa: PLC0415
    from cli.progress import WorkBar  # noqa: PLC0415

    names = ("server", "api_key", "in_flight", "on_duplicate")
    options = IndexOptions(**{name: given[name] for name in names}, patience_s=given["patience"])
    before = journal.done.count
    with WorkBar(Console(stderr=True), "indexing") as bar:
        work = Indexing(source, journal, failures, bar)
        try:
            asyncio.run(work.run(options))
            end, code = "", 1 if journal.failures else 0
        except UnavailableError as error:
            end, code = f"The service cannot be had: {_line(error)}", UNAVAILABLE
        except KeyboardInterrupt:
            end, code = "Interrupted.", _INTERRUPTED
    click.echo(_summary(work.added, journal, before, given["failures"]))
    if end:
        again = " The same command goes on where it stopped." if journal.is_kept else ""
        click.echo(f"{end}{again}", err=True)
    return code


def _summary(added: int, journal: Any, before: int, failures: Path | None) -> str:
    parts = [f"{added:,} indexed"]
    if before:
        parts.append(f"{before:,} were done before")
    if failed := len(journal.failures):
        where = f"see {failures}" if failures else "--failures FILE lists them"
        parts.append(f"{failed:,} failed ({where})")
    return ", ".join(parts) + "."


def _line(error: Exception) -> str:
    from cli.shown import shown  # noqa: PLC0415 - only what a command needs

    return shown(str(error))
