"""What has come to stay of the change log: without what a restore or an undoing took back."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from store.changes.change import Change
from store.metadata.values import format_timestamp

WRITES = frozenset({"add", "replace", "delete", "delete_matching"})
"""They leave nothing of what the image was before."""
CHANGES = WRITES | {"patch"}
_BEGINNINGS = frozenset({"create", "reembed", "repair"})

History = Callable[[], Iterator[Change]]
"""The log, newest first, as often as it is asked for."""
Between = tuple[int, int]
"""Versions after the first and before the second of two."""


@dataclass(frozen=True)
class Span:
    """Which changes to undo: those of a key from a moment on and before another."""

    key: str
    since: datetime
    before: datetime

    def has(self, change: Change) -> bool:
        """Whether it is one of these; an undoing never is."""
        mine = change.by.key == self.key and change.action != "undo"
        return mine and self.since <= change.at < self.before

    def told(self) -> dict[str, str]:
        """The span as the change log has it."""
        since, before = format_timestamp(self.since), format_timestamp(self.before)
        return {"undone": self.key, "since": since, "before": before}

    @classmethod
    def of(cls, told: Mapping[str, str]) -> Self:
        """The span that the change log tells of."""
        since, before = (datetime.fromisoformat(told[name]) for name in ("since", "before"))
        return cls(told["undone"], since, before)


@dataclass(frozen=True, eq=False)
class Step:
    """A change that may be one of several images.

    Attributes:
        version: that it made, or a later one from which on nobody else has changed anything.
        epoch: how many times the table has begun anew since; its versions are gone then.
    """

    change: Change
    version: int
    epoch: int


@dataclass(eq=False)
class ImageStory:
    """The changes of one image, oldest first; what was undone is not among them.

    Attributes:
        void: versions in which the image is as it was before something was undone.
    """

    steps: list[Step] = field(default_factory=list)
    void: list[Between] = field(default_factory=list)

    def take(self, step: Step) -> None:
        """Adds the next change."""
        if step.change.action != "undo":
            self.steps.append(step)
            return
        first = self.first(Span.of(step.change.more))
        if first is not None:
            self.void.append((self.steps[first].change.version_before, step.version))
            del self.steps[first:]

    def first(self, span: Span) -> int | None:
        """The place of the first change of a span that nobody else has written over since."""
        begin = 1 + max(
            (
                place
                for place, step in enumerate(self.steps)
                if step.change.action in WRITES and not span.has(step.change)
            ),
            default=-1,
        )
        places = range(begin, len(self.steps))
        return next((place for place in places if span.has(self.steps[place].change)), None)


class Story:
    """The log of a table without what was restored away, newest first.

    Args:
        history: of all tables.
        table: the one in use.

    Attributes:
        void: versions that a restore took back.
        start: version from which on all changes of the table as it is are known.
        deletes: those by a filter, newest first, once the log was gone through.
    """

    def __init__(self, history: History, table: str) -> None:
        self._history, self._table = history, table
        self.void: list[Between] = []
        self.start = 0
        self.deletes: list[Step] = []

    def of(self, ids: Collection[str]) -> dict[str, ImageStory]:
        """What has become of each of these images."""
        stories, wanted = defaultdict[str, ImageStory](ImageStory), set(ids)
        touching = [
            (replace(step, change=replace(step.change, ids=())), found)
            for step in self
            if step.change.action in CHANGES
            # One that was cut off may not have been made: it is made again.
            or (step.change.action == "undo" and step.change.version is not None)
            if (found := wanted.intersection(step.change.ids))
        ]
        for step, found in reversed(touching):
            for one in found:
                stories[one].take(step)
        return stories

    def __iter__(self) -> Iterator[Step]:
        self.void, self.start, self.deletes = [], 0, []
        table, epoch, limit = self._table, 0, float("inf")
        commit, before, later = "", None, None
        for change in self._history():
            if change.commit != commit:
                commit, later = change.commit, before
            before, made = change.version_before, change.version
            if change.table != table or (made is not None and later is not None and made > later):
                table, epoch, limit, later = change.table, epoch + 1, float("inf"), None
            if made is None and later == before:
                continue  # it was not made, as the next one found
            least = before + 1 if made is None else made
            most = later if made is None and later is not None else least
            if not epoch:
                self.start = before
            if change.action == "create" and change.table == self._table:
                return
            if change.action in _BEGINNINGS:
                epoch, limit = epoch + 1, float("inf")
            if least > limit:
                continue
            if change.action == "restore":
                limit = change.more["restored"]
                if not epoch:
                    self.void.append((change.more["restored"], most))
                epoch += made is None  # or it did not go back: nothing of before is certain
            step = Step(change, most, epoch)
            if change.action == "delete_matching":
                self.deletes.append(step)
            yield step
