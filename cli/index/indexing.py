"""`image-search index`: rows to the service, many at once, each until it is done or has failed."""

import asyncio
from dataclasses import dataclass

from cli.background import Background
from cli.index.adding import Adder
from cli.index.failures import FailureFile
from cli.index.journal import Failure, Journal
from cli.index.limit import MOST, InFlight
from cli.index.progress import WorkBar
from cli.query.pictures import loaded
from cli.tables.rows import Row, Source
from image_search import AsyncClient, Retries
from image_search.calls import OnDuplicate


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


class Indexing:
    """One run.

    Args:
        source: the rows.
        journal: what is done of them.
        failures: takes what fails.
        bar: shows how far it is.

    Attributes:
        outcome: how far it came.
    """

    def __init__(
        self, source: Source, journal: Journal, failures: FailureFile, bar: WorkBar
    ) -> None:
        self._source, self._journal = source, journal
        self._failures, self._bar = failures, bar
        self._sending: dict[str, asyncio.Event] = {}
        self.outcome = Outcome()

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
            adder = Adder(
                client, in_flight, options.patience_s, options.on_duplicate, self._bar.say
            )
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
            if row.problem or not row.url:
                self._fail(row, *_unsendable(row))
                continue
            await in_flight.take()
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
            in_flight.free()

    def _skip(self, row: Row) -> None:
        self.outcome.done_before += 1
        self._bar.skipped()
        if (failure := self._journal.failures.get(row.key)) is not None:
            self.outcome.failed += 1
            self._failures.add(failure)

    def _fail(self, row: Row, code: str, reason: str) -> None:
        failure: Failure = {**row.subject, "code": code, "reason": reason}
        if not (row.file and row.problem):  # a file that cannot be read may be mended meanwhile
            self._journal.failed(row.key, failure)
        self._failures.add(failure)
        self._bar.failed()
        self.outcome.failed += 1


def _unsendable(row: Row) -> tuple[str, str]:
    if row.problem:
        return "bad_file" if row.file else "bad_row", row.problem
    return "no_url", "the row has no url"
