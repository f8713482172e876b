"""How many objects of each class the images have."""

from collections import Counter

import pyarrow.compute as pc

from store.metadata.objects import KEY, TERMS, class_of, has_objects
from store.schemas import ClassCount, Detector, ObjectsState
from store.snapshot.snapshot import Snapshot

_BATCH_ROWS = 8192


def objects_state(snapshot: Snapshot, detector: Detector) -> ObjectsState:
    """Reads the terms of all images once. Blocks."""
    images, earlier, terms = 0, 0, Counter[str]()
    finding = snapshot.registry.objects
    if finding is not None and not finding.alone:
        earlier = int(snapshot.dataset.count_rows(filter=finding.by_others))
    if has_objects(snapshot.dataset.schema):
        scanner = snapshot.dataset.scanner(
            columns=[TERMS], filter=f"{KEY} IS NOT NULL", batch_size=_BATCH_ROWS
        )
        for batch in scanner.to_batches():
            images += batch.num_rows
            for each in pc.value_counts(batch[TERMS].flatten()).to_pylist():
                terms[each["values"]] += each["counts"]
    return ObjectsState(detector, images, _classes(terms), earlier)


def _classes(terms: Counter[str]) -> tuple[ClassCount, ...]:
    having, objects = Counter[str](), Counter[str]()
    for term, count in terms.items():
        name, number = class_of(term)
        objects[name] += count
        if number == 1:
            having[name] = count
    found = [ClassCount(name, having[name], count) for name, count in objects.items()]
    return tuple(sorted(found, key=lambda each: (-each.images, each.class_name)))
