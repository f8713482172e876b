"""Checks of a whole row that somebody gives, before it is written: nothing of it was made here."""

from datetime import UTC, datetime, timedelta

from store.errors import InvalidRowError
from store.metadata.given import CheckedMetadata
from store.metadata.objects import CLASS_CHARS, PICTURE_SIDE
from store.metadata.rows import check_id, check_objects, check_url, check_vector
from store.metadata.values import is_unicode
from store.pictures.files import KEY
from store.schemas import MOST_OBJECTS, NewImage, NewObjects, ObjectBox
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
        InvalidRowError: the id, url, date, vector, a digest or an object is none.
    """
    check_id(row.id)
    check_url(row.url)
    _check_date(row.created_at)
    _check_digest("pixels", row.pixels)
    _check_digest("original", row.original)
    if row.thumbnail is not None and row.pixels is None:
        raise InvalidRowError("a thumbnail needs pixels, the digest that it is stored by")
    if row.objects is not None:
        _check_objects(row.objects, dim)
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
        objects=row.objects,
    )


def _check_date(moment: datetime) -> None:
    if not _EARLIEST <= moment <= datetime.now(UTC) + _AHEAD:
        raise InvalidRowError("created_at must be a time between 1970 and now")


def _check_digest(name: str, digest: str | None) -> None:
    if digest is not None and not KEY.fullmatch(digest):
        raise InvalidRowError(f"{name} must be 64 hexadecimal digits in lower case")


def _check_objects(objects: NewObjects, dim: int) -> None:
    if not all(1 <= side <= PICTURE_SIDE for side in objects.size):
        raise InvalidRowError("the objects' width and height must be those of a picture")
    if not 0 <= objects.left_out <= PICTURE_SIDE:
        raise InvalidRowError("left_out must be a number of objects")
    if len(objects.boxes) > MOST_OBJECTS:
        raise InvalidRowError(f"an image has at most {MOST_OBJECTS} objects")
    for box in objects.boxes:
        _check_box(box)
    check_objects(objects, dim)


def _check_box(box: ObjectBox) -> None:
    left, top, right, bottom = box.xyxy
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise InvalidRowError("an object's xyxy must be shares of the picture's sides, 0 to 1")
    if not 0 <= box.confidence <= 1:
        raise InvalidRowError("an object's confidence must be 0 to 1")
    if not 1 <= len(box.class_name) <= CLASS_CHARS or not is_unicode(box.class_name):
        raise InvalidRowError(f"an object's class must be a text of 1 to {CLASS_CHARS} characters")
