"""Batches of whole rows of exported indexes: as many as one request may have."""

from image_search.cli.tables.rows import Row

_MOST_ROWS = 256
_MOST_BYTES = 900_000
"""A service takes 1 MiB of JSON, unless it is set otherwise."""

_ROW_BYTES, _OBJECT_BYTES = 512, 256


class Batch:
    """Rows on their way into one request.

    Attributes:
        rows: so far.
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._bytes = 0

    def take(self, row: Row) -> bool:
        """Takes a row in, or says that it does not fit any more."""
        size = _size(row)
        if self.rows and (len(self.rows) >= _MOST_ROWS or self._bytes + size > _MOST_BYTES):
            return False
        self.rows.append(row)
        self._bytes += size
        return True


def _size(row: Row) -> int:
    """Bytes of a row in a request, if its metadata is mostly ASCII."""
    if row.whole is None:
        return _ROW_BYTES
    image = row.whole.image
    objects = image.objects
    vectors = image.vector if objects is None else image.vector + objects.vectors
    boxes = 0 if objects is None else _OBJECT_BYTES * len(objects.objects)
    coded = (len(vectors) + len(image.thumbnail or b"")) * 4 // 3
    return _ROW_BYTES + boxes + coded + len(row.url) + row.whole.size
