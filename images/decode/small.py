"""Check of a file that is said to be a thumbnail: by its structure, without decoding it."""

_START, _END = b"\xff\xd8", b"\xff\xd9"
_START_OF_SCAN = 0xDA
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MAX_SEGMENTS = 64


def is_thumbnail(data: bytes, most_side: int) -> bool:
    """Whether a file is a JPEG from its beginning to its end, and of no more pixels a side.

    What is between the start of its scan and its end is not looked at: who shows it decodes it.
    """
    if not (data.startswith(_START) and data.endswith(_END)):
        return False
    offset, fits = len(_START), False
    for _ in range(_MAX_SEGMENTS):
        if data[offset : offset + 1] != b"\xff" or len(data) < offset + 9:
            return False
        kind = data[offset + 1]
        if kind in _START_OF_FRAME:
            height, width = (int.from_bytes(data[at : at + 2]) for at in (offset + 5, offset + 7))
            fits = 0 < height <= most_side and 0 < width <= most_side
        if kind == _START_OF_SCAN:
            return fits
        offset += 2 + int.from_bytes(data[offset + 2 : offset + 4])
    return False
