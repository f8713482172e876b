"""The columns of the objects in an image: what they are and where, as its own row has them.

A table gets them with the first image that was looked into. Objects' vectors are in a table of
their own (`store.objects`), under the key that the row names.
"""

import secrets
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from store.schemas import ObjectBox, ObjectSet

KEY = "object_set"
"""What the vectors' rows are called by; NULL in an image that nobody has looked into."""
TERMS = "object_terms"
"""`dog:1` where there is a dog, and `dog:2` beside it where there are two: for filters."""

MARKS = "object_marks"
"""The objects as a text, for conditions that one object fulfils (`store.metadata.object_filters`):
`|dog;09853;0123456;0500000;0250000;`, its class and the `NUMBERS`, with so many digits each."""

DIGITS = {"confidence": 4, "area": 6, "x": 6, "y": 6}
"""Behind the point."""

NUMBERS = tuple(DIGITS)
CLASS_CHARS = 256
"""Of the name of a class, at most."""

PICTURE_SIDE = (1 << 31) - 1
"""Pixels of a picture's side, at most."""

_PICTURE, _BOXES = "object_picture", "objects"
_EDGES = ("x1", "y1", "x2", "y2")
# As they are shown, so that what is compared with them is what was seen.
_FLOAT = pa.float64()
_BOX = pa.struct(
    [("class_name", pa.string()), ("confidence", _FLOAT), *((edge, _FLOAT) for edge in _EDGES)]
)
_LOOKED_AT = pa.struct([("width", pa.int32()), ("height", pa.int32()), ("left_out", pa.int32())])
FIELDS = (
    pa.field(KEY, pa.string()),
    pa.field(_PICTURE, _LOOKED_AT),
    pa.field(_BOXES, pa.list_(_BOX)),
    pa.field(TERMS, pa.list_(pa.string())),
    pa.field(MARKS, pa.string()),
)
COLUMNS = tuple(field.name for field in FIELDS)

_MOMENT_DIGITS, _RANDOM_BYTES, _BY = 12, 6, "."


@dataclass(frozen=True)
class Finding:
    """Whose objects are sought: those that one detector finds, of all that an index has had.

    Attributes:
        number: of the detector, from 1.
        alone: whether the index has had no other.
    """

    number: int = 1
    alone: bool = True

    @property
    def by_others(self) -> str:
        """Predicate of the images whose objects another one has found."""
        if self.alone:
            return "false"
        first = self.number == 1
        others = f"{KEY} LIKE '%{_BY}%'" if first else f"{KEY} NOT LIKE '%{_BY}{self.number}'"
        return f"({KEY} IS NOT NULL AND {others})"

    @property
    def not_yet(self) -> str:
        """Predicate of the images that this one has not looked into; never NULL."""
        return f"({KEY} IS NULL)" if self.alone else f"({KEY} IS NULL OR {self.by_others})"


FIRST = Finding()
"""Of an index that has had one detector."""


def new_key() -> str:
    """A key that nobody else has, which tells when it was made: milliseconds, then 48 bits."""
    moment = time.time_ns() // 1_000_000
    return f"{moment:0{_MOMENT_DIGITS}x}{secrets.token_hex(_RANDOM_BYTES)}"


def key_by(number: int, key: str) -> str:
    """A new key that tells as well which detector has found the objects, by its number."""
    return key if number == 1 else f"{key}{_BY}{number}"


def number_of(key: str) -> int:
    """The number of the detector that has found a set of objects."""
    return int(key.partition(_BY)[2] or 1)


def least_key(seconds: float) -> str:
    """What all keys that were made before a moment, seconds of the epoch, are less than."""
    return f"{int(1000 * seconds):0{_MOMENT_DIGITS}x}"


def numbers_of(box: ObjectBox) -> dict[str, float]:
    """What filters compare of an object: how sure it is, its share of the picture, its middle."""
    left, top, right, bottom = box.xyxy
    exact = {
        "confidence": box.confidence,
        "area": (right - left) * (bottom - top),
        "x": (left + right) / 2,
        "y": (top + bottom) / 2,
    }
    return {name: round(exact[name], digits) for name, digits in DIGITS.items()}


def marks_of(boxes: Iterable[ObjectBox]) -> str:
    """The objects of an image as a text."""
    return "".join(f"|{quoted(box.class_name)};{_digits(box)};" for box in boxes)


def _digits(box: ObjectBox) -> str:
    numbers = numbers_of(box)
    whole = {name: round(numbers[name] * 10**digits) for name, digits in DIGITS.items()}
    return ";".join(f"{whole[name]:0{DIGITS[name] + 1}}" for name in NUMBERS)


def quoted(class_name: str) -> str:
    """A class in that text, percent-encoded: letters, digits and ``%_.-~`` alone."""
    return quote(class_name, safe="")


def terms_of(boxes: Iterable[ObjectBox]) -> list[str]:
    """The terms of an image: as many of each class as it has objects."""
    counts = Counter(box.class_name for box in boxes)
    return [f"{name}:{n}" for name, count in counts.items() for n in range(1, count + 1)]


def class_of(term: str) -> tuple[str, int]:
    """A term's class and number."""
    name, _, number = term.rpartition(":")
    return name, int(number)


def has_objects(schema: pa.Schema) -> bool:
    """Whether a version of a table has the columns."""
    return KEY in schema.names


def object_arrays(sets: Sequence[ObjectSet | None]) -> dict[str, pa.Array]:
    """The columns of some rows."""
    rows = [(None,) * len(FIELDS) if each is None else _row(each) for each in sets]
    return {
        field.name: pa.array([row[place] for row in rows], field.type)
        for place, field in enumerate(FIELDS)
    }


def object_sets(rows: pa.Table) -> list[ObjectSet | None]:
    """The objects of some rows, which may be of a version without the columns."""
    if not has_objects(rows.schema):
        return [None] * len(rows)
    columns = [rows[name].to_pylist() for name in (KEY, _PICTURE, _BOXES)]
    return [None if key is None else _set(key, *of) for key, *of in zip(*columns, strict=True)]


def _row(one: ObjectSet) -> tuple[Any, ...]:
    width, height = one.size
    boxes = [
        {
            "class_name": box.class_name,
            "confidence": box.confidence,
            **dict(zip(_EDGES, box.xyxy, strict=True)),
        }
        for box in one.boxes
    ]
    picture = {"width": width, "height": height, "left_out": one.left_out}
    return one.key, picture, boxes, terms_of(one.boxes), marks_of(one.boxes)


def _set(key: str, picture: dict[str, int], boxes: list[dict[str, Any]]) -> ObjectSet:
    size = picture["width"], picture["height"]
    return ObjectSet(size, tuple(map(_box, boxes)), picture["left_out"], key)


def _box(box: dict[str, Any]) -> ObjectBox:
    edges = (box["x1"], box["y1"], box["x2"], box["y2"])
    return ObjectBox(box["class_name"], box["confidence"], edges)
