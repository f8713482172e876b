"""Ways to damage an image file, each the same for the same `Random`."""

import struct
import zlib
from collections.abc import Callable, Sequence
from random import Random

Mutation = Callable[[bytearray, Random, Sequence[bytes]], None]
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_BYTES = 96
_BOUNDARIES = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
)
_FIELDS = ("<H", ">H", "<I", ">I", "B")


def mutated(seed: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """A copy of a file with one to four damages.

    Args:
        seed: the file.
        random: decides everything.
        others: files to splice in.
    """
    data = bytearray(seed)
    for _ in range(random.choice((1, 1, 1, 2, 3, 4))):
        random.choice(MUTATIONS)(data, random, others)
    if data.startswith(PNG_SIGNATURE) and random.random() < 0.8:
        return with_right_sums(bytes(data))
    return bytes(data)


def _flip_bits(data: bytearray, random: Random, _: Sequence[bytes]) -> None:
    for _flip in range(random.choice((1, 2, 8, 64))):
        if data:
            data[_place(data, random)] ^= 1 << random.randrange(8)


def _set_field(data: bytearray, random: Random, _: Sequence[bytes]) -> None:
    """Lie about a length, a size or a number."""
    form = random.choice(_FIELDS)
    size = struct.calcsize(form)
    if len(data) > size:
        place = min(_place(data, random), len(data) - size)
        value = random.choice(_BOUNDARIES) & (256**size - 1)
        data[place : place + size] = struct.pack(form, value)


def _nudge_field(data: bytearray, random: Random, _: Sequence[bytes]) -> None:
    """Be a little wrong."""
    if data:
        place = _place(data, random)
        data[place] = (data[place] + random.choice((-2, -1, 1, 2))) % 256


def _cut_off(data: bytearray, random: Random, _: Sequence[bytes]) -> None:
    del data[random.randrange(len(data) + 1) :]


def _cut_out(data: bytearray, random: Random, _: Sequence[bytes]) -> None:
    start, end = _span(data, random)
    del data[start:end]


def _repeat(data: bytearray, random: Random, _: Sequence[bytes]) -> None:
    """Say something again, up to thousands of times: chunks, scans, frames."""
    start, end = _span(data, random)
    times = random.choice((1, 2, 10, 1000))
    data[start:start] = data[start:end] * min(times, 1 + 200_000 // max(1, end - start))


def _splice(data: bytearray, random: Random, others: Sequence[bytes]) -> None:
    """Go on as another file does."""
    other = random.choice(others)
    data[random.randrange(len(data) + 1) :] = other[random.randrange(len(other)) :]


def _paste(data: bytearray, random: Random, others: Sequence[bytes]) -> None:
    start, end = _span(other := bytearray(random.choice(others)), random)
    place = random.randrange(len(data) + 1)
    data[place:place] = other[start:end]


def _move_part(data: bytearray, random: Random, _: Sequence[bytes]) -> None:
    """Repeat, remove or move a whole PNG chunk, JPEG segment, RIFF chunk or ISO box."""
    parts = _parts(data)
    if len(parts) < 2:
        return
    start, end = random.choice(parts)
    part = bytes(data[start:end])
    kind = random.randrange(3)
    if kind > 0:
        del data[start:end]
    if kind < 2:
        place = min(random.choice(parts)[0], len(data))
        data[place:place] = part * random.choice((1, 1, 2, 200))


MUTATIONS: tuple[Mutation, ...] = (
    _flip_bits,
    _set_field,
    _set_field,
    _nudge_field,
    _cut_off,
    _cut_out,
    _repeat,
    _splice,
    _paste,
    _move_part,
)


def _place(data: bytearray, random: Random) -> int:
    """Where to damage: half of the time in the header, where a byte says most."""
    end = min(len(data), _HEADER_BYTES) if random.random() < 0.5 else len(data)
    return random.randrange(end)


def _span(data: bytearray, random: Random) -> tuple[int, int]:
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + int(random.paretovariate(0.5)))


def _parts(data: bytearray) -> list[tuple[int, int]]:
    """Start and end of the parts that a file says it is made of."""
    if data.startswith(PNG_SIGNATURE):
        return _walked(data, 8, ">I", 0, 12)
    if data.startswith(b"RIFF"):
        return _walked(data, 12, "<I", 4, 8)
    if data.startswith(b"\xff\xd8"):
        return _walked(data, 2, ">H", 2, 2)
    if data[4:8] == b"ftyp":
        return _walked(data, 0, ">I", 0, 0)
    return []


def _walked(
    data: bytearray, start: int, form: str, length_at: int, overhead: int
) -> list[tuple[int, int]]:
    parts: list[tuple[int, int]] = []
    while start + length_at + struct.calcsize(form) <= len(data) and len(parts) < 1000:
        (length,) = struct.unpack_from(form, data, start + length_at)
        end = min(len(data), start + length + overhead)
        parts.append((start, end))
        start = end
    return parts


def with_right_sums(png: bytes) -> bytes:
    """A PNG whose checksums are those of its chunks: else a reader would look no further."""
    data = bytearray(png)
    place = len(PNG_SIGNATURE)
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        end = place + 8 + length
        if end + 4 > len(data):
            break
        struct.pack_into(">I", data, end, zlib.crc32(data[place + 4 : end]))
        place = end + 4
    return bytes(data)
