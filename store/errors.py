"""Errors of the store: a `StoreFault` is not the caller's fault, every other one is."""

from collections.abc import Collection
from difflib import get_close_matches
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

    def __init_subclass__(cls, code: str) -> None:
        cls.code = code

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class InvalidRowError(StoreError, code="invalid_row"):
    """The url or the vector cannot be stored or searched with."""


class MetadataError(StoreError, code="invalid_metadata"):
    """The metadata cannot be stored."""


class MetadataTypeError(MetadataError, code="metadata_type"):
    """No column can hold the value, or the key is no key."""


class MetadataConflictError(MetadataError, code="metadata_conflict"):
    """The value's type is not the type of the key's column."""

    def __init__(self, key: str, column_type: str, value_type: str) -> None:
        super().__init__(f"metadata key {shown(key)} holds {column_type}, not {value_type}")


class MetadataLimitError(MetadataError, code="metadata_limit"):
    """The table cannot take more keys, or the key is too long."""


class QueryError(StoreError, code="invalid_query"):
    """The search contradicts itself or leaves its bounds."""


class VersionError(StoreError, code="unknown_version"):
    """There is no such version of the table, or it is of no use any more."""


class NoChangeLogError(StoreError, code="no_change_log"):
    """The index is on an object store, beside which no log is kept."""

    def __init__(self) -> None:
        super().__init__(
            "this index is on an object store, beside which no log of changes is kept; the"
            " service's own log has a line for each change"
        )


class UndoTooLargeError(StoreError, code="undo_too_large"):
    """Undoing is about more images than it can be made for."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"the key has changed more than {most:,} images in this time: undo shorter times, or"
            " restore a version"
        )


class FilterError(StoreError, code="invalid_filter"):
    """The filter is not in the language, too large, or of the wrong type for its column."""


class UnknownKeyError(FilterError, code="unknown_key"):
    """The filter names a key that no image has had."""

    def __init__(self, key: str, known: Collection[str]) -> None:
        super().__init__(f"unknown metadata key {shown(key)}; {_known_keys(known, key)}")
        self.key = key


def _known_keys(known: Collection[str], meant: str) -> str:
    """The known keys; where not all can be named, those first that may be meant."""
    if not known:
        return "no image has metadata keys yet"
    keys, more = sorted(known), len(known) - MAX_NAMED_KEYS
    if more > 0:
        near = get_close_matches(meant[:MAX_SHOWN_CHARS], keys)
        keys.sort(key=lambda key: not (key in near or key.startswith(f"{meant}.")))
    named = ", ".join(shown(key) for key in islice(keys, MAX_NAMED_KEYS))
    return f"known keys are {named}" + (f" and {more} more" if more > 0 else "")


class ModelMismatchError(StoreError, code="model_mismatch"):
    """The table's vectors come from another model than the one in use."""


class ObjectsMismatchError(StoreError, code="objects_mismatch"):
    """The objects of an index come from another detector, or were cut out in another way."""

    def __init__(self, made: object, own: object) -> None:
        super().__init__(
            f"the objects of this index were found with {made} and cannot be added to with {own}:"
            " use that detector, go over to this one with `image-search redetect --begin`,"
            " set IMAGE_SEARCH_OBJECTS=off, or set IMAGE_SEARCH_STORE_URI to another place"
        )


class StoreFault(StoreError, code="store_fault"):  # noqa: N818 - a branch of the tree, told apart from the client's errors
    """The store failed; the caller did nothing wrong."""


class StoreOpenError(StoreFault, code="store_open"):
    """The table could not be opened or made."""


class StoreReadError(StoreFault, code="store_read"):
    """A read failed."""


class StoreWriteError(StoreFault, code="store_write"):
    """A commit failed: nothing of it was acknowledged."""


class StoreFullError(StoreWriteError, code="disk_full"):
    """The disk has no space, or so little that only deletes are tried."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(
            "the index's disk is full: nothing was written; free space on it, then try again",
            detail,
        )


class StoreReadOnlyError(StoreWriteError, code="disk_read_only"):
    """The disk was mounted read-only, or the rights to write were taken away."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(
            "the index's disk cannot be written to: nothing was changed; it is read-only, or the"
            " service lacks the right",
            detail,
        )


class StoreDamagedError(StoreFault, code="index_damaged"):
    """A file of the table is damaged or missing; `detail` has LanceDB's own words on which."""

    def __init__(
        self, detail: str, message: str = "a file of the index is damaged or missing"
    ) -> None:
        super().__init__(f"{message}; the server's log has the details", detail)


class StoreMovedError(StoreFault, code="store_moved"):
    """The table is one of the past: the index was embedded again with another model."""

    def __init__(self) -> None:
        super().__init__(
            "the index was embedded again with another model and this one takes no more changes:"
            " start the service with the new model"
        )


class StoreClosedError(StoreFault, code="store_closed"):
    """The index was closed before the write reached the table."""
