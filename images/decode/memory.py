"""How much memory a picture takes while it is decoded, prepared and drawn.

What is reserved is an upper bound per pixel, by format: how the readers of Pillow 13 go about it,
and checked against real processes in every mode (tests/images/workers/test_room.py).
"""

from images.errors import ImageLimitError

ORDINARY_BYTES = 64 << 20
"""Room that is given without asking the file: enough for most, up to 5 megapixels of a JPEG."""

_DRAWN_BYTES = 14
"""Per pixel: 3 for the pixels that are kept for it, 8 for two copies of 4, 3 for the JPEG file."""

_DECODED_BYTES = {
    # A progressive one: 2 for each coefficient of 4 channels, beside the picture.
    "JPEG": 12,
    # Its own mode, its copy in RGB, and that turned upright: 4 each.
    "PNG": 13,
    "BMP": 13,
    "GIF": 13,
    # Two canvases of 4 and a frame of 4 in libwebp; 4 as bytes; the picture, and its copy in RGB.
    "WEBP": 24,
    # Planes of 16 bits, with alpha 8, twice where it is a grid; 4 in RGBA, 4 as bytes; as above.
    "AVIF": 32,
}


class MoreRoomError(ImageLimitError):
    """A picture needs more memory than it was given room for; nothing else is wrong with it.

    Attributes:
        needed_bytes: how much it is.
    """

    def __init__(self, needed_bytes: int) -> None:
        super().__init__(
            "the image needs more memory than it may take", f"{needed_bytes:,} bytes are needed"
        )
        self.needed_bytes = needed_bytes


def needed_bytes(file_format: str, pixels: int, file_bytes: int) -> int:
    """The memory that a picture of a format takes at most, its file with the readers' copies."""
    return max(_DECODED_BYTES[file_format], _DRAWN_BYTES) * pixels + 3 * file_bytes


def most_needed_bytes(max_pixels: int, file_bytes: int) -> int:
    """What a file needs at most, whatever is in it, where so many pixels are accepted."""
    return max(needed_bytes(name, max_pixels, file_bytes) for name in _DECODED_BYTES)
