"""What a table of objects is called, and its columns."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from store.metadata.objects import KEY
from store.schemas import FloatVector, ObjectSet
from store.table.names import FIRST_TABLE

_FIRST = "objects"
_NUMBERS = ("confidence", "area", "x", "y")


def objects_name(images: str) -> str:
    """The name of the table with the objects of a table of images: `objects_2` of `images_2`."""
    return _FIRST + images.removeprefix(FIRST_TABLE)


def object_id(key: str, n: int) -> str:
    """What the row of the nth object of a set is called."""
    return f"{key}-{n}"


def objects_schema(dim: int, metadata: dict[bytes, bytes]) -> pa.Schema:
    """The columns: of an object its set, its number there, what it is and where, and its vector.

    Its place is that of its middle. That, and its area, are shares of the picture's.
    """
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field(KEY, pa.string(), nullable=False),
            pa.field("n", pa.int32(), nullable=False),
            pa.field("class_name", pa.string(), nullable=False),
            *(pa.field(each, pa.float64(), nullable=False) for each in _NUMBERS),
            pa.field("vector", pa.list_(pa.float32(), dim), nullable=False),
        ],
        metadata=metadata,
    )


def object_rows(sets: Sequence[tuple[ObjectSet, FloatVector]], schema: pa.Schema) -> pa.Table:
    """The rows of the objects of some images.

    Args:
        sets: the objects of each, and their vectors, float32 [objects, dim].
        schema: of the table.
    """
    own = [(of, n, box) for of, _ in sets for n, box in enumerate(of.boxes)]
    boxes = [box for _, _, box in own]
    flat = np.concatenate([vectors.reshape(-1) for _, vectors in sets])
    places = np.array([box.xyxy for box in boxes], np.float64).reshape(-1, 4)
    columns = {
        "id": [object_id(of.key, n) for of, n, _ in own],
        KEY: [of.key for of, _, _ in own],
        "n": [n for _, n, _ in own],
        "class_name": [box.class_name for box in boxes],
        "confidence": [box.confidence for box in boxes],
        "area": (places[:, 2] - places[:, 0]) * (places[:, 3] - places[:, 1]),
        "x": (places[:, 0] + places[:, 2]) / 2,
        "y": (places[:, 1] + places[:, 3]) / 2,
    }
    arrays = [pa.array(columns[field.name], field.type) for field in list(schema)[:-1]]
    dim = schema.field("vector").type.list_size
    arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(flat, pa.float32()), dim))
    return pa.Table.from_arrays(arrays, schema=schema)
