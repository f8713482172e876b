"""A table of images said a second time, in a dictionary: what the store must agree with."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from store.errors import (
    FilterError,
    InvalidRowError,
    MetadataConflictError,
    MetadataLimitError,
    UnknownKeyError,
)
from store.schemas import Detector, FloatVector, NewImage, NewObjects, ObjectBox, Upserted
from tests.store.differential.model.filters import is_broad, matches
from tests.store.differential.model.objects import (
    TEXT,
    as_json,
    by_key,
    check,
    check_name,
    mapped,
    patched,
)
from tests.store.differential.model.values import (
    WIDER,
    Refused,
    as_json_value,
    as_stored,
    widened,
)
from tests.store.differential.model.words import have_one

MAX_KEYS = 100


@dataclass(frozen=True, eq=False)
class ModelRow:
    """A row; `order` counts adds, and metadata that is an object holds its values as columns do."""

    url: str
    vector: FloatVector
    order: int
    metadata: Mapping[str, Any] | str | None
    pixels: str | None
    objects: NewObjects | None = None
    found_by: Detector | None = None

    @property
    def values(self) -> Mapping[str, Any]:
        return by_key(self.metadata) if isinstance(self.metadata, Mapping) else {}

    @property
    def text(self) -> str | None:
        return self.metadata.get(TEXT) if isinstance(self.metadata, Mapping) else self.metadata


class ModelTable:
    """The rows by their ids, and the types of the keys. Each operation is one moment.

    Attributes:
        detector: that finds objects now.
    """

    def __init__(self) -> None:
        self.rows: dict[str, ModelRow] = {}
        self.columns: dict[str, str] = {}
        self.detector: Detector | None = None
        self._adds = 0

    def copy(self) -> Self:
        made = type(self)()
        made.detector = self.detector
        made.become(self)
        return made

    def become(self, other: Self) -> None:
        """Holds what the other does; what is added later is still newer than everything."""
        self.rows, self.columns = dict(other.rows), dict(other.columns)

    def upsert(self, image: NewImage) -> Upserted:
        check(image.metadata)
        own = image.id
        created = own not in self.rows
        twin = self._twin(own, image.pixels)
        if twin is not None and image.skip_duplicate and created:
            return Upserted(twin, created=False, duplicate_of=twin, skipped=True)
        metadata = self._held(image.metadata)
        self._adds += 1
        self.rows[own] = ModelRow(image.url, image.vector, self._adds, metadata, image.pixels)
        self._look(own, image.objects)
        return Upserted(own, created, twin)

    def put_objects(self, own: str, pixels: str | None, found: NewObjects) -> str | None:
        """What `redetect` found; the id, where there is such a row."""
        if own not in self.rows:
            return None
        known = self.rows[own].pixels
        if None not in (known, pixels) and known != pixels:
            raise Refused(InvalidRowError)
        self._look(own, found)
        return own

    def _look(self, own: str, found: NewObjects | None) -> None:
        by = None if found is None else self.detector
        self.rows[own] = replace(self.rows[own], objects=found, found_by=by)

    def _twin(self, own: str, pixels: str | None) -> str | None:
        """The oldest image with another id that has the same pixels."""
        same = [each for each, row in self.rows.items() if row.pixels == pixels and each != own]
        return min(same, key=lambda each: self.rows[each].order) if same and pixels else None

    def patch(self, own: str, metadata: Any) -> bool:
        """RFC 7396; tells whether there was such a row."""
        if own not in self.rows:
            return False
        check(metadata)
        if isinstance(metadata, dict):
            named = by_key(metadata)
            metadata = patched(self.rows[own].metadata, metadata)
            check(as_json(metadata) or {})
            metadata = self._held(metadata, named)
        self.rows[own] = replace(self.rows[own], metadata=metadata)
        return True

    def _held(self, metadata: Any, new: Iterable[str] | None = None) -> Any:
        """What a row holds of the metadata; makes the columns for it.

        Args:
            metadata: with values as they were sent.
            new: the keys of which this is so, in their order; others are held before. All of them
                where it is None.
        """
        if not isinstance(metadata, dict):
            return metadata
        columns, given, held = dict(self.columns), by_key(metadata), {}
        for key in given if new is None else new:
            if given.get(key) is not None:
                columns[key], held[key] = as_stored(given[key], self.columns.get(key))
        self._become_wide(columns)
        return mapped(metadata, held.get)

    def _become_wide(self, columns: dict[str, str]) -> None:
        """Has these columns from now on."""
        if len(columns) > max(MAX_KEYS, len(self.columns)):
            raise Refused(MetadataLimitError)
        before, self.columns = self.columns, columns
        if any(columns[key] != kind for key, kind in before.items()):
            self._widen()

    def _widen(self) -> None:
        for own, row in self.rows.items():
            if isinstance(row.metadata, Mapping):
                wide = mapped(row.metadata, lambda key, value: widened(value, self.columns[key]))
                self.rows[own] = replace(row, metadata=wide)

    def declare_column(self, key: str, kind: str) -> bool:
        """Gives a key a type; tells whether it had another one, or none."""
        check_name(key)
        known = self.columns.get(key)
        if known is not None and kind not in (known, WIDER.get(known)):
            raise Refused(MetadataConflictError)
        self._become_wide({**self.columns, key: kind})
        return known != kind

    def take_back(self, changed: Mapping[str, "ModelRow | None"]) -> None:
        """Makes some rows what they were, or with None absent; the columns stay as they are."""
        for own, row in changed.items():
            if row is None:
                self.rows.pop(own, None)
            else:
                self.rows[own] = row
        self._widen()

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
        if found and len(found) == len(self.rows) and is_broad(node, self.columns):
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
            assert isinstance(row.metadata, Mapping)
            left = mapped(row.metadata, lambda each, value: None if each == key else value)
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

    def similarities(self, vector: FloatVector) -> NDArray[np.float64]:
        """Of all rows to a vector."""
        return np.array([score for _, score in self.nearest(vector, self.rows)])

    def showing(self, node: Mapping[str, Any]) -> set[str]:
        """The ids of images for which a filter on objects holds: `strategies.object_filter`."""
        if "$not" in node:
            return self.rows.keys() - self.showing(node["$not"])
        of = node["$objects"]
        (name, wanted), *_ = of.get("$count", {"$gte": 1}).items()
        holds = {"$eq": int.__eq__, "$gte": int.__ge__, "$lt": int.__lt__}[name]
        counts = {own: sum(map(_fits(of), boxes_of(row))) for own, row in self.rows.items()}
        return {own for own, count in counts.items() if holds(count, wanted)}

    def best_objects(self, vector: FloatVector) -> list[tuple[str, float]]:
        """Ids of images with objects, and the score of their best: best first, then by id."""
        query = vector.astype(np.float64)
        scores = {
            own: round(float((row.objects.vectors.astype(np.float64) @ query).max()), 6)
            for own, row in self.rows.items()
            if row.objects is not None and row.objects.boxes
        }
        return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))

    def having_words(self, text: str, among: Iterable[str]) -> set[str]:
        """The ids whose texts have one of the words."""
        return {each for each in among if have_one(self._texts(self.rows[each]), text)}

    def _texts(self, row: ModelRow) -> list[str]:
        """The free text of a row, its strings and what its lists of strings hold."""
        texts = [row.text or ""]
        for key, held in row.values.items():
            if self.columns[key] in ("string", "list"):
                value = as_json_value(held)
                texts += value if isinstance(value, list) else [value]
        return texts


def boxes_of(row: ModelRow) -> tuple[ObjectBox, ...]:
    """The objects in an image, as far as anybody has looked."""
    return () if row.objects is None else row.objects.boxes


def _fits(of: Mapping[str, Any]) -> Callable[[ObjectBox], bool]:
    least = of.get("confidence", {"$gte": 0})["$gte"]
    return lambda box: (
        box.class_name == of.get("class_name", box.class_name) and (box.confidence >= least)
    )


def fused_bounds(
    rankings: Iterable[list[tuple[str, float]]],
    everything: Iterable[NDArray[np.float64]],
    with_words: set[str],
) -> dict[str, tuple[float, float]]:
    """Between which totals each id's fusion lies.

    How well rows with the words match them is BM25's business; that it counts 0 to 0.6 is the
    model's.

    Args:
        rankings: ids with their similarity to each vector.
        everything: the similarities of all rows to each vector.
        with_words: the ids that have one of the words.
    """
    totals: dict[str, float] = {}
    for ranking, all_rows in zip(rankings, everything, strict=True):
        median, low = np.quantile(all_rows, [0.5, 0.16]) if len(all_rows) else (0, 0)
        far = {own: (score - median) / max(median - low, 1e-3) for own, score in ranking}
        most = max([5, *far.values()])
        for own, each in far.items():
            totals[own] = totals.get(own, 0.0) + 0.4 * (each if each > 0 else each / 1000) / most
    return {
        own: (total, total + 0.6) if own in with_words else (total, total)
        for own, total in totals.items()
    }


def fits(order: list[str], bounds: Mapping[str, tuple[float, float]]) -> bool:
    """Whether the totals can fall in this order, but for what rounding makes of equal ones."""
    highest_left = -math.inf
    for each in reversed(order):
        low, high = bounds[each]
        if high < highest_left - 1e-3:
            return False
        highest_left = max(highest_left, low)
    return True


def _has_empty_part(node: Any) -> bool:
    if isinstance(node, dict):
        return not node or any(map(_has_empty_part, node.values()))
    return isinstance(node, list) and any(map(_has_empty_part, node))
