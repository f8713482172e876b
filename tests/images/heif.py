"""HEIF files for tests. No encoder is installed: stored ones, and containers built around one tile.

The stored ones show `tests.images.samples.picture` in 64 x 48, as heif-enc of libheif 1.15 writes
it (`-q 95 -p chroma=444`; `deep` is a PNG of 16 bits with `-b 10`).
"""

import struct
from collections.abc import Iterator
from pathlib import Path

KINDS = ("colour", "alpha", "grey", "deep")
TILE = 64
_DATA = Path(__file__).parent / "data"
_CONTAINERS = {b"meta": 12, b"iprp": 8, b"ipco": 8}


def stored(kind: str) -> bytes:
    """A file of 64 x 48 pixels, of one of `KINDS`."""
    return (_DATA / f"{kind}.heic").read_bytes()


def heif(
    columns: int = 1,
    rows: int = 1,
    *,
    size: tuple[int, int] | None = None,
    tile: tuple[int, int] = (TILE, TILE),
    turn: int | None = None,
    mirror: int | None = None,
    exif: bytes = b"",
    brands: tuple[bytes, ...] = (b"heic", b"mif1", b"heic"),
) -> bytes:
    """A grid in which all tiles are the same bytes of the file.

    Args:
        columns: of tiles.
        rows: of tiles.
        size: that the file says it has; else what the tiles make.
        tile: size that it says each tile has.
        turn: anticlockwise, in quarters (`irot`).
        mirror: 0 for top to bottom, 1 for left to right (`imir`).
        exif: a TIFF directory.
        brands: the first is the major one.
    """
    width, height = size or (columns * TILE, rows * TILE)
    codec, pixels = _tile()
    grid = struct.pack(">BBBBII", 0, 1, rows - 1, columns - 1, width, height)
    turns = [] if turn is None else [_box(b"irot", bytes([turn]))]
    turns += [] if mirror is None else [_box(b"imir", bytes([mirror]))]
    properties = [_box(b"hvcC", codec), _size(*tile), _size(width, height), *turns]
    shown = [3, *(0x80 | number for number in range(4, 4 + len(turns)))]
    tiles = list(range(2, 2 + columns * rows))
    items = [(1, b"grid", grid, shown), *((one, b"hvc1", pixels, [0x81, 2]) for one in tiles)]
    if exif:
        items.append((2 + len(tiles), b"Exif", bytes(4) + exif, []))
    links = [(b"dimg", 1, tiles), *([(b"cdsc", 2 + len(tiles), [1])] if exif else [])]
    return _file(items, properties, links, brands)


def _file(
    items: list[tuple[int, bytes, bytes, list[int]]],
    properties: list[bytes],
    links: list[tuple[bytes, int, list[int]]],
    brands: tuple[bytes, ...],
) -> bytes:
    infos = b"".join(
        _box(b"infe", struct.pack(">IHH4sx", 2 << 24, number, 0, kind))
        for number, kind, _, _ in items
    )
    associations = b"".join(
        struct.pack(">HB", number, len(of)) + bytes(of) for number, _, _, of in items if of
    )
    count = sum(bool(of) for *_, of in items)
    references = b"".join(
        _box(kind, struct.pack(f">HH{len(to)}H", source, len(to), *to))
        for kind, source, to in links
    )
    head = _box(b"ftyp", brands[0] + bytes(4) + b"".join(brands[1:]))
    fixed = [
        _box(b"hdlr", bytes(8) + b"pict" + bytes(13)),
        _box(b"pitm", struct.pack(">IH", 0, 1)),
        _box(b"iinf", struct.pack(">IH", 0, len(items)) + infos),
        _box(
            b"iprp",
            _box(b"ipco", b"".join(properties))
            + _box(b"ipma", struct.pack(">II", 0, count) + associations),
        ),
        _box(b"iref", bytes(4) + references),
    ]
    start = len(head) + 12 + sum(map(len, fixed)) + 16 + 14 * len(items) + 8
    unique = list(dict.fromkeys(data for _, _, data, _ in items))
    offsets, place = {}, start
    for data in unique:
        offsets[data], place = place, place + len(data)
    located = b"".join(
        struct.pack(">HHHII", number, 0, 1, offsets[data], len(data))
        for number, _, data, _ in items
    )
    places = _box(b"iloc", struct.pack(">IHH", 0, 0x4400, len(items)) + located)
    meta = _box(b"meta", bytes(4) + b"".join(fixed) + places)
    assert len(head) + len(meta) + 8 == start
    return head + meta + _box(b"mdat", b"".join(unique))


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def _size(width: int, height: int) -> bytes:
    return _box(b"ispe", struct.pack(">III", 0, width, height))


def _tile() -> tuple[bytes, bytes]:
    """Configuration and pixels of the tile in a stored file; its first item is that."""
    data = stored("colour")
    found = dict(_boxes(data, 0, len(data)))
    (offset,) = struct.unpack_from(">I", found[b"iloc"], 14)
    (length,) = struct.unpack_from(">I", found[b"iloc"], 18)
    return found[b"hvcC"], data[offset : offset + length]


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    while start + 8 <= end:
        length, kind = struct.unpack_from(">I4s", data, start)
        if kind in _CONTAINERS:
            yield from _boxes(data, start + _CONTAINERS[kind], start + length)
        else:
            yield kind, data[start + 8 : start + length]
        start += length
