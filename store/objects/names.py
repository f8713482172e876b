"""What a table of objects is called, and its columns."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from store.metadata.objects import KEY, NUMBERS, numbers_of
from store.schemas import FloatVector, ObjectSet
from store.table.names import FIRST_TABLE

_FIRST = "objects"


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
            *(pa.field(each, pa.float64(), nullable=False) for each in NUMBERS),
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
    numbers = [numbers_of(box) for _, _, box in own]
    flat = np.concatenate([vectors.reshape(-1) for _, vectors in sets])
    columns = {
        "id": [object_id(of.key, n) for of, n, _ in own],
        KEY: [of.key for of, _, _ in own],
        "n": [n for _, n, _ in own],
        "class_name": [box.class_name for _, _, box in own],
        **{name: [each[name] for each in numbers] for name in NUMBERS},
    }
    arrays = [pa.array(columns[field.name], field.type) for field in list(schema)[:-1]]
    dim = schema.field("vector").type.list_size
    arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(flat, pa.float32()), dim))
    return pa.Table.from_arrays(arrays, schema=schema)
