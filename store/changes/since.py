"""Changes by others since a moment: which images, read from the change log as it grows."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from store.changes.log import FOLDER, segments

_STAY = frozenset({"add", "replace", "patch"})
"""Actions after which the images are there."""


class Changed(NamedTuple):
    """The last change of an image: when, and whether it may be gone by it."""

    at: datetime
    is_gone: bool


class OthersChanges:
    """The images that others have changed, as far as the log of a store's folder goes back.

    Each line is read once, also where the file is renamed meanwhile. A change is written down
    before it is committed: who holds the table's lock sees all that are committed.

    Args:
        store: its folder; None where there is no log.
        own: id of the request whose changes are left out.
        since: those before this moment are left out.
    """

    def __init__(self, store: Path | None, own: str | None, since: datetime) -> None:
        self._store, self._own, self._since = store, own, since
        self._read_bytes: dict[int, int] = {}
        self._changed: dict[str, Changed] = {}

    def covers(self, own: str | None, since: datetime) -> bool:
        """Whether this tells what another one for this request and moment would."""
        return own == self._own and since >= self._since

    def now(self) -> Mapping[str, Changed]:
        """The images by their ids. Blocks.

        Raises:
            OSError: the log cannot be read.
        """
        for segment in reversed(segments(self._store / FOLDER) if self._store else []):
            with suppress(FileNotFoundError):  # removed or renamed: its next name comes next time
                for line in self._new_lines(segment):
                    self._take(line)
        return self._changed

    def _new_lines(self, segment: Path) -> Iterator[bytes]:
        with segment.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_mtime < self._since.timestamp():
                return
            read = self._read_bytes.get(status.st_ino, 0)
            file.seek(
                read if read <= status.st_size else 0
            )  # the number of a removed file is reused
            # A line without an end is being written: it is read the next time.
            while (line := file.readline()).endswith(b"\n"):
                self._read_bytes[status.st_ino] = file.tell()
                yield line

    def _take(self, line: bytes) -> None:
        try:
            told: dict[str, Any] = json.loads(line)
            if "action" not in told or told["request_id"] == self._own:
                return
            moment = datetime.fromisoformat(told["at"])
            if moment >= self._since:
                is_gone = told["action"] not in _STAY
                self._changed |= dict.fromkeys(told["ids"], Changed(moment, is_gone))
        except (KeyError, TypeError, ValueError):
            return  # torn by a power cut
