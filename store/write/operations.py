"""What callers ask to be written, and which of it may go into one commit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from store.schemas import NewImage, image_id


@dataclass(frozen=True, eq=False)
class Upsert:
    """Adds an image, or replaces its row."""

    image: NewImage

    def ids(self) -> frozenset[str]:
        """The rows that it touches."""
        return frozenset({image_id(self.image.url)})


@dataclass(frozen=True, eq=False)
class Patch:
    """Changes the metadata of a row by RFC 7396."""

    id: str
    metadata: Any

    def ids(self) -> frozenset[str]:
        """The rows that it touches."""
        return frozenset({self.id})


@dataclass(frozen=True, eq=False)
class Delete:
    """Deletes rows by id."""

    wanted: frozenset[str]

    def ids(self) -> frozenset[str]:
        """The rows that it touches."""
        return self.wanted


@dataclass(frozen=True, eq=False)
class DeleteMatching:
    """Deletes the rows that match a filter."""

    filter: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Restore:
    """Makes the table as it was at a version."""

    version: int


Put = Upsert | Patch
Alone = DeleteMatching | Restore
Operation = Put | Delete | Alone
T = TypeVar("T")


@dataclass(eq=False)
class Group(Generic[T]):
    """Operations that are written together, each with what belongs to it (its caller's answer).

    None of the puts touches a row that is deleted here, so that puts may go before deletes; an
    operation whose rows are not known beforehand is alone in its group.
    """

    puts: list[tuple[Put, T]] = field(default_factory=list)
    deletes: list[tuple[Delete, T]] = field(default_factory=list)
    alone: tuple[Alone, T] | None = None
    _put: set[str] = field(default_factory=set)
    _deleted: set[str] = field(default_factory=set)

    def take(self, operation: Operation, caller: T) -> bool:
        """Takes the operation in, or says no."""
        if self.alone is not None:
            return False
        if isinstance(operation, DeleteMatching | Restore):
            return self._take_alone(operation, caller)
        ids = operation.ids()
        if isinstance(operation, Delete):
            if self._put.isdisjoint(ids):
                self.deletes.append((operation, caller))
                self._deleted |= ids
                return True
        elif self._deleted.isdisjoint(ids) and not (self.deletes and _looks_around(operation)):
            self.puts.append((operation, caller))
            self._put |= ids
            return True
        return False

    def callers(self) -> list[T]:
        """Everybody who waits for this group."""
        alone = [] if self.alone is None else [self.alone[1]]
        return [*(one for _, one in self.puts), *(one for _, one in self.deletes), *alone]

    def _take_alone(self, operation: Alone, caller: T) -> bool:
        if self.puts or self.deletes:
            return False
        self.alone = (operation, caller)
        return True


def _looks_around(put: Put) -> bool:
    """Whether the answer depends on other rows, which a delete before it may take away."""
    return isinstance(put, Upsert) and put.image.pixels is not None


def grouped(batch: Iterable[tuple[Operation, T]]) -> list[Group[T]]:
    """Splits operations into as few groups as their order allows."""
    groups: list[Group[T]] = []
    for operation, caller in batch:
        if not groups or not groups[-1].take(operation, caller):
            groups.append(Group())
            groups[-1].take(operation, caller)
    return groups
