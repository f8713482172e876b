"""The file of what failed: JSON lines, of which each is there as soon as it is known."""

import json
from pathlib import Path
from typing import IO, Any, Self


class FailureFile:
    """Takes a document for each image that failed.

    Args:
        path: of the file, which is made anew; None keeps nothing.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: IO[str] | None = None if path is None else path.open("w", encoding="ascii")

    def add(self, failure: dict[str, Any]) -> None:
        """One more."""
        if self._file is not None:
            self._file.write(json.dumps(failure) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
