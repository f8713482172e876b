"""`image-search index`, run: sources, state and failures around `Indexing`, and the last line."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from rich.console import Console

from cli.index.adding import UnavailableError
from cli.index.failures import FailureFile
from cli.index.indexing import Indexing, IndexOptions, Outcome
from cli.index.journal import Journal
from cli.index.progress import WorkBar
from cli.index.sources import Reading, opened, state_beside
from cli.options import UNAVAILABLE
from cli.query.shown import shown
from cli.tables.rows import Source

_INTERRUPTED = 130
_LOOPBACK = frozenset({"localhost", "::1"})
_PORTS = {"http": 80, "https": 443}


def run_index(sources: Sequence[str], given: Mapping[str, Any]) -> int:
    """Index, and say what came of it.

    Args:
        sources: as they were given.
        given: the options, by name.

    Returns:
        The exit status.

    Raises:
        SourceError: a source cannot be read.
        JournalError: the state cannot be used.
        ValueError: an option makes no sense.
        OSError: a file cannot be written.
    """
    reading = Reading(
        given["url_column"],
        [name for name in given["text_columns"].split(",") if name],
        given["file_key"],
        given["metadata"],
    )
    source = opened(sources, reading)
    journal = _journal(source, sources, reading, given)
    try:
        with FailureFile(given["failures"]) as failures:
            return _indexed(source, journal, failures, given)
    finally:
        journal.close()


def same_server(server: str) -> str:
    """The address of a service in one of its spellings.

    What is done there is done, whether or not there was a slash at its end.
    """
    url = urlsplit(server)
    host = "127.0.0.1" if url.hostname in _LOOPBACK else url.hostname
    port = url.port or _PORTS.get(url.scheme)
    return f"{url.scheme}://{host}:{port}{url.path.rstrip('/')}"


def _journal(
    source: Source, sources: Sequence[str], reading: Reading, given: Mapping[str, Any]
) -> Journal:
    state = given["state"]
    if source.identity is None and state is not None:
        raise ValueError("standard input cannot be read again: leave --state out")
    if state is None and source.identity is not None:
        state = next(filter(None, map(state_beside, sources)), None)
    how = {"server": same_server(given["server"]), "on_duplicate": given["on_duplicate"]}
    identity = {**(source.identity or {}), **how, **asdict(reading)}
    journal = Journal(state, identity, start_over=given["start_over"])
    if journal.began_anew:
        click.echo(
            f"{shown(str(state))} was of other sources or options: it begins anew.", err=True
        )
    return journal


def _indexed(
    source: Source, journal: Journal, failures: FailureFile, given: Mapping[str, Any]
) -> int:
    names = ("server", "api_key", "in_flight", "on_duplicate")
    options = IndexOptions(**{name: given[name] for name in names}, patience_s=given["patience"])
    with WorkBar(Console(stderr=True), "indexing") as bar:
        work = Indexing(source, journal, failures, bar)
        end, code = "", None
        try:
            asyncio.run(work.run(options))
        except UnavailableError as error:
            end, code = f"The service cannot be had: {shown(str(error))}.", UNAVAILABLE
        except KeyboardInterrupt:
            end, code = "Interrupted.", _INTERRUPTED
    outcome = work.outcome
    click.echo(_summary(outcome, given["failures"], as_json=given["as_json"]))
    if end:
        again = " The same command goes on where it stopped." if journal.is_kept else ""
        click.echo(f"{end}{again}", err=True)
    return code if code is not None else int(outcome.failed > 0)


def _summary(outcome: Outcome, failures: Path | None, *, as_json: bool) -> str:
    if as_json:
        return json.dumps(asdict(outcome))
    parts = [f"{outcome.indexed:,} indexed"]
    if outcome.done_before:
        parts.append(f"{outcome.done_before:,} were done before")
    if outcome.failed:
        where = f"see {shown(str(failures))}" if failures else "--failures FILE lists them"
        parts.append(f"{outcome.failed:,} failed ({where})")
    return ", ".join(parts) + "."
