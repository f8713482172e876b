"""Checks of a whole row that somebody gives, before it is written: nothing of it was made here."""

from datetime import UTC, datetime, timedelta

from store.errors import InvalidRowError
from store.metadata.given import CheckedMetadata
from store.metadata.rows import check_id, check_url, check_vector
from store.pictures.files import KEY
from store.schemas import NewImage
from store.transfer.whole_row import WholeRow

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=1)
"""Of this machine's clock: more is no difference between two clocks."""


def checked(row: WholeRow, metadata: CheckedMetadata, dim: int, *, skip: bool) -> NewImage:
    """The image that a row is to be.

    Args:
        row: as it was given.
        metadata: its own, checked.
        dim: length of the table's vectors.
        skip: leave the row out if it is new and another image has its pixels.

    Raises:
        InvalidRowError: the id, url, date, vector or a digest is none.
    """
    check_id(row.id)
    check_url(row.url)
    _check_date(row.created_at)
    _check_digest("pixels", row.pixels)
    _check_digest("original", row.original)
    if row.thumbnail is not None and row.pixels is None:
        raise InvalidRowError("a thumbnail needs pixels, the digest that it is stored by")
    return NewImage(
        row.url,
        check_vector(row.vector, dim),
        metadata,
        pixels=row.pixels,
        skip_duplicate=skip,
        thumbnail=row.thumbnail,
        file=row.original,
        own_id=row.id,
        created_at=row.created_at,
    )


def _check_date(moment: datetime) -> None:
    if not _EARLIEST <= moment <= datetime.now(UTC) + _AHEAD:
        raise InvalidRowError("created_at must be a time between 1970 and now")


def _check_digest(name: str, digest: str | None) -> None:
    if digest is not None and not KEY.fullmatch(digest):
        raise InvalidRowError(f"{name} must be 64 hexadecimal digits in lower case")
