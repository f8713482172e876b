"""A picture's pixels as one short text: the same for pictures that are the same pixel by pixel."""

import hashlib
import struct

from PIL.Image import Image

# Pillow copies what it hands out: in strips, a picture of 50 megapixels costs a megabyte, not 150,
# and what is hashed still lies in the processor's cache.
_STRIP_BYTES = 1 << 20
_CHANNELS = 3


def pixel_digest(picture: Image) -> str:
    """The SHA-256 of a decoded picture's size and pixels.

    Neither the file's format and compression nor its metadata count: a PNG, a BMP and a lossless
    WebP of one picture have the same digest. A JPEG saved again has another.

    Args:
        picture: in mode RGB, upright, as `images.decode.decode.decode` returns it.

    Returns:
        64 hexadecimal digits, of: width and height (32 bits each, big-endian), then the pixels row
        by row, 3 bytes each.
    """
    width, height = picture.size
    digest = hashlib.sha256(struct.pack(">II", width, height))
    rows = max(1, _STRIP_BYTES // (_CHANNELS * width))
    for top in range(0, height, rows):
        strip = picture.crop((0, top, width, min(top + rows, height)))
        digest.update(strip.tobytes())
    return digest.hexdigest()
