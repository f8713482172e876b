"""Changes of the table as the change log has them, and what became of undoing some."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from store.schemas import Author

Action = Literal[
    "add",
    "replace",
    "patch",
    "delete",
    "delete_matching",
    "restore",
    "undo",
    "declare_column",
    "drop_column",
    "create",
    "reembed",
    "repair",
]
"""What a change does. The last three are told of a table as a whole: it began, other vectors took
its place, damaged parts were left out."""

LEFT_SHOWN = IDS_SHOWN = 1000


@dataclass(frozen=True, eq=False)
class Draft:
    """A change that is about to be committed.

    Attributes:
        ids: of the images that it changes.
        more: what is told besides: the filter of a delete, the version that is restored.
    """

    by: Author
    action: str
    ids: Sequence[str] = ()
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Change:
    """A change of the table: of what one request did with one commit.

    Attributes:
        at: when it was about to be committed, in UTC.
        commit: what all changes of one commit share.
        table: its name.
        by: who made it.
        action: an `Action`.
        count: how many images it changed.
        ids: theirs, in the order in which they were changed.
        more: what else is told: `filter`, `restored` (a version), `undone` (a key), `column`, its
            `type`, and `imported` (whole rows were put in).
        version_before: of the table.
        version: that it made; None where it is not known whether it was made: it is being
            committed now, or the process ended in the middle of it.
    """

    at: datetime
    commit: str
    table: str
    by: Author
    action: str
    count: int
    ids: Sequence[str]
    more: Mapping[str, Any]
    version_before: int
    version: int | None


@dataclass(frozen=True)
class LogQuery:
    """Which changes to list.

    Attributes:
        limit: how many at most.
        since: none before this moment.
        before: only those before this moment, for paging.
        key: only those of this key.
        action: only these.
        id: only those of this image.
    """

    limit: int = 100
    since: datetime | None = None
    before: datetime | None = None
    key: str | None = None
    action: str | None = None
    id: str | None = None

    def takes(self, change: Change) -> bool:
        """Whether it is one of these."""
        return (
            (self.since is None or change.at >= self.since)
            and (self.before is None or change.at < self.before)
            and (self.key is None or change.by.key == self.key)
            and (self.action is None or change.action == self.action)
            and (self.id is None or self.id in change.ids)
        )


@dataclass(frozen=True)
class Left:
    """What was not undone, and why; the id is None where it is not about one image."""

    id: str | None
    reason: str


@dataclass(frozen=True)
class Undone:
    """What became of undoing a key's changes.

    Attributes:
        removed: images that the key had added, and that are deleted again.
        restored: images that are again as they were before the key changed or deleted them.
        left: what was not undone, 1000 at most.
        left_total: how many that are.
        more: whether there is more to undo: one call does not hold up other writes for long.
    """

    removed: int
    restored: int
    left: Sequence[Left]
    left_total: int
    more: bool = False
