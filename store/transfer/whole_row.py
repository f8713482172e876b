"""Whole row: all that an index has of an image but its own file."""

from dataclasses import dataclass
from datetime import datetime

from store.schemas import FloatVector, Metadata, NewObjects


@dataclass(frozen=True, eq=False)
class WholeRow:
    """An image with all that an index keeps of it, but its original's bytes.

    Attributes:
        created_at: when it was last added, in UTC.
        metadata: as `StoredImage` has it.
        vector: float32 [dim], unit length.
        pixels: digest of its pixels, 64 hexadecimal digits; None where it is not known.
        original: SHA-256 of its own file, where that is stored.
        thumbnail: its JPEG file, where there is one.
        objects: that are in it; None where nobody has looked.
    """

    id: str
    url: str
    created_at: datetime
    metadata: Metadata | None
    vector: FloatVector
    pixels: str | None = None
    original: str | None = None
    thumbnail: bytes | None = None
    objects: NewObjects | None = None
