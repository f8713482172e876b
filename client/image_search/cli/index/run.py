"""A run of `image-search index`: rows to the service, many at once, and what came of it."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from rich.console import Console

from image_search.cli.index.errors import UnavailableError, may_pass
from image_search.cli.index.files import NO_PICTURE, UNREADABLE
from image_search.cli.index.journal import Journal
from image_search.cli.index.sending import Indexing, IndexOptions
from image_search.cli.index.sources import Reading, has_csv, opened, state_beside
from image_search.cli.progress import FailureFile, WorkBar
from image_search.cli.tables.rows import Source
from image_search.cli.terminal import UNAVAILABLE, shown

_INTERRUPTED = 130
_LOOPBACK = frozenset({"localhost", "::1"})
_PORTS = {"http": 80, "https": 443}


def run_index(sources: Sequence[str], reading: Reading, options: IndexOptions) -> int:
    """Index all sources, and print what came of it.

    Returns:
        The exit status.

    Raises:
        SourceError: a source cannot be read.
        JournalError: the file of the state cannot be used.
        ValueError: an option is invalid.
        OSError: a file cannot be written.
    """
    if options.failures is not None and any(_is_same(one, options.failures) for one in sources):
        raise ValueError("--failures is one of the sources: name another file")
    known: dict[str, str] = {}
    source = opened(sources, reading, known)
    if source.whole is not None and options.on_duplicate == "skip_near":
        raise ValueError("an exported index goes with --on-duplicate add or skip")
    journal = _journal(source, sources, reading, options)
    try:
        with FailureFile(options.failures) as failures:
            work = Indexing(source, journal, failures, known if has_csv(sources) else None)
            return _indexed(work, options)
    finally:
        journal.close()


def same_server(server: str) -> str:
    """The one spelling of a service's address, by which a state belongs to it."""
    url = urlsplit(server)
    host = "127.0.0.1" if url.hostname in _LOOPBACK else url.hostname
    port = url.port or _PORTS.get(url.scheme)
    return f"{url.scheme}://{host}:{port}{url.path.rstrip('/')}"


def _journal(
    source: Source, sources: Sequence[str], reading: Reading, options: IndexOptions
) -> Journal:
    state = options.state
    if source.identity is None and state is not None:
        raise ValueError("standard input cannot be read again: leave --state out")
    if state is None and source.identity is not None:
        state = next(filter(None, map(state_beside, sources)), None)
    identity: dict[str, Any] = {
        **(source.identity or {}),
        "server": same_server(options.server),
        "on_duplicate": options.on_duplicate,
    }
    if options.exif:
        identity["exif"] = "added"
    if options.without_objects:
        identity["objects"] = "left out"
    # A state of before there was an option goes on.
    identity |= {name: one for name, one in asdict(reading).items() if one is not None}
    again = (lambda _failure: True) if options.retry_all else may_pass
    journal = Journal(state, identity, start_over=options.start_over, again=again)
    if journal.began_anew:
        click.echo(f"{shown(state)} was of other sources or options: it begins anew.", err=True)
    return journal


def _is_same(source: str, path: Path) -> bool:
    try:
        return path.samefile(source)
    except OSError:
        return False


def _indexed(work: Indexing, options: IndexOptions) -> int:
    with WorkBar(Console(stderr=True), "indexing") as bar:
        end, code = "", None
        try:
            asyncio.run(work.run(options, bar))
        except UnavailableError as error:
            end, code = f"The service cannot be used: {shown(error)}.", UNAVAILABLE
        except KeyboardInterrupt:
            end, code = "Interrupted.", _INTERRUPTED
    outcome = work.outcome
    click.echo(outcome.summary(options.failures, as_json=options.as_json))
    for line in outcome.remarks(is_resumable=work.journal.is_resumable):
        click.echo(line, err=True)
    if end:
        again = " The same command goes on where it stopped." if work.journal.is_resumable else ""
        click.echo(f"{end}{again}", err=True)
    nothing = work.source.total == 0 and bool({NO_PICTURE, UNREADABLE} & outcome.left_out.keys())
    return code if code is not None else int(outcome.failed > 0 or nothing)
