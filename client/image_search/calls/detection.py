"""Detection as calls: the objects in a picture, as data or drawn into it."""

from collections.abc import Sequence
from typing import Any

from image_search.request import Call, of_json, picture, post
from image_search.results.searches import Detections

_PICTURE_BYTES = 256 << 20


def detect(  # noqa: PLR0913 - what the route takes
    url: str | None = None,
    *,
    image: bytes | None = None,
    confidence: float | None = None,
    classes: Sequence[str] | None = None,
    max_detections: int | None = None,
    tiles: int | None = None,
) -> Call[Detections]:
    """Find the objects in the picture at a url, or of a file's bytes, surest first.

    Args:
        url: of the picture.
        image: bytes of its file, in place of a url.
        confidence: leave out what the detector is less sure of.
        classes: only objects of these, as the detector calls them.
        max_detections: the surest ones, at most 300; `Detections.more` tells of others.
        tiles: parts at most, up to 9, in which a large picture is looked at more closely, too.

    Raises:
        RefusedError: the picture cannot be fetched or decoded, or a class is unknown.
    """
    body = _detected(url, confidence, classes, max_detections, tiles) | {"format": "json"}
    return post("/run_object_detection", body, of_json(Detections), image)


def annotate(  # noqa: PLR0913 - likewise
    url: str | None = None,
    *,
    image: bytes | None = None,
    confidence: float | None = None,
    classes: Sequence[str] | None = None,
    max_detections: int | None = None,
    tiles: int | None = None,
) -> Call[bytes]:
    """Have the objects that `detect` finds drawn into the picture: a JPEG's bytes.

    Raises:
        RefusedError: the picture cannot be fetched or decoded, or a class is unknown.
    """
    body = _detected(url, confidence, classes, max_detections, tiles)
    return post("/run_object_detection", body, picture, image, _PICTURE_BYTES)


def _detected(
    url: str | None,
    confidence: float | None,
    classes: Sequence[str] | None,
    max_detections: int | None,
    tiles: int | None,
) -> dict[str, Any]:
    """The fields that say which objects to find."""
    named = list(classes) if classes else None
    most = {"max_detections": max_detections, "tiles": tiles}
    return {"url": url, "confidence": confidence, "classes": named} | most
