"""Directories of TIFF: the tags of a TIFF file's first page, and those of EXIF in any other file.

Read entry by entry, and never followed: what a hostile one costs is the walk over its entries.
https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

MAX_ENTRIES = 1000
"""More than any encoder writes."""

_VALUE_BYTES = {
    **dict.fromkeys((1, 2, 6, 7, 129), 1),
    **dict.fromkeys((3, 8), 2),
    **dict.fromkeys((4, 9, 11, 13), 4),
    **dict.fromkeys((5, 10, 12, 16, 17, 18), 8),
}
"""How many bytes one value of a type has, by the type."""


class Entry(NamedTuple):
    """A tag and where its values are, as far as they are there at all.

    Attributes:
        tag: what it is.
        kind: the type of its values, by the number that TIFF has for it.
        length: how many values there are.
        place: of the first, in bytes from the start; the file's end where it would be behind that.
    """

    tag: int
    kind: int
    length: int
    place: int


class Directories(NamedTuple):
    """How the directories of a file are read.

    Attributes:
        order: of bytes, as `struct` has it.
        is_big: whether it is a BigTIFF, whose numbers are twice as long.
        first: place of the first directory.
    """

    order: str
    is_big: bool
    first: int

    @classmethod
    def of(cls, data: bytes) -> "Directories":
        """What a file's header says.

        Raises:
            struct.error: the file ends in it.
        """
        order, is_big = "<" if data[:1] == b"I" else ">", data[2:4] in (b"+\0", b"\0+")
        form, place = ("Q", 8) if is_big else ("L", 4)
        return cls(order, is_big, *struct.unpack_from(order + form, data, place))

    def entries(self, data: bytes, start: int) -> Iterator[Entry]:
        """The entries of the directory at a place.

        Raises:
            struct.error: the file ends before the directory does.
        """
        if start > len(data):  # it may be too large a number for what comes
            raise struct.error("the directory is behind the end of the file")
        form, inline = (self.order + "HHQQ", 8) if self.is_big else (self.order + "HHLL", 4)
        (number,) = struct.unpack_from(self.order + ("Q" if self.is_big else "H"), data, start)
        size, place = struct.calcsize(form), start + (8 if self.is_big else 2)
        for own in range(place, place + number * size, size):
            tag, kind, length, at = struct.unpack_from(form, data, own)
            fits = length * _VALUE_BYTES.get(kind, 0) <= inline
            yield Entry(tag, kind, length, own + size - inline if fits else min(at, len(data)))
