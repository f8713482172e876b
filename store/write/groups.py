"""Groups: which of the operations that wait go into one commit."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from store.write.operations import Alone, Delete, Operation, Put, Upsert

Caller = asyncio.Future[Any]
"""Is given the answer to an operation, or its error."""


@dataclass(eq=False)
class Group:
    """Operations of one commit or two: puts, then deletes; each with its caller.

    None of the puts touches a row that is deleted here, so that puts may go before deletes; an
    operation whose rows are not known beforehand is alone in its group. Puts of one row are all of
    one key: there is a version between two keys' changes, which undoing can go back to.
    """

    puts: list[tuple[Put, Caller]] = field(default_factory=list)
    deletes: list[tuple[Delete, Caller]] = field(default_factory=list)
    alone: list[tuple[Alone, Caller]] = field(default_factory=list)
    _put: dict[str, str | None] = field(default_factory=dict)
    _deleted: set[str] = field(default_factory=set)

    def take(self, operation: Operation, caller: Caller) -> bool:
        """Takes the operation in, or says no."""
        if self.alone:
            return False
        if isinstance(operation, Alone):
            if not (self.puts or self.deletes):
                self.alone.append((operation, caller))
            return bool(self.alone)
        if isinstance(operation, Delete):
            if self._put.keys().isdisjoint(operation.ids):
                self.deletes.append((operation, caller))
                self._deleted |= operation.ids
                return True
            return False
        own, key = operation.id, operation.by.key
        comes_after = own in self._deleted or (self.deletes and _looks_around(operation))
        if comes_after or self._put.setdefault(own, key) != key:
            return False
        self.puts.append((operation, caller))
        return True

    @property
    def callers(self) -> list[Caller]:
        """Everybody who waits for this group."""
        return [caller for _, caller in (*self.puts, *self.deletes, *self.alone)]


def _looks_around(put: Put) -> bool:
    """Whether the answer depends on other rows, which a delete before it may take away."""
    return isinstance(put, Upsert) and put.image.pixels is not None


def grouped(batch: Iterable[tuple[Operation, Caller]]) -> list[Group]:
    """Splits operations into as few groups as their order allows."""
    groups: list[Group] = []
    for operation, caller in batch:
        if not groups or not groups[-1].take(operation, caller):
            groups.append(Group())
            groups[-1].take(operation, caller)
    return groups
