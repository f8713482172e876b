"""The state file of `image-search index`: a run that was killed goes on where it stopped.

The first line says what the run is of; each further one that an image is done. A line is written
once the service has answered, so that a kill loses nothing, and at most what was in flight is sent
again. Rows of tables are numbered, and only those behind the first one that is not done are held in
memory; a picture's file is known by a digest of its path, size and age.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from image_search.cli.output import opened_notes
from image_search.cli.tables.rows import Key

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

Failure = dict[str, Any]
_FAR = 1 << 30
"""Windows keeps others from reading what is locked: a byte behind any line."""


class JournalError(Exception):
    """The state file cannot be used; the message is one line."""


class Done:
    """Set of rows' keys, small for numbers nearly in order: all up to a mark, some beyond it."""

    def __init__(self) -> None:
        self._mark = 0
        self._others: set[Key] = set()

    def add(self, key: Key) -> None:
        """Add a key; numbers begin with 0."""
        if key in self:
            return
        self._others.add(key)
        while self._mark in self._others:
            self._others.remove(self._mark)
            self._mark += 1

    def __contains__(self, key: Key) -> bool:
        return key in self._others or (isinstance(key, int) and key < self._mark)


class Journal:
    """The state of a run: which rows are done, and what failed.

    Without a path, nothing is written.

    Args:
        path: of the file.
        identity: what the run is of; the state of another begins anew.
        start_over: begin anew in any case.
        again: whether what failed in an earlier run is not done.

    Attributes:
        done: rows that are done.
        failures: of these, what failed.
        tried_again: rows that failed in an earlier run, and are not done.

    Raises:
        JournalError: another command uses it, it cannot be written, or it is another file.
    """

    def __init__(
        self,
        path: Path | None,
        identity: Any,
        *,
        start_over: bool = False,
        again: Callable[[Failure], bool] = lambda _failure: False,
    ) -> None:
        self.done, self.failures = Done(), dict[Key, Failure]()
        self.tried_again = set[Key]()
        self._again = again
        self.began_anew = False
        self._file: IO[bytes] | None = None
        if path is None:
            return
        try:
            self._file = opened_notes(path)
            _lock(self._file)
            self._continue(path, json.dumps({"index": identity}).encode() + b"\n", start_over)
        except BlockingIOError:
            raise JournalError(f"another command is at {path}") from None
        except OSError as error:
            raise JournalError(f"{path}: {error.strerror or error}; name another --state") from None

    def added(self, key: Key) -> None:
        """Write down that a row's image is in the index."""
        self._write(key, {"done": key})

    def failed(self, key: Key, failure: Failure) -> None:
        """Write down that a row's image cannot be added."""
        self.failures[key] = failure
        self._write(key, {"done": key, "failure": failure})

    @property
    def is_resumable(self) -> bool:
        """Whether a later run can go on here."""
        return self._file is not None

    def close(self) -> None:
        """Close the file, which lets another command use it."""
        if self._file is not None:
            self._file.close()

    def _continue(self, path: Path, head: bytes, start_over: bool) -> None:
        assert self._file is not None  # noqa: S101 - for mypy
        self._file.seek(0)
        first = self._file.readline()
        if first and not first.startswith(b'{"index":'):
            raise JournalError(f"{path} is no state of this command: name another --state")
        if first == head and not start_over:
            self._read()
            return
        self.began_anew = bool(first) and not start_over
        self._file.truncate(0)
        self._file.write(head)
        self._file.flush()

    def _read(self) -> None:
        assert self._file is not None  # noqa: S101 - for mypy
        end = self._file.tell()
        for line in self._file:
            if not line.endswith(b"\n"):
                break  # cut off in the middle
            end += len(line)
            entry = json.loads(line)
            key, failure = entry["done"], entry.get("failure")
            self.failures.pop(key, None)  # of an earlier attempt
            self.tried_again.discard(key)
            if failure is not None:
                if self._again(failure):
                    self.tried_again.add(key)
                    continue
                self.failures[key] = failure
            self.done.add(key)
        self._file.truncate(end)

    def _write(self, key: Key, entry: Any) -> None:
        self.done.add(key)
        if self._file is not None:
            self._file.write(json.dumps(entry).encode() + b"\n")
            self._file.flush()


def _lock(file: IO[bytes]) -> None:
    """Keep others from locking a file, until it is closed.

    Raises:
        BlockingIOError: another process has locked it.
    """
    if sys.platform == "win32":
        file.seek(_FAR)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(error.errno, error.strerror) from error
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
