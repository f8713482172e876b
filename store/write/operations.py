"""Operations: what is asked of the writer, of one image, of many, or of the table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from store.changes.story import Span
from store.metadata.objects import new_key
from store.metadata.values import ColumnType
from store.schemas import NOBODY, Author, FloatVector, NewImage, NewObjects


@dataclass(frozen=True, eq=False)
class Upsert:
    """Adds an image, or replaces its row. The vector is the image's, checked.

    Attributes:
        over_later: False leaves a row alone that others have changed since the image's own date.
    """

    image: NewImage
    vector: FloatVector
    by: Author = NOBODY
    over_later: bool = True

    @property
    def id(self) -> str:
        """Of the row."""
        return self.image.id

    @cached_property
    def key(self) -> str:
        """Of the set of its objects: the same for each attempt at its commit."""
        return new_key()


@dataclass(frozen=True, eq=False)
class Patch:
    """Changes the metadata of a row by RFC 7396."""

    id: str
    metadata: Any
    by: Author = NOBODY


@dataclass(frozen=True, eq=False)
class PutObjects:
    """Gives a row the objects that were found in its picture; all else of it stays.

    Attributes:
        pixels: digest of the picture that was looked into.
        objects: checked.
    """

    id: str
    pixels: str | None
    objects: NewObjects
    by: Author = NOBODY

    @cached_property
    def key(self) -> str:
        """Of the set; as an upsert's."""
        return new_key()


@dataclass(frozen=True, eq=False)
class Delete:
    """Deletes rows by id."""

    ids: frozenset[str]
    by: Author = NOBODY


@dataclass(frozen=True, eq=False)
class DeleteUrls:
    """Deletes the rows of urls, all of each."""

    urls: frozenset[str]
    by: Author = NOBODY


@dataclass(frozen=True, eq=False)
class PatchMatching:
    """Changes the metadata of those of some rows that match a filter, of all without one."""

    ids: Sequence[str]
    filter: Mapping[str, Any] | None
    metadata: Any
    by: Author = NOBODY


@dataclass(frozen=True, eq=False)
class DeleteMatching:
    """Deletes the rows that match a filter; all of them where there is none."""

    filter: Mapping[str, Any] | None
    by: Author = NOBODY


@dataclass(frozen=True, eq=False)
class Restore:
    """Makes the table as it was at a version."""

    version: int
    by: Author = NOBODY


@dataclass(frozen=True, eq=False)
class Undo:
    """Undoes one key's changes, some thousand at once; `dry_run` only tells what that would do."""

    span: Span
    dry_run: bool
    by: Author = NOBODY


@dataclass(frozen=True, eq=False)
class DropColumn:
    """Takes a metadata key away, with its values, and frees its name."""

    key: str
    by: Author = NOBODY


@dataclass(frozen=True, eq=False)
class DeclareColumn:
    """Gives a metadata key a type before its first value, or a wider one."""

    key: str
    type: ColumnType
    by: Author = NOBODY


Put = Upsert | Patch | PutObjects
Alone = DeleteMatching | DeleteUrls | PatchMatching | Restore | Undo | DropColumn | DeclareColumn
Operation = Put | Delete | Alone
