"""Plans: what the puts of one commit become, of the rows that are there: rows and answers."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from store.errors import InvalidRowError, MetadataError
from store.metadata.columns import Registry
from store.metadata.given import CheckedMetadata, merged
from store.metadata.objects import key_by
from store.metadata.rows import Row, image_of
from store.schemas import (
    FloatVector,
    NewImage,
    NewObjects,
    ObjectSet,
    StoredImage,
    Upserted,
)
from store.write.operations import Patch, Put, PutObjects, Upsert

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Twin:
    """A stored row that has certain pixels."""

    id: str
    created_at: datetime
    pixels: str


class Clock:
    """Moments that never come twice and never go back, to order rows by when they were added."""

    def __init__(self) -> None:
        self._last = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        """The moment in UTC, later than every one before."""
        self._last = max(datetime.now(UTC), self._last + _TICK)
        return self._last


PutAnswer = Upserted | StoredImage | MetadataError | InvalidRowError | None


class Plan:
    """The rows that one commit writes: its puts, applied in order.

    Args:
        registry: the metadata columns before it.
        existing: which of the upserts' ids there are.
        patched: the whole rows of the patches' ids.
        twins: the rows with one of the upserts' pixels.
        clock: dates the rows.

    Attributes:
        registry: the metadata columns that the rows need.
        rows: by id.
        vectors: of the objects that are new, float32 [objects, dim], by their key.
        detector: number of the one that has found these.
        later: ids of rows that others have changed since the dates of their upserts.
    """

    detector = 1
    later: Collection[str] = ()

    def __init__(
        self,
        registry: Registry,
        existing: set[str],
        patched: Iterable[Row],
        twins: Iterable[Twin],
        clock: Clock,
    ) -> None:
        self.registry = registry
        self.rows: dict[str, Row] = {}
        self.vectors: dict[str, FloatVector] = {}
        self._existing = existing
        self._patched = {row.id: row for row in patched}
        self._clock = clock
        self._twins: defaultdict[str, list[Twin]] = defaultdict(list)
        for twin in twins:
            self._twins[twin.pixels].append(twin)

    def apply(self, puts: Sequence[Put]) -> list[PutAnswer]:
        """Applies puts; one that cannot be stored changes nothing, its error is its answer."""
        answers: list[PutAnswer] = []
        for put in puts:
            try:
                answers.append(self._applied(put))
            except (MetadataError, InvalidRowError) as error:
                answers.append(error)
        return answers

    def _applied(self, put: Put) -> Upserted | StoredImage | None:
        match put:
            case Upsert():
                return self._upsert(put)
            case Patch():
                return self._patch(put)
            case PutObjects():
                return self._put_objects(put)

    def leave_unchanged(self) -> None:
        """Leaves out rows that are as they were: after patches alone."""
        before = self._patched
        self.rows = {
            own: row
            for own, row in self.rows.items()
            if (row.text, row.values) != (before[own].text, before[own].values)
        }

    def _upsert(self, put: Upsert) -> Upserted:
        image, own = put.image, put.image.id
        if not put.over_later and self._is_late(image):
            return Upserted(own, created=False, skipped=True)
        created = own not in self._existing and own not in self.rows
        duplicate_of = None if image.pixels is None else self._oldest_twin(own, image.pixels)
        metadata = CheckedMetadata.of(image.metadata)
        if image.skip_duplicate and created and duplicate_of is not None:
            return Upserted(duplicate_of, created=False, duplicate_of=duplicate_of, skipped=True)
        values, self.registry = metadata.place(self.registry)
        moment, text = image.created_at or self._clock.now(), metadata.text
        pixels, file = image.pixels, image.file
        objects = None if image.objects is None else self._new_set(put.key, image.objects)
        self.rows[own] = Row(
            own, image.url, put.vector, moment, text, pixels, file, values, objects
        )
        if image.pixels is not None:
            self._twins[image.pixels].append(Twin(own, moment, image.pixels))
        return Upserted(own, created, duplicate_of)

    def _is_late(self, image: NewImage) -> bool:
        """Whether the row is of a later date, or was changed later, than the image was made."""
        row = self.rows.get(image.id)
        is_older = row and image.created_at and image.created_at < row.created_at
        return image.id in self.later or bool(is_older)

    def _put_objects(self, put: PutObjects) -> StoredImage | None:
        row = self.rows.get(put.id) or self._patched.get(put.id)
        if row is None:
            return None
        if None not in (row.pixels, put.pixels) and row.pixels != put.pixels:
            raise InvalidRowError(
                "the picture at this image's url is another one by now: add it again"
            )
        row = self.rows[put.id] = replace(row, objects=self._new_set(put.key, put.objects))
        return image_of(row, self.registry)

    def _new_set(self, key: str, new: NewObjects) -> ObjectSet:
        key = key_by(self.detector, key)
        self.vectors[key] = new.vectors
        return ObjectSet(new.size, new.boxes, new.left_out, key)

    @property
    def replaced(self) -> set[str]:
        """The ids of the rows that are there already."""
        return self.rows.keys() & (self._existing | self._patched.keys())

    @property
    def new_objects(self) -> list[tuple[ObjectSet, FloatVector]]:
        """The objects of the rows that have not been written before, with their vectors."""
        sets = [row.objects for row in self.rows.values() if row.objects is not None]
        return [(each, self.vectors[each.key]) for each in sets if each.key in self.vectors]

    def _patch(self, put: Patch) -> StoredImage | None:
        row = self.rows.get(put.id) or self._patched.get(put.id)
        if row is None:
            return None
        patched = merged(image_of(row, self.registry).metadata, put.metadata)
        metadata = CheckedMetadata.of(patched)
        values, self.registry = metadata.place_over(self.registry, row.values, put.metadata)
        row = self.rows[put.id] = replace(row, text=metadata.text, values=values)
        return image_of(row, self.registry)

    def _oldest_twin(self, own: str, pixels: str) -> str | None:
        twins = [twin for twin in self._twins[pixels] if twin.id != own and self._is_as(twin)]
        return min(twins, key=lambda twin: (twin.created_at, twin.id)).id if twins else None

    def _is_as(self, twin: Twin) -> bool:
        """Whether no later put has replaced the row."""
        row = self.rows.get(twin.id)
        return row is None or (row.pixels, row.created_at) == (twin.pixels, twin.created_at)
