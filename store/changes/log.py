"""Change log: who changed which images of the table, as JSON lines beside it.

A change is written down before it is committed, and after that the version that it made, so there
is no change without its line: where the line cannot be written, the change is not made. A process
that ends in between leaves a line without a version, which tells that much. Both lines are
written before the disk is synced and the caller answered.

Each append is one `write` to the end of a file, which many processes may do at once. What a power
cut or a full disk left of a line is skipped.
"""

import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import FileIO
from pathlib import Path
from secrets import token_hex

from store.changes.change import Draft
from store.metadata.values import format_timestamp
from store.private import make_private, open_private
from store.schemas import NOBODY

FOLDER = "changes"
CURRENT = "current.jsonl"
SEGMENT_BYTES = 16 << 20
MOST_BYTES = 1 << 30
"""Of all files together; the oldest go first."""

IDS_AT_ONCE = 100_000
"""More are told in several lines."""
_MAX_FILTER_CHARS = 4096
_TICK = timedelta(microseconds=1)

logger = logging.getLogger(__name__)

_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, eq=False)
class Begun:
    """A commit whose changes are written down.

    Attributes:
        commit: what its lines call it.
        drafts: the changes.
        version: of the table before it.
    """

    commit: str
    drafts: Sequence[Draft]
    version: int


class ChangeLog:
    """The log of one table's changes; the files are those of all tables of a folder.

    Args:
        folder: of the store; None on an object store: there is no log then, but that of the
            service, which is told of each change in any case.
        table: the table's name.
    """

    def __init__(self, folder: Path | None, table: str) -> None:
        self._folder = None if folder is None else folder / FOLDER
        self._table = table
        self._last = datetime.min.replace(tzinfo=UTC)

    def begin(self, drafts: Sequence[Draft], version: int) -> Begun:
        """Writes down changes that are to become the next version. Blocks.

        Raises:
            OSError: they could not be written, and must not be committed.
        """
        begun = Begun(token_hex(8), drafts, version)
        parts = ((draft, part) for draft in drafts for part in _parts(draft.ids))
        lines = [self._line(begun, draft, part) for draft, part in parts]
        self._append("".join(lines), rotate=True)
        return begun

    def settle(self, ended: Sequence[tuple[Begun, int | None]]) -> None:
        """Writes down the versions that were made, None where nothing was changed. Blocks.

        What cannot be written is logged: the changes stand, and are told without their version.
        """
        lines = [_encode({"commit": one.commit, "version": made}) + "\n" for one, made in ended]
        try:
            self._append("".join(lines))
        except OSError as error:
            logger.warning("the version of a change could not be written down: %r", error)
        for begun, made in ended:
            if made is not None:
                for draft in begun.drafts:
                    _tell(draft, begun.version, made)

    def note(self, action: str, version: int) -> None:
        """Writes down what happened to the table as a whole. Blocks; logs where that fails."""
        try:
            self.settle([(self.begin([Draft(NOBODY, action)], version), version)])
        except OSError as error:
            logger.warning("%s of the table could not be written down: %r", action, error)

    def _line(self, begun: Begun, draft: Draft, ids: Sequence[str]) -> str:
        # Each moment comes once: a list goes on before the last one that it has shown.
        self._last = max(datetime.now(UTC), self._last + _TICK)
        more = dict(draft.more)
        if more and len(_encode(more)) > _MAX_FILTER_CHARS:
            more = {"filter": None}
        line = {
            "at": format_timestamp(self._last),
            "commit": begun.commit,
            "table": self._table,
            "key": draft.by.key,
            "address": draft.by.address,
            "request_id": draft.by.request_id,
            "action": draft.action,
            "count": len(ids),
            **more,
            "version_before": begun.version,
            "ids": ids,
        }
        return _encode(line) + "\n"

    def _append(self, lines: str, *, rotate: bool = False) -> None:
        if self._folder is None:
            return
        current = self._folder / CURRENT
        if rotate and _is_done(current):
            current.rename(self._folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.jsonl")
        with FileIO(self._opened(current), "r+") as file:
            size = os.fstat(file.fileno()).st_size
            torn = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
            left = memoryview(("\n" * torn + lines).encode())
            while left:
                left = left[file.write(left) :]

    def _opened(self, current: Path) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        try:
            return open_private(str(current), flags)
        except FileNotFoundError:  # mostly the folder is there: to look each time costs as much
            make_private(current.parent)
            return open_private(str(current), flags)


def segments(folder: Path) -> list[Path]:
    """The files of a log, the newest first."""
    return sorted(folder.glob("*.jsonl"), reverse=True)  # "current" comes after any date


def remove_old(store: Path, age: timedelta) -> int:
    """Removes the files of a log that are too old, or too many; how many they were. Blocks."""
    oldest = (datetime.now(UTC) - age).timestamp()
    size = removed = 0
    for segment in segments(store / FOLDER):
        status = segment.lstat()
        size += status.st_size
        if status.st_mtime < oldest or (size > MOST_BYTES and segment.name != CURRENT):
            segment.unlink(missing_ok=True)
            removed += 1
    return removed


def _is_done(current: Path) -> bool:
    """Whether a file is large enough, or of another day than this."""
    try:
        status = current.lstat()
    except FileNotFoundError:
        return False
    written = datetime.fromtimestamp(status.st_mtime, UTC).date()
    return status.st_size >= SEGMENT_BYTES or written != datetime.now(UTC).date()


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[at : at + IDS_AT_ONCE] for at in range(0, len(ids) or 1, IDS_AT_ONCE))


def _tell(draft: Draft, before: int, made: int) -> None:
    """A line of the service's own log, in which there are neither ids nor filters."""
    by, count = draft.by, len(draft.ids)
    whose = "no key" if by.key is None else f"key {by.key!r}"
    images = "" if not count else f" {count} image{'s' if count > 1 else ''},"
    fields = {
        "action": draft.action,
        "key": by.key,
        "address": by.address,
        "of_request": by.request_id,  # BentoML's handlers set `request_id`
        "count": count,
        "version_before": before,
        "version": made,
    }
    text = "%s by %s from %s:%s version %d to %d"
    logger.info(text, draft.action, whose, by.address or "-", images, before, made, extra=fields)
