"""The table as a whole: its model, its versions, its state and what observes it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class ModelIdentity:
    """The model that makes a table's vectors of length `dim`.

    Attributes:
        model: open_clip architecture, such as ``ViT-B-32``.
        pretrained: a published tag, or ``sha256:<hex>`` of a checkpoint.
    """

    model: str
    pretrained: str
    dim: int

    def __str__(self) -> str:
        """The model in words, for messages."""
        return f"{self.model} ({self.pretrained}, {self.dim} dimensions)"


@dataclass(frozen=True)
class TableVersion:
    """A version of the table that can be restored; each commit makes one.

    Attributes:
        created_at: when it was committed, in UTC.
        rows: how many images it holds; None where that is not written down.
    """

    version: int
    created_at: datetime
    rows: int | None


@dataclass(frozen=True)
class UpkeepReport:
    """How the last round of upkeep went, whichever process did it.

    Attributes:
        finished_at: in UTC.
        result: ``ok``, or one line about what failed.
        did: what was done, such as ``compacted 31 fragments`` or ``built the vector index``.
        recall: recall@10 of the vector index against exact search on a sample of the rows; 1.0
            while there is no vector index, None where it was not measured yet.
    """

    finished_at: datetime
    seconds: float
    result: str
    did: list[str]
    recall: float | None


@dataclass(frozen=True)
class IndexState:
    """The table as it is now, for people and for monitoring.

    Attributes:
        columns: the metadata keys with their types, ``string``, ``list of strings`` and so on.
        fragments: files of rows; many make searches slow, upkeep joins them.
        vector_index: its kind, such as ``IVF_RQ``; None while searches are exact.
        indexed_rows: rows that the vector index holds.
        unindexed_rows: rows that are searched without it, exactly.
        size_bytes: of the table on disk, old versions and indexes included, pictures not; None on
            an object store.
        upkeep: the last round of upkeep; None before the first.
    """

    rows: int
    model: ModelIdentity
    columns: dict[str, str]
    fragments: int
    vector_index: str | None
    indexed_rows: int
    unindexed_rows: int
    size_bytes: int | None
    version: int
    upkeep: UpkeepReport | None


@dataclass(frozen=True)
class StoreStats:
    """Counters of this process since it opened the index, for metrics.

    Attributes:
        queued: operations that wait for a commit now.
        conflicts: commits that were repeated because another process came first.
        upkeep_runs: rounds of upkeep that went through.
        upkeep_failures: rounds that failed; none of them fails a request.
    """

    commits: int
    queued: int
    conflicts: int
    upkeep_runs: int
    upkeep_failures: int


class Observer:
    """Metrics hooks that do nothing; override to observe. They must not block or raise."""

    def committed(self, operations: int, seconds: float) -> None:
        """A group of operations is on the disk; the time includes waiting for other processes."""

    def upkeep_done(self, seconds: float) -> None:
        """A round of upkeep is over."""
