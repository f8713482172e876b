"""What a picture's EXIF tells as metadata, beside what the caller gives."""

from collections.abc import Mapping
from typing import Any

from images.schemas import ExifData
from store.schemas import TEXT_KEY

TAKEN_AT, CAMERA, LATITUDE, LONGITUDE = "taken_at", "camera", "gps.lat", "gps.lon"
"""The keys of metadata that EXIF brings."""

_GIVEN_BY = {
    TAKEN_AT: (TAKEN_AT,),
    CAMERA: (CAMERA,),
    # Half of a place is none: of two that differ, neither half goes with the other's.
    LATITUDE: ("gps", LATITUDE, LONGITUDE),
    LONGITUDE: ("gps", LATITUDE, LONGITUDE),
}
"""For each of them, the keys of the caller's that stand in its place, null included."""


def from_exif(metadata: Any, exif: ExifData | None) -> dict[str, str | float]:
    """What EXIF adds to an image's metadata: what it tells, and the caller does not.

    Args:
        metadata: the caller's.
        exif: None where it was not read.
    """
    if exif is None:
        return {}
    latitude, longitude = exif.place or (None, None)
    told = {
        TAKEN_AT: exif.taken_at,
        CAMERA: exif.camera,
        LATITUDE: latitude,
        LONGITUDE: longitude,
    }
    given = metadata if isinstance(metadata, Mapping) else {}
    return {
        key: value
        for key, value in told.items()
        if value is not None and not any(own in given for own in _GIVEN_BY[key])
    }


def with_exif(metadata: Any, brought: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of an image together with what its EXIF adds."""
    own = {TEXT_KEY: metadata} if isinstance(metadata, str) else metadata or {}
    return {**own, **brought}
