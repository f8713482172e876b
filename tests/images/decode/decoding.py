"""Decoding in the tests' own process."""

from PIL import Image

from images.decode.decode import decode_pixels, open_header
from images.errors import ImageError
from images.schemas import DecodeLimits
from images.settings import DecodeSettings

LIMITS = DecodeSettings().limits


def decode(data: bytes, limits: DecodeLimits) -> Image.Image:
    """The picture of a file: upright, in mode RGB."""
    return decode_pixels(open_header(data, limits))


def outcome(data: bytes, limits: DecodeLimits = LIMITS) -> Image.Image | ImageError:
    try:
        return decode(data, limits)
    except ImageError as error:
        return error
