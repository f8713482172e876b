"""What undoing one key's changes takes: which images go, and which come back from which version.

For each image that the key has changed, its changes by everybody are looked at in their order.
What another key has written anew since stays as it is; so does what another key has patched since,
as the patch cannot be told from what it was put on. The rest goes back to where it was before the
key's first change: to nothing, where that had added it, or to the row of a version in which all
earlier changes are and none of the key's. What a restore took back does not count.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from store.changes.change import LEFT_SHOWN, Change, Left, Undone
from store.changes.story import CHANGES, Between, History, ImageStory, Span, Story
from store.errors import UndoTooLargeError
from store.metadata.values import format_timestamp
from store.schemas import Author

DELETED = "a delete by a filter has come since, which takes it as it was"
NOT_KEPT = "no version is kept any more that has it as it was"
MOST_IDS = 200_000
"""What a plan may be about: it is made in memory, while other writes wait."""


FilterOf = tuple[int, Mapping[str, Any] | None]
"""A version that was deleted from by a filter (the first after it that is kept), and the filter."""


@dataclass(frozen=True)
class Goal:
    """An image that is to be as it was: in versions from one to another, but for the void ones.

    Attributes:
        deletes: by which others have deleted since; what one of them takes stays away.
    """

    id: str
    least: int
    most: int
    void: Sequence[Between]
    deletes: Sequence[FilterOf]

    def is_met_in(self, version: int) -> bool:
        """Whether a version has the image as it is to be."""
        inside = self.least <= version <= self.most
        return inside and not any(after < version < until for after, until in self.void)


@dataclass(frozen=True)
class UndoPlan:
    """What is to be done.

    Attributes:
        remove: ids to delete.
        restore: versions and ids to bring back from them, in the order of the versions.
        deletes: by the ids of those, by which filters others have deleted since, and from where.
        left: what stays as it is.
    """

    remove: list[str] = field(default_factory=list)
    restore: list[tuple[int, str]] = field(default_factory=list)
    deletes: dict[str, Sequence[FilterOf]] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)

    def leave(self, ids: Iterable[str], reason: str = NOT_KEPT) -> None:
        """Tells that these images are not brought back, and why."""
        self.left.extend(Left(one, reason) for one in sorted(ids))

    def done(self, removed: int, restored: int, *, more: bool = False) -> Undone:
        """What became of it."""
        return Undone(removed, restored, self.left[:LEFT_SHOWN], len(self.left), more)


def plan_undo(history: History, table: str, span: Span, versions: Sequence[int]) -> UndoPlan:
    """Finds out what is to be done. Blocks.

    Args:
        history: of all tables.
        table: the one in use.
        span: what to undo.
        versions: of it that are there.

    Raises:
        UndoTooLargeError: it is about too many images.
    """
    plan, story, ids = UndoPlan(), Story(history, table), set[str]()
    for step in story:
        if not span.has(step.change):
            continue
        if step.change.action in CHANGES:
            ids.update(step.change.ids)
            if len(ids) > MOST_IDS:
                raise UndoTooLargeError(MOST_IDS)
        else:
            plan.left.append(Left(None, _way_back(step.change)))
    stories = story.of(ids)
    goals = [
        goal
        for image_id in sorted(stories)
        if (goal := _decided(plan, span, image_id, stories[image_id], story)) is not None
    ]
    _assign(plan, goals, sorted(versions))
    return plan


def _decided(
    plan: UndoPlan, span: Span, image_id: str, of_image: ImageStory, story: Story
) -> Goal | None:
    """Puts an image into the plan; one that is to be brought back is returned instead."""
    steps, first = of_image.steps, of_image.first(span)
    if not any(span.has(step.change) for step in steps):
        return None  # it was undone before
    others = [step for step in steps[first or 0 :] if not span.has(step.change)]
    if others:
        did = "written or deleted" if first is None else "changed"
        reason = f"{_who(others[-1].change.by)} has {did} it since"
        plan.leave([image_id], reason)
    elif first is None or steps[first].change.action == "add":
        plan.remove.append(image_id)
    elif steps[first].epoch:
        plan.leave([image_id])
    else:
        before = steps[first - 1] if first else None
        least = story.start if before is None or before.epoch else before.version
        most = steps[first].change.version_before
        deletes = [
            (step.change.version_before, step.change.more["filter"])
            for step in story.deletes
            if not step.epoch  # else its versions are of before, and count by other numbers
            and step.version > steps[first].version
            and not span.has(step.change)
        ]
        return Goal(image_id, least, most, [*story.void, *of_image.void], deletes)
    return None


def _assign(plan: UndoPlan, goals: Iterable[Goal], versions: Sequence[int]) -> None:
    """Finds a version for each goal, and few for all of them: the last one serves where it can."""
    version: int | None = None
    for goal in sorted(goals, key=lambda goal: goal.most):
        if version is None or not goal.is_met_in(version):
            version = max(filter(goal.is_met_in, versions), default=None)
        if version is None:
            plan.leave([goal.id])
        else:
            plan.restore.append((version, goal.id))
            plan.deletes[goal.id] = [
                (versions[bisect_left(versions, deleted)], filter)
                for deleted, filter in goal.deletes
            ]
    plan.restore.sort()


def _who(author: Author) -> str:
    return "somebody without a key" if author.key is None else f"key {author.key!r}"


def _way_back(change: Change) -> str:
    return (
        f"{change.action} at {format_timestamp(change.at)} is not undone: only a restore of version"
        f" {change.version_before} takes it back, and with it all that came after"
    )
