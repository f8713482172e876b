"""How large a picture may be, and how large a WebP file says that it is."""

from images.errors import ImageLimitError
from images.schemas import DecodeLimits


def check_size(width: int, height: int, limits: DecodeLimits) -> None:
    """Refuse a picture of too many pixels, or a strip.

    Raises:
        ImageLimitError: it is larger or longer than is accepted.
    """
    if width * height > limits.max_image_pixels:
        raise ImageLimitError(
            f"the image has {width} x {height} pixels, at most "
            f"{limits.max_image_pixels:,} in all are accepted"
        )
    if max(width, height) > limits.max_aspect_ratio * min(width, height):
        raise ImageLimitError(
            f"the image has {width} x {height} pixels, its long side may be at most "
            f"{limits.max_aspect_ratio:g} times its short side"
        )


def webp_size(data: bytes, limits: DecodeLimits) -> tuple[int, int] | None:
    """Width and height that a WebP file's first chunk tells of; None for any other file.

    Pillow's reader takes the memory for its canvases when it opens the file: this comes before.

    Raises:
        ImageLimitError: it is larger than is accepted.
    """
    size = _webp_size(data)
    if size is not None:
        check_size(*size, limits)
    return size


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """As the container's specification has it, for the three kinds of first chunk.

    https://developers.google.com/speed/webp/docs/riff_container
    """
    kind, fields = data[8:16], data[20:30]
    if len(fields) < 10:
        return None
    if kind == b"WEBPVP8X":
        return 1 + _little_endian(fields[4:7]), 1 + _little_endian(fields[7:10])
    if kind == b"WEBPVP8L":
        bits = _little_endian(fields[1:5])
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"WEBPVP8 ":
        return _little_endian(fields[6:8]) & 0x3FFF, _little_endian(fields[8:10]) & 0x3FFF
    return None


def _little_endian(number: bytes) -> int:
    return int.from_bytes(number, "little")
