"""Times as text: what newer Pythons read is read by the oldest one, too."""

from datetime import UTC, datetime, timedelta

import pytest

from image_search.moments import moment


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2026-12-01T08:30:00Z", 0),
        ("2026-12-01 08:30:00z", 0),
        ("2026-12-01T08:30:00.5Z", 500_000),
        ("2026-12-01T10:30:00.123456789+02:00", 123_456),
        ("2026-12-01T06:00:00.000001-02:30", 1),
    ],
)
def test_a_time_is_that_moment(text: str, microsecond: int) -> None:
    assert moment(text) == datetime(2026, 12, 1, 8, 30, 0, microsecond, UTC)


def test_a_time_without_a_zone_has_none() -> None:
    assert moment("2026-12-01T08:30:00").tzinfo is None
    assert moment("2026-12-01T08:30:00+01:00").utcoffset() == timedelta(hours=1)


@pytest.mark.parametrize("text", ["", "Z", "2026-13-01T00:00:00Z", "2026-12-01T25:00:00Z", "soon"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^Invalid isoformat|must be in"):
        moment(text)
