"""What EXIF tells, beside what the caller gives."""

from typing import Any

import pytest

from api.pipeline.exif import from_exif, with_exif
from images.schemas import ExifData

ALL = ExifData("2024-05-01T08:00:00Z", "NIKON D850", (1.5, -2.5))
KEYS = {
    "taken_at": "2024-05-01T08:00:00Z",
    "camera": "NIKON D850",
    "gps.lat": 1.5,
    "gps.lon": -2.5,
}


def test_what_is_not_told_is_no_key() -> None:
    assert from_exif(None, ALL) == from_exif({"other": 1}, ALL) == KEYS
    assert from_exif({}, ExifData()) == from_exif({}, None) == {}
    assert from_exif(None, ExifData(place=(0.0, 0.5))) == {"gps.lat": 0.0, "gps.lon": 0.5}


@pytest.mark.parametrize(
    ("given", "without"),
    [
        ({"camera": "x"}, {"camera"}),
        ({"taken_at": None}, {"taken_at"}),
        ({"gps.lat": 5}, {"gps.lat", "gps.lon"}),
        ({"gps.lon": None}, {"gps.lat", "gps.lon"}),
        ({"gps": {"lat": 5}}, {"gps.lat", "gps.lon"}),
        ({"gps": "here"}, {"gps.lat", "gps.lon"}),
        ({"Camera": "x", "gps.alt": 5}, set()),
    ],
)
def test_the_callers_keys_win(given: dict[str, Any], without: set[str]) -> None:
    brought = from_exif(given, ALL)
    assert brought == {key: value for key, value in KEYS.items() if key not in without}
    assert with_exif(given, brought) == {**given, **brought}


def test_a_text_is_no_set_of_keys() -> None:
    assert from_exif("a camera, taken_at gps", ALL) == KEYS
    assert with_exif("a text", KEYS) == {"$text": "a text", **KEYS}
