"""What type a picture's file is of, by its first bytes: for files that were decoded once."""

_AT_START = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"BM": "image/bmp",
}
MEDIA_TYPES = tuple(sorted({*_AT_START.values(), "image/avif", "image/webp"}))
"""Of the formats that are decoded."""


def media_type(data: bytes) -> str | None:
    """The media type of a picture's file; None for what is none of `MEDIA_TYPES`."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp":  # of the formats in such a box, only AVIF is decoded
        return "image/avif"
    return next((kind for start, kind in _AT_START.items() if data.startswith(start)), None)
