"""`image-search index`: rows to the service, many at once, each until it is done or has failed."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cli.adding import Adder, UnavailableError
from cli.journal import Failure, Journal
from cli.limit import MOST, InFlight
from cli.progress import WorkBar
from cli.rows import Row, Source
from image_search import AsyncClient, Retries
from image_search.calls import OnDuplicate

_END = None


@dataclass(frozen=True)
class IndexOptions:
    """What the command was asked for.

    Attributes:
        server: address of the service.
        api_key: for it, or None.
        in_flight: requests at once; None adapts.
        on_duplicate: as the service takes it.
        patience_s: how long a service that is gone is waited for.
    """

    server: str
    api_key: str | None
    in_flight: int | None
    on_duplicate: OnDuplicate
    patience_s: float


class Failures:
    """The file of what failed: made anew from the journal, so that each stands there once.

    Args:
        path: of the file, or None.
        journal: has what failed in earlier runs.
    """

    def __init__(self, path: Path | None, journal: Journal) -> None:
        self._file: IO[str] | None = None if path is None else path.open("w", encoding="ascii")
        for failure in journal.failures:
            self.add(failure)

    def add(self, failure: Failure) -> None:
        """One more."""
        if self._file is not None:
            self._file.write(json.dumps(failure) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


class Indexing:
    """One run.

    Args:
        source: the rows.
        journal: what is done of them.
        failures: takes what fails.
        bar: shows how far it is.
    """

    def __init__(self, source: Source, journal: Journal, failures: Failures, bar: WorkBar) -> None:
        self._source, self._journal = source, journal
        self._failures, self._bar = failures, bar
        self._sending: dict[str, asyncio.Event] = {}
        self.added = 0

    async def run(self, options: IndexOptions) -> None:
        """Send what is not done.

        Raises:
            UnavailableError: the service cannot be had.
            SourceError: a source cannot be read further.
        """
        in_flight = InFlight(options.in_flight)
        async with AsyncClient(
            options.server,
            api_key=options.api_key,
            retries=Retries(attempts=1),
            connections=options.in_flight or MOST,
        ) as client:
            adder = Adder(client, in_flight, options.patience_s, options.on_duplicate)
            self._bar.begin(self._source.total, self._journal.done.count)
            try:
                async with asyncio.TaskGroup() as tasks:
                    await self._send_all(adder, in_flight, tasks)
            except BaseExceptionGroup as group:
                raise group.exceptions[0] from group

    async def _send_all(self, adder: Adder, in_flight: InFlight, tasks: asyncio.TaskGroup) -> None:
        rows = enumerate(self._source.rows)
        while True:
            # In a thread: standard input and slow disks may take their time.
            number, row = await asyncio.to_thread(next, rows, (-1, _END))
            if row is _END:
                return
            if number in self._journal.done:
                continue
            if row.problem or not row.url:
                self._fail(number, row, *_unsendable(row))
                continue
            await in_flight.take()
            while (earlier := self._sending.get(row.url)) is not None:
                await earlier.wait()  # of one url, the last row is to stay
            self._sending[row.url] = asyncio.Event()
            tasks.create_task(self._send(number, row, adder, in_flight))

    async def _send(self, number: int, row: Row, adder: Adder, in_flight: InFlight) -> None:
        try:
            error = await adder.add(row)
            if error is None:
                self._journal.added(number)
                self._bar.advance(1)
                self.added += 1
            else:
                self._fail(number, row, error.code or "failed", error.message)
        finally:
            self._sending.pop(row.url).set()
            in_flight.free()

    def _fail(self, number: int, row: Row, code: str, reason: str) -> None:
        failure: Failure = {"url": row.url, "line": row.line, "code": code, "reason": reason}
        self._journal.failed(number, failure)
        self._failures.add(failure)
        self._bar.failed()


def _unsendable(row: Row) -> tuple[str, str]:
    if row.problem:
        return "bad_row", row.problem
    return "no_url", "the row has no url"


__all__ = ["Failures", "IndexOptions", "Indexing", "UnavailableError"]
