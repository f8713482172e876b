"""Exported indexes as Parquet files: what `export` writes, and `index` takes back as it was.

Columns for people: `id`, `url`, `created_at`, `text`, one of its type for each metadata key, and
`vector`. Columns for taking it back begin with `$`, as no metadata key does: `$metadata` is the
metadata as the service's JSON has it, whatever columns it was stored in.
"""

import json
import math
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timezone
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from image_search import Detector, Model, WholeImage
from image_search.cli.tables.rows import Metadata, Row, Source, SourceError, Whole
from image_search.cli.tables.whole_objects import read_objects, told_objects
from image_search.moments import moment

_MARK, _COLUMNS = b"image_search:export", b"image_search:columns"
_MODEL, _PRETRAINED, _DIM = b"image_search:model", b"image_search:pretrained", b"image_search:dim"
_DETECTOR, _RECIPE = b"image_search:detector", b"image_search:object_recipe"
_FORMAT = b"1"
_BASE = ("id", "url", "created_at", "text", "vector")
_METADATA = "$metadata"
_WHOLE = {
    _METADATA: pa.string(),
    "$pixels": pa.string(),
    "$original": pa.string(),
    "$thumbnail": pa.binary(),
}
_OBJECTS = {"$objects": pa.string(), "$object_vectors": pa.binary()}
"""Columns of an index that has objects: what and where they are as JSON, and float32 numbers."""

_READ = ["id", "url", "created_at", "vector", *_WHOLE]
_PREFIX = "metadata."
_FREE_TEXT = "$text"
_MOMENT = pa.timestamp("us", "UTC")
_TYPES: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "float": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": _MOMENT,
    "list of strings": pa.list_(pa.string()),
}
_GROUP_ROWS = 16_384
_GROUP_BYTES = 32 << 20
"""Of a group, which is in memory at once, for who reads the file too."""

_BATCH_ROWS = 256


@dataclass(frozen=True)
class Head:
    """What is told of an exported index as a whole.

    Attributes:
        model: that made the vectors.
        dim: their length.
        columns: the metadata keys and their types, by the names of the service.
        detector: that found the objects; None where there are none.
    """

    model: Model
    dim: int
    columns: Mapping[str, str]
    detector: Detector | None = None


class ExportFile:
    """An exported index while it is written; the file is whole once the block has ended.

    Args:
        file: open for writing.
        head: of the index.
    """

    def __init__(self, file: IO[bytes], head: Head) -> None:
        self._head = head
        self._known = {key: _TYPES[name] for key, name in head.columns.items() if name in _TYPES}
        self._schema = _schema(head, self._known)
        self._group: list[WholeImage] = []
        self._bytes = 0
        # Its checksums tell when the file is read that the disk has changed it.
        self._writer = pq.ParquetWriter(
            file, self._schema, write_page_checksum=True, compression="zstd", compression_level=1
        )

    def add(self, image: WholeImage) -> None:
        """Add an image."""
        self._group.append(image)
        self._bytes += len(image.vector) + len(image.thumbnail or b"") + 512
        self._bytes += 0 if image.objects is None else len(image.objects.vectors) + 512
        if len(self._group) >= _GROUP_ROWS or self._bytes >= _GROUP_BYTES:
            self._flush()

    def __enter__(self) -> "ExportFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self._group:
                self._flush()
        finally:
            self._writer.close()

    def _flush(self) -> None:
        group, self._group, self._bytes = self._group, [], 0
        flat = [_flat(image.metadata) for image in group]
        vectors = pa.py_buffer(b"".join(image.vector for image in group))
        numbers = pa.Array.from_buffers(pa.float32(), len(group) * self._head.dim, [None, vectors])
        arrays: list[pa.Array] = [
            pa.array([image.id for image in group], pa.string()),
            pa.array([image.url for image in group], pa.string()),
            pa.array([image.created_at for image in group], _MOMENT),
            pa.array([_text(image.metadata) for image in group], pa.string()),
            *(_column([one.get(key) for one in flat], of) for key, of in self._known.items()),
            pa.FixedSizeListArray.from_arrays(numbers, self._head.dim),
            pa.array([_encoded(image.metadata) for image in group], pa.string()),
            pa.array([image.pixels for image in group], pa.string()),
            pa.array([image.original for image in group], pa.string()),
            pa.array([image.thumbnail for image in group], pa.binary()),
        ]
        if self._head.detector is not None:
            objects = [image.objects for image in group]
            vectors = [None if of is None else of.vectors for of in objects]
            arrays += [
                pa.array([None if of is None else told_objects(of) for of in objects]),
                pa.array(vectors, pa.binary()),
            ]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))


def exported_names(keys: Collection[str]) -> dict[str, str]:
    """What the column of each metadata key is called: as the key.

    A key that is called as a column of every table, such as ``url``, has ``metadata.`` before it.
    """
    return {key: _prefixed(key, keys) if key in _BASE else key for key in keys}


def exported_source(path: Path) -> Source | None:
    """Rows of an exported index, with all that is to be put in; None for any other file.

    Raises:
        SourceError: it is an exported index, but of another format.
        pa.ArrowException: it is no Parquet file.
    """
    # A buffer ahead would keep all that was read of the file.
    file = pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False)
    said = file.schema_arrow.metadata or {}
    if _MARK not in said:
        return None
    if said[_MARK] != _FORMAT or not {_MODEL, _PRETRAINED, _DIM} <= said.keys():
        raise SourceError(f"{path}: exported by a later release, which can take it back")
    if missing := [name for name in _READ if name not in file.schema_arrow.names]:
        raise SourceError(f"{path}: an exported index that lacks the column {missing[0]!r}")
    model = Model(said[_MODEL].decode(), said[_PRETRAINED].decode())
    rows = _rows(file, path, _Origin(model, int(said[_DIM]), _detector(file.schema_arrow)))
    keys = json.loads(said.get(_COLUMNS, b"{}"))
    return Source(rows, file.metadata.num_rows, columns=list(keys), whole=keys)


def _schema(head: Head, known: Mapping[str, pa.DataType]) -> pa.Schema:
    names = exported_names(known.keys())
    fields = [
        pa.field("id", pa.string()),
        pa.field("url", pa.string()),
        pa.field("created_at", _MOMENT),
        pa.field("text", pa.string()),
        *(pa.field(names[key], of) for key, of in known.items()),
        pa.field("vector", pa.list_(pa.float32(), head.dim)),
        *(pa.field(name, of) for name, of in _WHOLE.items()),
        *(pa.field(name, of) for name, of in (_OBJECTS if head.detector else {}).items()),
    ]
    told = {
        _MARK: _FORMAT,
        _MODEL: head.model.name.encode(),
        _PRETRAINED: head.model.pretrained.encode(),
        _DIM: str(head.dim).encode(),
        _COLUMNS: json.dumps(dict(head.columns)).encode(),
    }
    if head.detector is not None:
        told |= {_DETECTOR: head.detector.name.encode(), _RECIPE: head.detector.recipe.encode()}
    return pa.schema(fields, metadata=told)


def _prefixed(key: str, keys: Collection[str]) -> str:
    name = _PREFIX + key
    return _prefixed(name, keys) if name in keys else name


def _encoded(metadata: Metadata) -> str | None:
    return None if metadata is None else json.dumps(metadata, ensure_ascii=False, allow_nan=False)


def _text(metadata: Metadata) -> str | None:
    text = metadata.get(_FREE_TEXT) if isinstance(metadata, dict) else metadata
    return text if isinstance(text, str) else None


def _flat(metadata: Metadata, before: str = "") -> dict[str, Any]:
    """Values by their keys, those of objects by keys with dots."""
    found: dict[str, Any] = {}
    for key, value in (metadata if isinstance(metadata, dict) else {}).items():
        own = {f"{before}{key}": value}
        found |= _flat(value, f"{before}{key}.") if isinstance(value, dict) else own
    return found


def _column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if kind == _MOMENT:
        values = [None if one is None else moment(one) for one in values]
    if kind == pa.float64():  # a column that has widened may have integers that no float is
        values = [None if one is None else float(one) for one in values]
    return pa.array(values, kind)


class _Origin(NamedTuple):
    """What made the vectors of a file, their length, and what found the objects."""

    model: Model
    dim: int
    detector: Detector | None


def _detector(schema: pa.Schema) -> Detector | None:
    """That which a file's objects were found with; None where it has none."""
    said = schema.metadata
    if not {_DETECTOR, _RECIPE} <= said.keys() or not set(_OBJECTS) <= set(schema.names):
        return None
    return Detector(said[_DETECTOR].decode(), said[_RECIPE].decode())


def _rows(file: Any, path: Path, origin: _Origin) -> Iterator[Row]:
    number = 0
    names = [*_READ, *(_OBJECTS if origin.detector else ())]
    try:
        for batch in file.iter_batches(_BATCH_ROWS, columns=names):
            for row in _batch_rows(batch, origin, number):
                number += 1
                yield row
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path}: cannot be read after row {number}") from error


def _batch_rows(batch: pa.RecordBatch, origin: _Origin, before: int) -> Iterator[Row]:
    vectors = _vectors(batch["vector"], origin.dim)
    moments = batch["created_at"].cast(pa.timestamp("us")).to_pylist()
    names = ("id", "url", *_WHOLE, *_OBJECTS)
    none = [None] * len(batch)
    columns: Iterable[Any] = (
        batch[name].to_pylist() if name in batch.schema.names else none for name in names
    )
    for place, (own, url, metadata, pixels, original, small, *found) in enumerate(
        zip(*columns, strict=True)
    ):
        number, vector, at = before + place + 1, vectors[place], moments[place]
        if own is None or url is None or vector is None or at is None:
            yield Row(number, url or "", None, "the row lacks its id, url, date or vector")
            continue
        try:
            given = None if metadata is None else json.loads(metadata)
        except (ValueError, RecursionError):
            yield Row(number, url, None, f"the row's {_METADATA} is not JSON", id=own)
            continue
        try:
            objects = read_objects(*found)
        except ValueError:
            yield Row(number, url, None, "the row's $objects are none", id=own)
            continue
        date = at.replace(tzinfo=timezone.utc)
        image = WholeImage(own, url, given, date, vector, pixels, original, small, objects)
        size = len(metadata or "")
        whole = Whole(image, origin.model, origin.dim, size, origin.detector)
        yield Row(number, url, given, id=own, whole=whole)


def _vectors(column: pa.Array, dim: int) -> list[bytes | None]:
    """Each row's numbers as bytes, whatever type of list a tool has made of the column."""
    flat = column.flatten().cast(pa.float32())
    if column.null_count == flat.null_count == 0 and len(flat) == len(column) * dim:
        size = 4 * dim
        data = memoryview(flat.buffers()[1])[4 * flat.offset :] if len(flat) else b""
        return [bytes(data[at : at + size]) for at in range(0, len(flat) * 4, size)]
    return [None if one is None else _float_bytes(one) for one in column.to_pylist()]


def _float_bytes(numbers: Sequence[float | None]) -> bytes:
    """Without NumPy, which pyarrow does not bring along."""
    return array("f", (math.nan if one is None else one for one in numbers)).tobytes()
