"""Errors of the store.

StoreError
├── InvalidRowError            a url or a vector that cannot be stored or searched with
├── MetadataError
│   ├── MetadataTypeError      a value that no column can hold
│   ├── MetadataConflictError  a value whose type is not its column's
│   └── MetadataLimitError     too many keys, or a key that is too long
├── VersionError               no such version of the table can be restored
├── QueryError                 a search that contradicts itself or leaves its bounds
├── FilterError                a filter that is not in the language, or of the wrong type
│   └── UnknownKeyError        a filter on a key that no image has had
├── ModelMismatchError         the table's vectors come from another model
└── StoreFault                 not the caller's fault
    ├── StoreOpenError
    ├── StoreReadError
    ├── StoreWriteError
    │   ├── StoreFullError     the disk is full
    │   └── StoreReadOnlyError the disk cannot be written to
    ├── StoreDamagedError      files of the table are damaged or missing
    ├── StoreMovedError        the index went on to another model
    └── StoreClosedError
"""

from collections.abc import Collection
from itertools import islice

MAX_NAMED_KEYS = 20
MAX_SHOWN_CHARS = 60


def shown(text: str) -> str:
    """Text of a client, quoted, shortened and on one line, fit for an error message."""
    cut = text if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + "…"
    return repr(cut)


class StoreError(Exception):
    """Anything the store refuses or fails at.

    ``str(error)`` is one line that a client may see; ``detail`` is for the log.
    """

    code = "store_error"

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class InvalidRowError(StoreError):
    """The url or the vector cannot be stored or searched with."""

    code = "invalid_row"


class MetadataError(StoreError):
    """The metadata cannot be stored."""

    code = "invalid_metadata"


class MetadataTypeError(MetadataError):
    """No column can hold the value, or the key is no key."""

    code = "metadata_type"


class MetadataConflictError(MetadataError):
    """The value's type is not the type of the key's column."""

    code = "metadata_conflict"

    def __init__(self, key: str, column_type: str, value_type: str) -> None:
        super().__init__(f"metadata key {shown(key)} holds {column_type}, not {value_type}")


class MetadataLimitError(MetadataError):
    """The table cannot take more keys, or the key is too long."""

    code = "metadata_limit"


class QueryError(StoreError):
    """The search contradicts itself or leaves its bounds."""

    code = "invalid_query"


class VersionError(StoreError):
    """There is no such version of the table, or it is of no use any more."""

    code = "unknown_version"


class FilterError(StoreError):
    """The filter is not in the language, too large, or of the wrong type for its column."""

    code = "invalid_filter"


class UnknownKeyError(FilterError):
    """The filter names a key that no image has had."""

    code = "unknown_key"

    def __init__(self, key: str, known: Collection[str]) -> None:
        super().__init__(f"unknown metadata key {shown(key)}; {_known_keys(known)}")


def _known_keys(known: Collection[str]) -> str:
    if not known:
        return "no image has metadata keys yet"
    named = ", ".join(shown(key) for key in islice(sorted(known), MAX_NAMED_KEYS))
    more = len(known) - MAX_NAMED_KEYS
    return f"known keys are {named}" + (f" and {more} more" if more > 0 else "")


class ModelMismatchError(StoreError):
    """The table's vectors come from another model than the one in use."""

    code = "model_mismatch"


class StoreFault(StoreError):  # noqa: N818 - a branch of the tree, told apart from the client's errors
    """The store failed; the caller did nothing wrong."""

    code = "store_fault"


class StoreOpenError(StoreFault):
    """The table could not be opened or made."""

    code = "store_open"


class StoreReadError(StoreFault):
    """A read failed."""

    code = "store_read"


class StoreWriteError(StoreFault):
    """A commit failed: nothing of it was acknowledged."""

    code = "store_write"


class StoreFullError(StoreWriteError):
    """The disk has no space, or so little that only deletes are tried."""

    code = "disk_full"

    def __init__(self, detail: str = "") -> None:
        super().__init__(
            "the index's disk is full: nothing was written; free space on it, then try again",
            detail,
        )


class StoreReadOnlyError(StoreWriteError):
    """The disk was mounted read-only, or the rights to write were taken away."""

    code = "disk_read_only"

    def __init__(self, detail: str = "") -> None:
        super().__init__(
            "the index's disk cannot be written to: nothing was changed; it is read-only, or the"
            " service lacks the right",
            detail,
        )


class StoreDamagedError(StoreFault):
    """A file of the table is damaged or missing; `detail` has LanceDB's own words on which."""

    code = "index_damaged"

    def __init__(
        self, detail: str, message: str = "a file of the index is damaged or missing"
    ) -> None:
        super().__init__(f"{message}; the server's log has the details", detail)


class StoreMovedError(StoreFault):
    """The table is one of the past: the index was embedded again with another model."""

    code = "store_moved"

    def __init__(self) -> None:
        super().__init__(
            "the index was embedded again with another model and this one takes no more changes:"
            " start the service with the new model"
        )


class StoreClosedError(StoreFault):
    """The index was closed before the write reached the table."""

    code = "store_closed"
