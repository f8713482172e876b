"""Sends the rows of a source that are not done yet to the service, many at once."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from anyio import create_task_group
from anyio.abc import TaskGroup

from image_search import AsyncClient, Detector, ImageSearchError, Model, Retries
from image_search.calls.images import OnDuplicate
from image_search.cli.index.adding import MAX_IN_FLIGHT, Adder, InFlight
from image_search.cli.index.batches import Batch
from image_search.cli.index.errors import OtherDetectorError, UnavailableError, may_pass
from image_search.cli.index.files import loaded
from image_search.cli.index.journal import Journal
from image_search.cli.index.outcome import Outcome
from image_search.cli.index.sources import Background, some_of
from image_search.cli.progress import FailureFile, WorkBar
from image_search.cli.tables.rows import Row, Source, Whole
from image_search.uploads import is_upload_url

if sys.version_info < (3, 11):  # anyio brings it
    from exceptiongroup import BaseExceptionGroup

_BATCHES = 8
"""Requests with whole rows at once: so many that each commit of the service is a full one."""

_OTHER_MODEL = (
    "The service's model is not the one that made the exported vectors: the images are fetched from"
    " their URLs and embedded anew."
)
_NO_ORIGINAL = (
    "it was uploaded, so it cannot be fetched, and its vector is not of the service's model"
)


@dataclass(frozen=True)
class IndexOptions:
    """The command's options but for `Reading`, by the names that it gives them."""

    server: str
    api_key: str | None
    in_flight: int | None
    on_duplicate: OnDuplicate
    exif: bool
    without_objects: bool
    failures: Path | None
    state: Path | None
    start_over: bool
    retry_all: bool
    patience: float
    as_json: bool


class Indexing:
    """Sends the rows of a source that are not done yet.

    Args:
        source: the rows.
        journal: what is done.
        failures: is told what failed.
        known: is told the types of the table's keys before a row is read; None where nobody asks.
    """

    def __init__(
        self,
        source: Source,
        journal: Journal,
        failures: FailureFile,
        known: dict[str, str] | None = None,
    ) -> None:
        self.source, self.journal = source, journal
        self._failures, self._known = failures, known
        self._sending: dict[str, asyncio.Event] = {}
        self._sent_late = set[str]()
        self._bar: WorkBar
        self._server_model: tuple[Model, int] | None = None
        self._server_detector: Detector | None = None
        self._without_objects = False
        self._types: dict[str, str] = {}
        self._told_of_model = False
        self._batch = Batch()
        self._batches = asyncio.Semaphore(_BATCHES)
        self.outcome = Outcome(left_out=source.left_out)

    async def run(self, options: IndexOptions, bar: WorkBar) -> None:
        """Send them.

        Raises:
            UnavailableError: the service cannot be reached.
            SourceError: a source cannot be read further.
        """
        self._bar, in_flight = bar, InFlight(options.in_flight)
        self._without_objects = options.without_objects
        async with AsyncClient(
            options.server,
            api_key=options.api_key,
            retries=Retries(attempts=1),
            connections=options.in_flight or MAX_IN_FLIGHT,
        ) as client:
            told = {"on_duplicate": options.on_duplicate, "exif": options.exif}
            adder = Adder(client, in_flight, options.patience, told, self._bar.say)
            self._bar.begin(self.source.total, 0)
            await self._ask(adder)
            try:
                async with create_task_group() as tasks:
                    await self._send_all(adder, in_flight, tasks)
            except BaseExceptionGroup as group:
                raise group.exceptions[0] from group
            finally:
                self.outcome.seconds = adder.seconds

    async def _ask(self, adder: Adder) -> None:
        """Ask the service what has to be known before rows are read."""
        types = self.source.whole
        if self._known is None and types is None:
            return
        status = await adder.status()
        if status is None:
            if types is not None:
                raise UnavailableError("it does not tell which model it has")
            return
        self._server_model = status.model, status.dim
        if (found := status.objects) is not None:
            self._server_detector = Detector(found.detector, found.recipe)
        known = status.columns
        self._types = {key: kind for key, kind in (types or {}).items() if key not in known}
        if self._known is not None:
            self._known.update(known)

    async def _send_all(self, adder: Adder, in_flight: InFlight, tasks: TaskGroup) -> None:
        background = Background()
        while rows := await background.run(some_of, self.source.rows):
            for given in rows:
                if given.key in self.journal.done and not self._is_overtaken(given):
                    self._skip(given)
                    continue
                # One after the other, so that of files with the same bytes the last one's name
                # stays.
                read = await background.run(loaded, given) if given.file else given
                if (row := self._checked(read)) is None:
                    continue
                if row.whole is not None:
                    await self._gather(row, adder, tasks)
                    continue
                await in_flight.acquire()
                await self._begin([row])
                tasks.start_soon(self._send, row, adder, in_flight)
        await self._send_batch(adder, tasks)

    def _checked(self, row: Row) -> Row | None:
        """The row as it can be sent; None where it cannot."""
        if row.problem:
            self._fail(row, "bad_file" if row.file else "bad_row", row.problem)
            return None
        if row.whole is not None and (row.whole.model, row.whole.dim) != self._server_model:
            row = self._by_url(row)
            if is_upload_url(row.url):
                self._fail(row, "no_original", _NO_ORIGINAL)
                return None
        if not row.url:
            self._fail(row, "no_url", "the row has no url")
            return None
        return row if row.whole is None else row._replace(whole=self._fitting(row.whole))

    def _fitting(self, whole: Whole) -> Whole:
        """A whole row as the service takes it: with its objects, or without where that was said.

        Raises:
            UnavailableError: the service does not take these objects.
        """
        if whole.image.objects is None:
            return whole._replace(detector=self._server_detector)
        if self._without_objects:
            return whole._replace(image=replace(whole.image, objects=None), detector=None)
        if whole.detector != self._server_detector:
            raise OtherDetectorError(whole.detector, self._server_detector)
        return whole

    def _by_url(self, row: Row) -> Row:
        """A row whose vector is of no use here."""
        if not self._told_of_model:
            self._told_of_model = True
            self._bar.say(_OTHER_MODEL)
        return row._replace(whole=None)

    async def _gather(self, row: Row, adder: Adder, tasks: TaskGroup) -> None:
        types, self._types = self._types, {}
        for key, kind in types.items():  # before there are values, of which the first would decide
            await adder.declare(key, kind)
        if not self._batch.take(row):
            await self._send_batch(adder, tasks)
            self._batch.take(row)

    async def _send_batch(self, adder: Adder, tasks: TaskGroup) -> None:
        rows, self._batch = self._batch.rows, Batch()
        if rows:
            await self._batches.acquire()
            await self._begin(rows)
            tasks.start_soon(self._put, rows, adder)

    async def _put(self, rows: Sequence[Row], adder: Adder) -> None:
        try:
            for row, error in zip(rows, await adder.put(rows), strict=True):
                self._settle(row, error)
        finally:
            self._end(rows)
            self._batches.release()

    async def _begin(self, rows: Sequence[Row]) -> None:
        """Wait until none of these images is on its way: of one, the last row is to stay."""
        for name in {row.id or row.url for row in rows}:
            while (earlier := self._sending.get(name)) is not None:
                await earlier.wait()
            self._sending[name] = asyncio.Event()
        late = (row for row in rows if row.key in self.journal.tried_again)
        self._sent_late.update(row.id or row.url for row in late)

    def _end(self, rows: Sequence[Row]) -> None:
        for name in {row.id or row.url for row in rows}:
            self._sending.pop(name).set()

    def _settle(self, row: Row, error: ImageSearchError | None) -> None:
        if error is None:
            self.journal.added(row.key)
            self._bar.advance(1)
            self.outcome.indexed += 1
        else:
            self._fail(row, error.code or "failed", error.message)

    async def _send(self, row: Row, adder: Adder, in_flight: InFlight) -> None:
        try:
            self._settle(row, await adder.add(row))
        finally:
            self._end([row])
            in_flight.release()

    def _is_overtaken(self, row: Row) -> bool:
        """Whether an earlier row of this image was sent after it, as it failed at first."""
        return (row.id or row.url) in self._sent_late and row.key not in self.journal.failures

    def _skip(self, row: Row) -> None:
        self._bar.skipped()
        failure = self.journal.failures.get(row.key)
        if failure is None:
            self.outcome.done_before += 1
        else:
            self.outcome.failed += 1
            self._failures.add({**failure, "row": row.given})

    def _fail(self, row: Row, code: str, reason: str) -> None:
        failure = {**row.subject, "code": code, "reason": reason}
        is_unread = bool(row.file and row.problem)  # it may be mended meanwhile
        if not is_unread:
            self.journal.failed(row.key, failure)
        self._failures.add({**failure, "row": row.given})
        self._bar.failed()
        self.outcome.failed += 1
        self.outcome.may_pass += is_unread or may_pass(failure)
