"""The detectors that have found the objects of an index, and the one that does so now.

A new table's schema names its detector. One that takes its place is written into the metadata of
the `id` column, together with all before it: one small commit, which compaction leaves as it is.
"""

import json
from dataclasses import dataclass, replace

import pyarrow as pa

from store.metadata.objects import Finding, number_of
from store.schemas import Detector

MARK_DETECTORS = b"image_search:detectors"

_DETECTOR, _RECIPE = b"image_search:detector", b"image_search:object_recipe"
_LATER = Detector("a later detector", "in its own way")


@dataclass(frozen=True)
class Detectors:
    """All detectors of a table, in the order in which they came.

    Attributes:
        known: all of them.
        number: of the one that finds objects now, from 1.
    """

    known: tuple[Detector, ...]
    number: int

    @property
    def now(self) -> Detector:
        """The one that finds objects now."""
        return self.known[self.number - 1]

    @property
    def finding(self) -> Finding:
        """Which sets of objects are its own."""
        return Finding(self.number, alone=len(self.known) == 1)

    def earlier(self, key: str) -> Detector | None:
        """The other one that has found a set of objects; None where it is that of now."""
        number = number_of(key)
        if number > len(self.known):  # known since this was read
            return _LATER
        return None if number == self.number else self.known[number - 1]

    def gone_over_to(self, detector: Detector) -> "Detectors":
        """These with another one as that of now; one that was there before has its number again."""
        if detector in self.known:
            return replace(self, number=self.known.index(detector) + 1)
        return Detectors((*self.known, detector), len(self.known) + 1)

    def as_mark(self) -> str:
        """What is written into a table."""
        known = [[each.name, each.recipe] for each in self.known]
        return json.dumps({"number": self.number, "known": known})


def detector_metadata(detector: Detector) -> dict[bytes, bytes]:
    """What the schema of a new table of objects says of its detector."""
    return {_DETECTOR: detector.name.encode(), _RECIPE: detector.recipe.encode()}


def detectors_in(schema: pa.Schema) -> Detectors:
    """The detectors that a table's schema names."""
    if (mark := (schema.field("id").metadata or {}).get(MARK_DETECTORS)) is not None:
        said = json.loads(mark)
        return Detectors(tuple(Detector(*each) for each in said["known"]), said["number"])
    own = schema.metadata
    return Detectors((Detector(own[_DETECTOR].decode(), own[_RECIPE].decode()),), 1)
