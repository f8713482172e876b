"""What one commit will write: the rows of its puts, applied in order, and an answer for each."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from store.errors import MetadataError
from store.metadata.columns import Registry, split_metadata
from store.metadata.rows import Row, image_of
from store.schemas import StoredImage, Upserted, image_id
from store.write.operations import Patch, Put, Upsert

_TICK = timedelta(microseconds=1)

PutAnswer = Upserted | StoredImage | MetadataError | None


@dataclass(frozen=True)
class Twin:
    """A stored row that has certain pixels."""

    id: str
    created_at: datetime
    pixels: str


@dataclass(frozen=True)
class Before:
    """What of the table the puts of one commit can see and change.

    Attributes:
        registry: the metadata columns.
        known: which of the upserts' ids there are.
        rows: the whole rows of the patches' ids.
        twins: the rows with one of the upserts' pixels.
    """

    registry: Registry
    known: frozenset[str]
    rows: Mapping[str, Row]
    twins: Iterable[Twin]


class Clock:
    """Moments that never come twice and never go back, to order rows by when they were added."""

    def __init__(self) -> None:
        self._last = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        """The moment in UTC, later than every one before."""
        self._last = max(datetime.now(UTC), self._last + _TICK)
        return self._last


@dataclass
class Plan:
    """The rows to write, by id, after the puts that were applied so far."""

    before: Before
    clock: Clock
    registry: Registry = field(init=False)
    rows: dict[str, Row] = field(default_factory=dict)
    _twins: defaultdict[str, list[Twin]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.registry = self.before.registry
        for twin in self.before.twins:
            self._twins[twin.pixels].append(twin)

    def apply(self, put: Put) -> PutAnswer:
        """Applies one put; one that cannot be stored changes nothing and answers with its error."""
        try:
            return self._upsert(put) if isinstance(put, Upsert) else self._patch(put)
        except MetadataError as error:
            return error

    def _upsert(self, put: Upsert) -> Upserted:
        image = put.image
        own = image_id(image.url)
        created = own not in self.before.known and own not in self.rows
        text, given = split_metadata(image.metadata)
        duplicate_of = self._oldest_twin(own, image.pixels)
        if image.skip_duplicate and created and duplicate_of is not None:
            return Upserted(duplicate_of, created=False, duplicate_of=duplicate_of, skipped=True)
        values, self.registry = self.registry.place(given)
        moment = self.clock.now()
        pixels, file = image.pixels, image.file
        self.rows[own] = Row(own, image.url, image.vector, moment, text, pixels, file, values)
        if image.pixels is not None:
            self._twins[image.pixels].append(Twin(own, moment, image.pixels))
        return Upserted(own, created, duplicate_of)

    def _patch(self, put: Patch) -> StoredImage | None:
        row = self.rows.get(put.id) or self.before.rows.get(put.id)
        if row is None:
            return None
        text, given = split_metadata(_merged(image_of(row, self.registry).metadata, put.metadata))
        values, self.registry = self.registry.place(given)
        self.rows[put.id] = replace(row, text=text, values=values)
        return image_of(self.rows[put.id], self.registry)

    def _oldest_twin(self, own: str, pixels: str | None) -> str | None:
        if pixels is None:
            return None
        twins = [twin for twin in self._twins[pixels] if twin.id != own and self._is_as(twin)]
        return min(twins, key=lambda twin: (twin.created_at, twin.id)).id if twins else None

    def _is_as(self, twin: Twin) -> bool:
        """Whether no later put has replaced the row."""
        row = self.rows.get(twin.id)
        return row is None or (row.pixels, row.created_at) == (twin.pixels, twin.created_at)


def _merged(metadata: Any, patch: Any) -> Any:
    """The metadata after a merge patch (RFC 7396, section 2; nested objects are never stored).

    Raises:
        MetadataError: the patch is neither object, nor text, nor null, or names an unusable key.
    """
    split_metadata(patch)
    if not isinstance(patch, Mapping):
        return patch
    kept = metadata if isinstance(metadata, Mapping) else {}
    # The patch's keys in its own order: of several that do not fit, the first is told.
    merged = {**{key: value for key, value in kept.items() if key not in patch}, **patch}
    return {key: value for key, value in merged.items() if value is not None}
