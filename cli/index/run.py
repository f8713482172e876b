"""A run of `image-search index`: rows to the service, many at once, and what came of it."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from rich.console import Console

from cli.index.adding import MAX_IN_FLIGHT, Adder, InFlight, UnavailableError
from cli.index.files import loaded
from cli.index.journal import Journal
from cli.index.sources import Background, Reading, opened, state_beside
from cli.progress import FailureFile, WorkBar
from cli.tables.rows import Row, Source
from cli.terminal import UNAVAILABLE, shown
from image_search import AsyncClient, Retries
from image_search.calls import OnDuplicate

_INTERRUPTED = 130
_LOOPBACK = frozenset({"localhost", "::1"})
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class IndexOptions:
    """The command's options, by the names that `cli.index.command` gives them."""

    server: str
    api_key: str | None
    url_column: str
    text_columns: str
    file_key: str
    metadata: dict[str, Any]
    in_flight: int | None
    on_duplicate: OnDuplicate
    failures: Path | None
    state: Path | None
    start_over: bool
    patience: float
    as_json: bool


@dataclass
class Outcome:
    """What came of a run.

    Attributes:
        indexed: images, in this run.
        done_before: of earlier runs, the failed ones included.
        failed: images, those of earlier runs included.
        seconds: from the first request that was sent to the last answer.
    """

    indexed: int = 0
    done_before: int = 0
    failed: int = 0
    seconds: float = 0.0


def run_index(sources: Sequence[str], options: IndexOptions) -> int:
    """Index all sources, and print what came of it.

    Returns:
        The exit status.

    Raises:
        SourceError: a source cannot be read.
        JournalError: the file of the state cannot be used.
        ValueError: an option is invalid.
        OSError: a file cannot be written.
    """
    reading = Reading(
        options.url_column,
        [name for name in options.text_columns.split(",") if name],
        options.file_key,
        options.metadata,
    )
    source = opened(sources, reading)
    journal = _journal(source, sources, reading, options)
    try:
        with FailureFile(options.failures) as failures:
            return _indexed(source, journal, failures, options)
    finally:
        journal.close()


def same_server(server: str) -> str:
    """The one spelling of a service's address, by which a state belongs to it."""
    url = urlsplit(server)
    host = "127.0.0.1" if url.hostname in _LOOPBACK else url.hostname
    port = url.port or _PORTS.get(url.scheme)
    return f"{url.scheme}://{host}:{port}{url.path.rstrip('/')}"


class Indexing:
    """Sends the rows of a source that are not done yet."""

    def __init__(
        self, source: Source, journal: Journal, failures: FailureFile, bar: WorkBar
    ) -> None:
        self._source, self._journal = source, journal
        self._failures, self._bar = failures, bar
        self._sending: dict[str, asyncio.Event] = {}
        self.outcome = Outcome()

    async def run(self, options: IndexOptions) -> None:
        """Send them.

        Raises:
            UnavailableError: the service cannot be reached.
            SourceError: a source cannot be read further.
        """
        in_flight = InFlight(options.in_flight)
        async with AsyncClient(
            options.server,
            api_key=options.api_key,
            retries=Retries(attempts=1),
            connections=options.in_flight or MAX_IN_FLIGHT,
        ) as client:
            adder = Adder(client, in_flight, options.patience, options.on_duplicate, self._bar.say)
            self._bar.begin(self._source.total, 0)
            try:
                async with asyncio.TaskGroup() as tasks:
                    await self._send_all(adder, in_flight, tasks)
            except BaseExceptionGroup as group:
                raise group.exceptions[0] from group
            finally:
                self.outcome.seconds = adder.seconds

    async def _send_all(self, adder: Adder, in_flight: InFlight, tasks: asyncio.TaskGroup) -> None:
        background = Background()
        while (row := await background.run(next, self._source.rows, None)) is not None:
            if row.key in self._journal.done:
                self._skip(row)
                continue
            # One after the other, so that of files with the same bytes the last one's name stays.
            row = await background.run(loaded, row)
            if row.problem:
                self._fail(row, "bad_file" if row.file else "bad_row", row.problem)
                continue
            if not row.url:
                self._fail(row, "no_url", "the row has no url")
                continue
            await in_flight.acquire()
            while (earlier := self._sending.get(row.url)) is not None:
                await earlier.wait()  # of one url, the last row is to stay
            self._sending[row.url] = asyncio.Event()
            tasks.create_task(self._send(row, adder, in_flight))

    async def _send(self, row: Row, adder: Adder, in_flight: InFlight) -> None:
        try:
            error = await adder.add(row)
            if error is None:
                self._journal.added(row.key)
                self._bar.advance(1)
                self.outcome.indexed += 1
            else:
                self._fail(row, error.code or "failed", error.message)
        finally:
            self._sending.pop(row.url).set()
            in_flight.release()

    def _skip(self, row: Row) -> None:
        self.outcome.done_before += 1
        self._bar.skipped()
        if (failure := self._journal.failures.get(row.key)) is not None:
            self.outcome.failed += 1
            self._failures.add(failure)

    def _fail(self, row: Row, code: str, reason: str) -> None:
        failure = {**row.subject, "code": code, "reason": reason}
        if not (row.file and row.problem):  # a file that cannot be read may be mended meanwhile
            self._journal.failed(row.key, failure)
        self._failures.add(failure)
        self._bar.failed()
        self.outcome.failed += 1


def _journal(
    source: Source, sources: Sequence[str], reading: Reading, options: IndexOptions
) -> Journal:
    state = options.state
    if source.identity is None and state is not None:
        raise ValueError("standard input cannot be read again: leave --state out")
    if state is None and source.identity is not None:
        state = next(filter(None, map(state_beside, sources)), None)
    how = {"server": same_server(options.server), "on_duplicate": options.on_duplicate}
    identity = {**(source.identity or {}), **how, **asdict(reading)}
    journal = Journal(state, identity, start_over=options.start_over)
    if journal.began_anew:
        click.echo(f"{shown(state)} was of other sources or options: it begins anew.", err=True)
    return journal


def _indexed(source: Source, journal: Journal, failures: FailureFile, options: IndexOptions) -> int:
    with WorkBar(Console(stderr=True), "indexing") as bar:
        work = Indexing(source, journal, failures, bar)
        end, code = "", None
        try:
            asyncio.run(work.run(options))
        except UnavailableError as error:
            end, code = f"The service cannot be used: {shown(error)}.", UNAVAILABLE
        except KeyboardInterrupt:
            end, code = "Interrupted.", _INTERRUPTED
    click.echo(_summary(work.outcome, options))
    if end:
        again = " The same command goes on where it stopped." if journal.is_resumable else ""
        click.echo(f"{end}{again}", err=True)
    return code if code is not None else int(work.outcome.failed > 0)


def _summary(outcome: Outcome, options: IndexOptions) -> str:
    if options.as_json:
        return json.dumps(asdict(outcome))
    parts = [f"{outcome.indexed:,} indexed"]
    if outcome.done_before:
        parts.append(f"{outcome.done_before:,} were done before")
    if outcome.failed:
        listed = options.failures
        where = f"see {shown(listed)}" if listed else "--failures FILE lists them"
        parts.append(f"{outcome.failed:,} failed ({where})")
    return ", ".join(parts) + "."
