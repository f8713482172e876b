"""EXIF: what it tells in every format, and how little a hostile one can do."""

import re
import struct
import time
from datetime import datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from images.decode.decode import decode_pixels, exif_block, open_header
from images.decode.exif import exif_of
from images.schemas import MAX_CAMERA_CHARS, ExifData
from images.workers.replies import _Exif
from tests.images.decode.decoding import LIMITS, decode
from tests.images.exif import (
    FORMATS,
    FRACTION,
    GPS,
    LATITUDE,
    LATITUDE_REF,
    LONG,
    LONGITUDE,
    LONGITUDE_REF,
    MAKE,
    MODEL,
    OFFSET,
    SHORT,
    SHOT,
    TAKEN,
    TOLD,
    Value,
    block,
    camera_exif,
    fractions,
    place_block,
    png_behind_pixels,
    png_with_text,
    text,
    with_exif,
)
from tests.images.samples import encoded, picture

NOTHING = ExifData()


def told(data: bytes) -> ExifData:
    """What a file's EXIF tells; its pixels are the same whether or not that was asked for."""
    header = open_header(data, LIMITS)
    exif = exif_of(exif_block(header, data))
    assert decode_pixels(header).tobytes() == decode(data, LIMITS).tobytes()
    return exif


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_format_that_has_exif(file_format: str) -> None:
    assert told(with_exif(file_format, camera_exif())) == TOLD
    assert told(with_exif(file_format, Image.Exif())) == NOTHING


def test_exif_in_odd_places() -> None:
    whole = camera_exif().tobytes().removeprefix(b"Exif\0\0")
    assert told(png_with_text(whole)) == TOLD
    assert told(png_behind_pixels(whole)) == TOLD
    assert told(with_exif("TIFF", camera_exif(), big_tiff=True)) == TOLD
    assert told(with_exif("JPEG", b"Exif\0\0" + whole)) == TOLD
    assert told(with_exif("WEBP", whole)) == TOLD


@pytest.mark.parametrize("file_format", ["GIF", "BMP", "PNG", "JPEG"])
def test_files_without(file_format: str) -> None:
    assert told(encoded(picture(), file_format)) == NOTHING


def test_a_png_with_a_text_that_is_no_exif() -> None:
    data = png_with_text(b"II*\0").replace(b"457869660000", b"no hexadecim")
    assert told(data) == NOTHING


@pytest.mark.parametrize("order", "<>")
def test_numbers_in_either_order(order: str) -> None:
    latitude = fractions((52, 1), (31, 1), (0, 1), order=order)
    longitude = fractions((13, 1), (24, 1), (0, 1), order=order)
    gps = {1: text("N"), 2: latitude, 3: text("E"), 4: longitude}
    data = block({MAKE: text("A")}, {TAKEN: text("2024:05:01 10:00:00")}, gps, order)
    assert exif_of(data) == ExifData("2024-05-01T10:00:00Z", "A", (52.516667, 13.4))


@pytest.mark.parametrize(
    ("taken", "fraction", "offset", "moment"),
    [
        ("2024:05:01 10:00:00", None, None, "2024-05-01T10:00:00Z"),
        ("2024:05:01 10:00:00", "5", "+02:00", "2024-05-01T08:00:00.500000Z"),
        ("2024:05:01 10:00:00", "123456789", "Z", "2024-05-01T10:00:00.123456Z"),
        ("2024:05:01 10:00:00", "07 ", "-09:30", "2024-05-01T19:30:00.070000Z"),
        ("2024:05:01 10:00:00", "", "   :  ", "2024-05-01T10:00:00Z"),
        ("2024:05:01 10:00:00", "x", "+99:00", None),
        ("2024:05:01 10:00:00", "-1", "+2", "2024-05-01T10:00:00Z"),
        ("2024: 5: 1  9: 0: 3", None, None, "2024-05-01T09:00:03Z"),
        ("2024:02:29 23:59:59", None, None, "2024-02-29T23:59:59Z"),
        ("2023:02:29 23:59:59", None, None, None),
        ("0000:00:00 00:00:00", None, None, None),
        ("    :  :     :  :  ", None, None, None),
        ("                   ", None, None, None),
        ("", None, None, None),
        ("2024:05:01 24:00:00", None, None, None),
        ("2024:05:01 10:00:60", None, None, None),
        ("2024:05:01", None, None, None),
        ("2024-05-01T10:00:00Z", None, None, None),
        ("0001:01:01 00:00:00", None, "+01:00", None),
        ("9999:12:31 23:59:59", None, "-01:00", None),
        ("٢٠٢٤:05:01 10:00:00", None, None, None),
    ],
)
def test_when(taken: str, fraction: str | None, offset: str | None, moment: str | None) -> None:
    given_ = {TAKEN: taken, FRACTION: fraction, OFFSET: offset}
    shot = {tag: text(one) for tag, one in given_.items() if one is not None}
    assert exif_of(block({}, shot)) == ExifData(taken_at=moment)


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS R5", "Canon EOS R5"),
        ("NIKON CORPORATION", "NIKON D850", "NIKON D850"),
        ("EASTMAN KODAK COMPANY", "Kodak DX4530", "Kodak DX4530"),
        ("Apple", "iPhone 12", "Apple iPhone 12"),
        ("HP", "HPhoto", "HP HPhoto"),
        (" SONY   ", " DSC-RX100 ", "SONY DSC-RX100"),
        ("Canon", "", "Canon"),
        ("", "X-T5", "X-T5"),
        ("", "", None),
        ("      ", "\n", None),
        (b"A\0B", b"C\0\xff", "A C"),
        (b"Caf\xe9", "X", "X"),
        ("Caf\u00e9", "X", "Caf\u00e9 X"),
        ("A\u202eB\x1b[31m", "C\r\nD", "AB[31m CD"),
        ("A" * (MAX_CAMERA_CHARS + 1), "", None),
        ("A" * 10_000, "B", None),
    ],
)
def test_which_camera(make: str | bytes, model: str | bytes, camera: str | None) -> None:
    assert exif_of(block({MAKE: text(make), MODEL: text(model)})) == ExifData(camera=camera)


FULL = [(10, 1), (30, 1), (0, 1)]


@pytest.mark.parametrize(
    ("latitude", "longitude", "refs", "place"),
    [
        (FULL, FULL, "NE", (10.5, 10.5)),
        (FULL, FULL, "sw", (-10.5, -10.5)),
        ([(105, 10)], [(1, 3)], "NE", (10.5, 0.333333)),
        ([(10, 1), (60, 1), (60, 1)], FULL, "NE", (11.016667, 10.5)),
        ([(90, 1)], [(180, 1)], "SW", (-90.0, -180.0)),
        ([(90, 1), (0, 1), (1, 100)], FULL, "NE", None),
        ([(91, 1)], FULL, "NE", None),
        (FULL, [(180, 1), (1, 1)], "NE", None),
        (FULL, [(0, 0)], "NE", None),
        ([(10, 1), (30, 1), (1, 0)], FULL, "NE", None),
        ([(10, 1), (61, 1)], FULL, "NE", None),
        ([(2**32 - 1, 1)], FULL, "NE", None),
        ([(1, 2**32 - 1)], FULL, "SE", (0.0, 10.5)),
        ([(0, 1)] * 3, [(0, 1)] * 3, "NE", None),
        ([(0, 1)] * 3, FULL, "NE", (0.0, 10.5)),
        ([*FULL, (1, 1)], FULL, "NE", None),
        ([], FULL, "NE", None),
        (FULL, FULL, "EN", None),
        (FULL, FULL, "\0\0", None),
    ],
)
def test_where(
    latitude: list[tuple[int, int]],
    longitude: list[tuple[int, int]],
    refs: str,
    place: tuple[float, float] | None,
) -> None:
    found = exif_of(place_block(latitude, longitude, refs))
    assert found == ExifData(place=place)
    assert "-0.0" not in str(found)


def test_half_a_place_is_none() -> None:
    gps = {LATITUDE_REF: text("N"), LATITUDE: fractions((10, 1)), LONGITUDE_REF: text("E")}
    assert exif_of(block({}, gps=gps)) == NOTHING
    negative = fractions((-10, 1), signed=True)
    assert exif_of(block({}, gps={**gps, LONGITUDE: negative})) == NOTHING
    signed = fractions((10, 1), signed=True)
    assert exif_of(block({}, gps={**gps, LONGITUDE: signed})).place == (10.0, 10.0)


@pytest.mark.parametrize("kind", [0, 1, SHORT, LONG, 7, 12, 13, 18, 65535])
def test_values_of_wrong_types_are_none(kind: int) -> None:
    main = {tag: (kind, 1, bytes(8)) for tag in (MAKE, MODEL)}
    shot = dict.fromkeys((TAKEN, OFFSET, FRACTION), (kind, 1, b"2024:05:01 10:00:00"))
    numbers = {tag: (kind, 3, bytes(24)) for tag in range(1, 5)}
    assert exif_of(block(main, shot, numbers)) == NOTHING


def test_directories_that_are_in_each_other() -> None:
    def pointing(place: int) -> bytes:
        pointers: dict[int, Value] = {
            tag: (LONG, 1, struct.pack("<L", place)) for tag in (SHOT, GPS)
        }
        return block({MAKE: text("A"), **pointers})

    for place in (0, 4, 8, 9, 10**6, 2**32 - 1):
        assert exif_of(pointing(place)) == ExifData(camera="A")


def test_the_first_of_two_values_counts_and_what_is_cut_off_does_not() -> None:
    data = block({MAKE: text("First"), MODEL: text("One")})
    twice = data.replace(struct.pack("<H", MODEL), struct.pack("<H", MAKE))
    assert exif_of(twice) == ExifData(camera="First")
    assert [exif_of(data[:length]).camera for length in range(20)] == [None] * 20
    for length in range(len(data)):
        exif_of(data[:length])


def test_a_file_full_of_fractions_costs_nothing() -> None:
    """Pillow makes an object of each: it takes some ten seconds, and 800 MB."""
    count = 5_000_000
    entry = struct.pack("<HHHLL", 1, 0x9999, 5, count, 44)
    data = block({SHOT: (LONG, 1, struct.pack("<L", 26))})
    data = data.ljust(26, b"\0")[:26] + entry.ljust(18, b"\0") + b"\1\0\0\0\2\0\0\0" * count
    started = time.process_time()
    assert exif_of(data) == NOTHING
    many = b"II*\0" + struct.pack("<LH", 8, 65535) + b"\1" * 12 * 65535
    assert exif_of(many) == NOTHING
    assert time.process_time() - started < 1


BIG = b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 1) + struct.pack("<HHQQ", SHOT, 16, 1, 2**64 - 1)


@given(st.binary(max_size=400), st.sampled_from([b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"]))
@example(BIG, b"")
@example(struct.pack("<Q", 2**64 - 1), b"II+\0\x08\0\0\0")
@example(struct.pack("<Q", 2**63), b"II+\0\x08\0\0\0")
def test_any_bytes_tell_something_that_can_be_sent_or_nothing(data: bytes, head: bytes) -> None:
    sensible(exif_of(head + data))


_VALUES = st.one_of(
    st.binary(max_size=30).map(text),
    st.text(max_size=30).map(text),
    st.from_regex(r"[0-9]{4}:[0-9]{2}:[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}", fullmatch=True).map(
        text
    ),
    st.from_regex(r"[+-][0-9]{2}:[0-9]{2}", fullmatch=True).map(text),
    st.sampled_from("NSEW").map(text),
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), max_size=4).map(
        lambda pairs: fractions(*pairs)
    ),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 4)), max_size=4).map(
        lambda pairs: fractions(*pairs)
    ),
    st.tuples(st.integers(0, 65535), st.integers(0, 2**32 - 1), st.binary(max_size=30)),
)


@given(
    st.dictionaries(st.sampled_from([MAKE, MODEL, SHOT, GPS]), _VALUES),
    st.dictionaries(st.sampled_from([TAKEN, OFFSET, FRACTION, SHOT]), _VALUES),
    st.dictionaries(st.integers(0, 5), _VALUES),
    st.sampled_from("<>"),
)
def test_any_values_tell_something_that_can_be_sent_or_nothing(
    main: dict[int, Value], shot: dict[int, Value], gps: dict[int, Value], order: str
) -> None:
    sensible(exif_of(block(main, shot, gps, order)))


def sensible(exif: ExifData) -> None:
    """What the service's side takes from a decoder."""
    _Exif.model_validate({"taken_at": exif.taken_at, "camera": exif.camera, "place": exif.place})
    if exif.taken_at is not None:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", exif.taken_at)
        datetime.fromisoformat(exif.taken_at)
    if exif.camera is not None:
        assert exif.camera == exif.camera.strip()
        assert exif.camera.isprintable()
    if exif.place is not None:
        assert exif.place == tuple(round(degrees, 6) for degrees in exif.place)
