"""Rows: what is checked before one is written, and how they go into Arrow and come back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from store.errors import InvalidRowError
from store.metadata.columns import ARROW_TYPES, Registry
from store.metadata.given import as_sent
from store.metadata.objects import COLUMNS, has_objects, object_arrays, object_sets
from store.metadata.values import ColumnType, ColumnValue, is_unicode
from store.metadata.words import WORDS, words_column
from store.schemas import ID_RULE, FloatVector, Hit, NewObjects, ObjectSet, StoredImage, is_id

# A float32 vector of unit length is off by far less; an unnormalised one by far more.
UNIT_TOLERANCE = 1e-3
_BASE_COLUMNS = ("id", "url", "created_at", "text")


@dataclass(frozen=True, eq=False)
class Row:
    """A row to be written; ``values`` are by column name."""

    id: str
    url: str
    vector: FloatVector
    created_at: datetime
    text: str | None
    pixels: str | None
    file: str | None
    values: Mapping[str, ColumnValue]
    objects: ObjectSet | None = None


def check_url(url: Any) -> str:
    """Checks that a url can be stored.

    Raises:
        InvalidRowError: it is not text, empty, or not valid Unicode.
    """
    if not isinstance(url, str) or not url or not is_unicode(url):
        raise InvalidRowError("the url must be text that is not empty")
    return url


def check_id(own: str) -> None:
    """Checks that a row can be called so: what stands in an address as it is, and is no step there.

    Raises:
        InvalidRowError: it cannot.
    """
    if not is_id(own):
        raise InvalidRowError(f"the id must be {ID_RULE}")


def check_vector(vector: Any, dim: int) -> FloatVector:
    """Checks a vector; LanceDB itself takes zeros, NaN and infinity without a word.

    Returns:
        The vector as float32 [dim], a copy of its own.

    Raises:
        InvalidRowError: its shape is not [dim], or it is not finite or not of unit length.
    """
    checked = np.array(vector, dtype=np.float32)
    if checked.shape != (dim,):
        raise InvalidRowError(f"the vector must have {dim} dimensions")
    length = float(np.linalg.norm(checked.astype(np.float64)))
    # NaN and infinity fail this comparison too.
    if not abs(length - 1) <= UNIT_TOLERANCE:
        raise InvalidRowError("the vector must be finite and of unit length")
    return checked


def check_objects(objects: NewObjects, dim: int) -> None:
    """Checks the vectors of objects as `check_vector` does that of an image.

    Raises:
        InvalidRowError: they are not as many as the objects are, or one of them is none.
    """
    if len(objects.vectors) != len(objects.boxes):
        raise InvalidRowError("each object must have a vector")
    for vector in objects.vectors:
        check_vector(vector, dim)


def selected(registry: Registry) -> list[str]:
    """The columns that make an image: all but the vector."""
    return [*_BASE_COLUMNS, *(column.name for column in registry.columns)]


def stored(registry: Registry, schema: pa.Schema) -> list[str]:
    """All columns of a row, of those that a version of the table has."""
    objects = COLUMNS if has_objects(schema) else ()
    return [*selected(registry), "pixels", "file", *objects, "vector"]


def to_arrow(rows: Sequence[Row], registry: Registry, schema: pa.Schema) -> pa.Table:
    """Lays rows out under the table's schema; a column without a value gets NULL.

    Every column is sent: a merge of fewer would keep the old row's values and takes much longer.
    """
    dim = schema.field("vector").type.list_size
    flat = np.concatenate([row.vector for row in rows])
    arrays: dict[str, pa.Array] = {
        "id": pa.array([row.id for row in rows], pa.string()),
        "url": pa.array([row.url for row in rows], pa.string()),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(flat, pa.float32()), dim),
        "created_at": pa.array([row.created_at for row in rows], pa.timestamp("us", "UTC")),
        "text": pa.array([row.text for row in rows], pa.string()),
        "pixels": pa.array([row.pixels for row in rows], pa.string()),
        "file": pa.array([row.file for row in rows], pa.string()),
    }
    for column in registry.columns:
        values = [row.values.get(column.name) for row in rows]
        arrays[column.name] = pa.array(values, ARROW_TYPES[column.type])
    if has_objects(schema):
        arrays |= object_arrays([row.objects for row in rows])
    arrays[WORDS] = words_column(({**row.values, "text": row.text} for row in rows), registry)
    return pa.Table.from_arrays([arrays[name] for name in schema.names], schema=schema)


def to_dicts(found: pa.Table) -> list[dict[str, Any]]:
    """Reads a result's rows; their moments are in UTC and say so."""
    columns = [_values(column) for column in found.columns]
    return [dict(zip(found.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Reads a column.

    pyarrow looks the name "UTC" up in the system's time zones, which slim containers lack.
    """
    if column.type != ARROW_TYPES[ColumnType.TIMESTAMP]:
        values: list[Any] = column.to_pylist()
        return values
    moments = column.cast(pa.timestamp("us")).to_pylist()
    return [None if moment is None else moment.replace(tzinfo=UTC) for moment in moments]


def to_images(found: pa.Table, registry: Registry) -> list[StoredImage]:
    """Reads rows of the `selected` columns."""
    ids, urls, moments, texts = (_values(found[name]) for name in _BASE_COLUMNS)
    columns = {column.name: _values(found[column.name]) for column in registry.columns}
    objects: list[dict[str, Any]] = [{} for _ in ids]
    for key, of in registry.by_key.items():
        for given, value in zip(objects, of.values_of(columns), strict=True):
            if value is not None:
                given[key] = value
    nesting = columns[registry.nesting.name] if registry.nesting else [None] * len(ids)
    return [
        StoredImage(own, url, moment, as_sent(text, given, nested))
        for own, url, moment, text, given, nested in zip(
            ids, urls, moments, texts, objects, nesting, strict=True
        )
    ]


def to_hits(found: pa.Table, scores: NDArray[np.float64] | None, registry: Registry) -> list[Hit]:
    """Reads search results: the `selected` columns, and the score of each where they have one."""
    images = to_images(found, registry)
    known = [None] * len(images) if scores is None else scores.tolist()
    return [
        Hit(each.id, each.url, score, each.metadata, each.created_at)
        for each, score in zip(images, known, strict=True)
    ]


def to_rows(found: pa.Table, registry: Registry) -> list[Row]:
    """Reads whole rows, to write them again: the `stored` columns."""
    names = [column.name for column in registry.columns]
    vectors, objects = as_matrix(found["vector"]), object_sets(found)
    left_out = [name for name in ("vector", *COLUMNS) if name in found.column_names]
    return [
        Row(
            row["id"],
            row["url"],
            vector,
            row["created_at"],
            row["text"],
            row["pixels"],
            row["file"],
            {name: row[name] for name in names if row[name] is not None},
            own,
        )
        for row, vector, own in zip(
            to_dicts(found.drop_columns(left_out)), vectors, objects, strict=True
        )
    ]


def to_vectors(found: pa.Table) -> dict[str, FloatVector]:
    """Reads the vectors, float32 [dim], of a result with the columns id and vector."""
    return dict(zip(found["id"].to_pylist(), as_matrix(found["vector"]), strict=True))


def as_matrix(column: pa.Array | pa.ChunkedArray) -> FloatVector:
    """The vectors of a column, float32 [rows, dim]."""
    joined = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    flat = np.array(joined.flatten().to_numpy(zero_copy_only=False), np.float32)
    return flat.reshape(len(joined), -1) if len(joined) else flat.reshape(0, 1)


def image_of(row: Row, registry: Registry) -> StoredImage:
    """The image that a row to be written stands for."""
    values = {
        key: value
        for key, of in registry.by_key.items()
        if (value := of.value_of(row.values)) is not None
    }
    nesting = row.values.get(registry.nesting.name) if registry.nesting else None
    nested = nesting if isinstance(nesting, str) else None
    return StoredImage(row.id, row.url, row.created_at, as_sent(row.text, values, nested))


def scores_of(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosine similarities of cosine distances, rounded to what float32 carries; float64 [rows]."""
    return np.asarray(np.clip(1 - distances, -1, 1).round(6))
