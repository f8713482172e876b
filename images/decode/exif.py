"""EXIF: when, where and with which camera a picture was taken.

It is read here and not by Pillow, which makes objects of all values of a directory: where these
are the fractions that a TIFF of 40 MB is full of, 800 MB in more than ten seconds. Here the few
tags that count are looked for, in a tenth of a millisecond, and nothing else is touched. A value
that makes no sense is none; the others count all the same.
https://www.cipa.jp/std/documents/download_e.html?CIPA_DC-008-2024-E
"""

import re
import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from typing import Any

from images.decode.directory import MAX_ENTRIES, Directories, Entry
from images.schemas import MAX_CAMERA_CHARS, ExifData

_PREFIX = b"Exif\0\0"
_AS_TEXT = "Raw profile type exif"
_AS_TEXT_HEAD_LINES = 3
_MAX_BLOCK_BYTES = 1 << 20

_TEXTS, _POINTERS, _RATIONALS = (2, 129), (4, 13, 16, 18), {5: "2L", 10: "2l"}
_MAX_TEXT_BYTES = 256

_MAKE, _MODEL, _EXIF, _GPS = 271, 272, 0x8769, 0x8825
_TAKEN, _TAKEN_OFFSET, _TAKEN_FRACTION = 0x9003, 0x9011, 0x9291
_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE = 1, 2, 3, 4

# Some cameras write blanks in place of leading zeros.
_TIME = re.compile(r"(\d{4}):([ \d]\d):([ \d]\d) ([ \d]\d):([ \d]\d):([ \d]\d)", re.ASCII)
_OFFSET = re.compile(r"([+-])(\d\d):([0-5]\d)", re.ASCII)
_DIGITS = re.compile(r"\d{1,100}", re.ASCII)
_NOWHERE = (0.0, 0.0)
"""What devices write that do not know where they are."""


def block_in(info: Mapping[Any, Any]) -> bytes:
    """The EXIF among what Pillow's reader knows of a file beside its pixels; empty for none."""
    block, text = info.get("exif"), info.get(_AS_TEXT)
    if block is None and isinstance(text, str):
        lines = text[: 2 * _MAX_BLOCK_BYTES].split("\n")[_AS_TEXT_HEAD_LINES:]
        try:
            block = bytes.fromhex("".join(lines))
        except ValueError:
            return b""
    return block.removeprefix(_PREFIX) if isinstance(block, bytes) else b""


def exif_of(block: bytes) -> ExifData:
    """What EXIF tells, as far as it makes sense.

    Args:
        block: a file of TIFF, or what other formats have of such a one.
    """
    try:
        directories = Directories.of(block)
    except struct.error:
        return ExifData()
    main = _Tags(block, directories, directories.first)
    shot, gps = (main.below(tag) for tag in (_EXIF, _GPS))
    return ExifData(
        _time(shot.text(_TAKEN), shot.text(_TAKEN_FRACTION), shot.text(_TAKEN_OFFSET)),
        _camera(main.text(_MAKE), main.text(_MODEL)),
        _place(gps),
    )


class _Tags:
    """The entries of one directory, as far as there are any."""

    def __init__(self, data: bytes, directories: Directories, start: int | None) -> None:
        self._data, self._directories = data, directories
        self._entries: dict[int, Entry] = {}
        if start is None:
            return
        try:
            for entry in islice(directories.entries(data, start), MAX_ENTRIES):
                self._entries.setdefault(entry.tag, entry)
        except struct.error:
            return  # it is cut off: what was there counts

    def below(self, tag: int) -> "_Tags":
        """The directory that a tag points to."""
        entry = self._entries.get(tag)
        start = None
        if entry is not None and entry.kind in _POINTERS and entry.length == 1:
            start = self._number(entry)
        return _Tags(self._data, self._directories, start)

    def text(self, tag: int) -> str:
        """A text up to its end, in one line and without what cannot be printed; empty for none."""
        entry = self._entries.get(tag)
        if entry is None or entry.kind not in _TEXTS:
            return ""
        length = min(entry.length, _MAX_TEXT_BYTES)
        raw = self._data[entry.place : entry.place + length].partition(b"\0")[0]
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return ""
        return "".join(letter for letter in text if letter.isprintable()).strip()

    def degrees(self, tag: int) -> float | None:
        """Degrees, minutes and seconds as degrees; None where they are none."""
        entry = self._entries.get(tag)
        if entry is None or entry.kind not in _RATIONALS or not 1 <= entry.length <= 3:
            return None
        form = self._directories.order + _RATIONALS[entry.kind]
        whole = 0.0
        for number in range(entry.length):
            try:
                above, below = struct.unpack_from(form, self._data, entry.place + 8 * number)
            except struct.error:
                return None
            if below == 0 or not 0 <= above / below <= (60 if number else 180):
                return None
            whole += above / below / 60**number
        return whole

    def _number(self, entry: Entry) -> int | None:
        form = self._directories.order + ("Q" if entry.kind in (16, 18) else "L")
        try:
            return int(struct.unpack_from(form, self._data, entry.place)[0])
        except struct.error:
            return None


def _time(text: str, fraction: str, offset: str) -> str | None:
    """A moment in UTC as RFC 3339 has it; what says no offset is read as UTC."""
    parts = _TIME.fullmatch(text)
    if parts is None:
        return None
    try:
        moment = datetime(*map(int, parts.groups()), tzinfo=_zone(offset))  # type: ignore[misc,arg-type]
        if _DIGITS.fullmatch(fraction):
            moment = moment.replace(microsecond=int(f"{fraction:0<6.6}"))
        utc = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return utc.replace(tzinfo=None).isoformat() + "Z"


def _zone(offset: str) -> timezone:
    parts = _OFFSET.fullmatch(offset)
    if parts is None:
        return UTC
    east = timedelta(hours=int(parts[2]), minutes=int(parts[3]))
    return timezone(east if parts[1] == "+" else -east)  # a ValueError from 24 hours on


def _camera(make: str, model: str) -> str | None:
    """Make and model; the model alone where it begins with a word of the make."""
    first = model.split(" ", 1)[0].casefold()
    whole = model if first in make.casefold().split(" ") else f"{make} {model}".strip()
    return whole if 0 < len(whole) <= MAX_CAMERA_CHARS else None


def _place(gps: _Tags) -> tuple[float, float] | None:
    """Latitude and longitude in degrees, north and east of zero."""
    latitude = _signed(gps.degrees(_LATITUDE), gps.text(_LATITUDE_REF), "NS", 90)
    longitude = _signed(gps.degrees(_LONGITUDE), gps.text(_LONGITUDE_REF), "EW", 180)
    if latitude is None or longitude is None or (latitude, longitude) == _NOWHERE:
        return None
    return latitude, longitude


def _signed(degrees: float | None, towards: str, names: str, most: int) -> float | None:
    name = towards[:1].upper()
    if degrees is None or degrees > most or not name or name not in names:
        return None
    return round(degrees if name == names[0] else -degrees, 6) + 0.0  # there is one zero only
