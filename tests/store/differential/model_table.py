"""A table of images said a second time, in a dictionary: what the store must agree with."""

import math
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from store.errors import FilterError, MetadataLimitError, UnknownKeyError
from store.schemas import FloatVector, NewImage, Upserted
from tests.store.differential.model import matches
from tests.store.differential.model_values import (
    Refused,
    as_json,
    as_object,
    as_stored,
    check_keys,
    widened,
)

MAX_KEYS = 100


@dataclass(frozen=True, eq=False)
class ModelRow:
    """A row; `order` counts adds."""

    url: str
    vector: FloatVector
    order: int
    metadata: Mapping[str, Any] | str | None
    pixels: str | None

    @property
    def values(self) -> Mapping[str, Any]:
        return self.metadata if isinstance(self.metadata, Mapping) else {}


class ModelTable:
    """The rows by their ids, and the types of the keys. Each operation is one moment."""

    def __init__(self) -> None:
        self.rows: dict[str, ModelRow] = {}
        self.columns: dict[str, str] = {}
        self._adds = 0

    def copy(self) -> Self:
        made = type(self)()
        made.become(self)
        return made

    def become(self, other: Self) -> None:
        """Holds what the other does; what is added later is still newer than everything."""
        self.rows, self.columns = dict(other.rows), dict(other.columns)

    def upsert(self, image: NewImage) -> Upserted:
        check_keys(image.metadata)
        own = image.id
        created = own not in self.rows
        twin = self._twin(own, image.pixels)
        if twin is not None and image.skip_duplicate and created:
            return Upserted(twin, created=False, duplicate_of=twin, skipped=True)
        metadata = self._held(image.metadata)
        self._adds += 1
        self.rows[own] = ModelRow(image.url, image.vector, self._adds, metadata, image.pixels)
        return Upserted(own, created, twin)

    def _twin(self, own: str, pixels: str | None) -> str | None:
        """The oldest image with another id that has the same pixels."""
        same = [each for each, row in self.rows.items() if row.pixels == pixels and each != own]
        return min(same, key=lambda each: self.rows[each].order) if same and pixels else None

    def patch(self, own: str, metadata: Any) -> bool:
        """RFC 7396; tells whether there was such a row."""
        if own not in self.rows:
            return False
        check_keys(metadata)
        row = self.rows[own]
        if isinstance(metadata, dict):
            kept = {key: value for key, value in row.values.items() if key not in metadata}
            check_keys({**as_object(kept), **_given(metadata)})
            metadata = {**kept, **self._held(metadata)}
        self.rows[own] = replace(row, metadata=metadata)
        return True

    def _held(self, metadata: Any) -> Any:
        """What a row holds of the metadata; makes the columns for it."""
        if not isinstance(metadata, dict):
            return metadata
        columns, held = dict(self.columns), {}
        for key, value in _given(metadata).items():
            columns[key], held[key] = as_stored(value, self.columns.get(key))
        if len(columns) > max(MAX_KEYS, len(self.columns)):
            raise Refused(MetadataLimitError)
        before, self.columns = self.columns, columns
        if any(columns[key] != kind for key, kind in before.items()):
            self._widen()
        return held

    def _widen(self) -> None:
        for own, row in self.rows.items():
            if isinstance(row.metadata, Mapping):
                as_wide = {key: widened(v, self.columns[key]) for key, v in row.metadata.items()}
                self.rows[own] = replace(row, metadata=as_wide)

    def delete(self, ids: Iterable[str]) -> int:
        gone = set(ids) & set(self.rows)
        for each in gone:
            del self.rows[each]
        return len(gone)

    def delete_matching(self, node: Any) -> int:
        return self.delete(self._refuse_broad(node))

    def delete_urls(self, urls: Iterable[str]) -> int:
        gone = set(urls)
        return self.delete([own for own, row in self.rows.items() if row.url in gone])

    def patch_matching(self, node: Any, metadata: Any) -> int:
        """Patches all rows that match, or none where it fits one of them not."""
        found = self._refuse_broad(node)
        tried = self.copy()
        for own in found:
            tried.patch(own, metadata)
        self.become(tried)
        return len(found)

    def _refuse_broad(self, node: Any) -> list[str]:
        if _has_empty_part(node):
            raise Refused(FilterError)
        found = self.matching(node)
        if found and len(found) == len(self.rows) and matches({}, node, self.columns):
            raise Refused(FilterError)
        return found

    def drop_column(self, key: str) -> int:
        """Takes a key away; tells how many rows had it."""
        if key not in self.columns:
            raise Refused(UnknownKeyError)
        self.columns = {each: kind for each, kind in self.columns.items() if each != key}
        having = [own for own, row in self.rows.items() if key in row.values]
        for own in having:
            row = self.rows[own]
            left = {each: value for each, value in row.values.items() if each != key}
            self.rows[own] = replace(row, metadata=left)
        return len(having)

    def matching(self, node: Any) -> list[str]:
        """The ids that match a filter, newest first."""
        matches({}, node, self.columns)  # an empty table refuses as well
        found = [each for each, row in self.rows.items() if matches(row.values, node, self.columns)]
        return sorted(found, key=lambda each: -self.rows[each].order)

    def metadata(self, own: str) -> Any:
        return as_json(self.rows[own].metadata)

    def nearest(self, vector: FloatVector, among: Iterable[str]) -> list[tuple[str, float]]:
        """Ids with their cosine similarity, best first, equal ones by id."""
        query = vector.astype(np.float64)
        scores = {
            each: round(float(self.rows[each].vector.astype(np.float64) @ query), 6)
            for each in among
        }
        return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))

    def having_words(self, text: str, among: Iterable[str]) -> set[str]:
        """The ids whose text has one of the words."""
        texts = {each: self.rows[each].metadata for each in among}
        return {e for e, own in texts.items() if isinstance(own, str) and words(own) & words(text)}


def _given(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if value is not None}


def words(text: str) -> set[str]:
    """The words of a text, without case and accents."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return set("".join(c if c.isalnum() else " " for c in bare.lower()).split())


def fused_bounds(
    rankings: Iterable[list[str]], with_words: set[str]
) -> dict[str, tuple[float, float]]:
    """Between which totals each id's reciprocal rank fusion lies.

    The ranks among the rows that have the words are BM25's business; that they are the ranks from 1
    to the number of these rows is the model's.
    """
    totals: dict[str, float] = {}
    for ranking in rankings:
        for rank, each in enumerate(ranking, start=1):
            totals[each] = totals.get(each, 0.0) + 1 / (60 + rank)
    last = 1 / (60 + len(with_words))
    return {
        each: (total + last, total + 1 / 61) if each in with_words else (total, total)
        for each, total in totals.items()
    }


def fits(order: list[str], bounds: Mapping[str, tuple[float, float]]) -> bool:
    """Whether the totals can fall in this order."""
    highest_left = -math.inf
    for each in reversed(order):
        low, high = bounds[each]
        if high < highest_left - 1e-12:
            return False
        highest_left = max(highest_left, low)
    return True


def _has_empty_part(node: Any) -> bool:
    if isinstance(node, dict):
        return not node or any(map(_has_empty_part, node.values()))
    return isinstance(node, list) and any(map(_has_empty_part, node))
