"""The table: its state, its versions, its changes and what undoing them did."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

ColumnType = Literal["string", "integer", "float", "boolean", "timestamp", "list of strings"]
"""Of a metadata key's values."""


@dataclass(frozen=True)
class Model:
    """The model that makes the vectors."""

    name: str
    pretrained: str


@dataclass(frozen=True)
class Detector:
    """What finds the objects, and how they are cut out of their picture."""

    name: str
    recipe: str


@dataclass(frozen=True)
class Upkeep:
    """The last round of upkeep; `result` is `ok`, or one line about what failed."""

    finished_at: datetime
    seconds: float
    result: str
    did: tuple[str, ...]


@dataclass(frozen=True)
class IndexedObjects:
    """The objects of the index: who found them and how, and how many there are in the images.

    Attributes:
        earlier: of the images: looked into with another detector before.
    """

    detector: str
    recipe: str
    images: int
    objects: int
    earlier: int = 0


@dataclass(frozen=True)
class IndexStatus:
    """State of the index; docs/api.md says what the numbers mean. `objects` is None without any."""

    rows: int
    dim: int
    model: Model
    columns: dict[str, str]
    fragments: int
    vector_index: str | None
    indexed_rows: int
    unindexed_rows: int
    size_bytes: int | None
    version: int
    estimated_recall: float | None
    upkeep: Upkeep | None
    objects: IndexedObjects | None = None


@dataclass(frozen=True)
class Version:
    """A version of the index; `rows` is None where it is not recorded."""

    version: int
    created_at: datetime
    rows: int | None


@dataclass(frozen=True)
class Change:
    """A change of the index: what one request did with one commit.

    Attributes:
        key: name of the API key that made it.
        action: `add`, `replace`, `patch`, `delete`, `delete_matching`, `restore`, `undo`, ...
        count: how many images it changed; `ids` has at most a thousand of them.
        version: None while it is made, and where the service's process ended meanwhile.
        filter: of `delete_matching`.
        restored: version that a `restore` went back to.
        undone: key whose changes an `undo` took back.
        column: metadata key of a `drop_column` or a `declare_column`.
        type: that the key was given by a `declare_column`.
        imported: whether whole rows of an export were put in.
    """

    at: datetime
    key: str | None
    address: str | None
    request_id: str | None
    table: str
    action: str
    count: int
    version_before: int
    version: int | None
    ids: tuple[str, ...]
    filter: dict[str, Any] | None = None
    restored: int | None = None
    undone: str | None = None
    column: str | None = None
    type: ColumnType | None = None
    imported: bool = False


@dataclass(frozen=True)
class ChangePage:
    """Some changes, newest first, and whether there are earlier ones."""

    changes: tuple[Change, ...]
    more: bool


@dataclass(frozen=True)
class LeftAsItIs:
    """What was not undone, and why; `id` is None where it is not about one image."""

    id: str | None
    reason: str


@dataclass(frozen=True)
class Undone:
    """What became of undoing a key's changes; `left` has at most a thousand of `left_total`."""

    dry_run: bool
    removed: int
    restored: int
    left: tuple[LeftAsItIs, ...]
    left_total: int
