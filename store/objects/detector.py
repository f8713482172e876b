"""Which detector found the objects of a table, and how they were cut out: its schema says so."""

import pyarrow as pa

from store.schemas import Detector

_DETECTOR, _RECIPE = b"image_search:detector", b"image_search:object_recipe"


def detector_metadata(detector: Detector) -> dict[bytes, bytes]:
    """What the schema of a new table of objects says of its detector."""
    return {_DETECTOR: detector.name.encode(), _RECIPE: detector.recipe.encode()}


def detector_in(schema: pa.Schema) -> Detector:
    """The detector that a table's schema names."""
    said = schema.metadata
    return Detector(said[_DETECTOR].decode(), said[_RECIPE].decode())
