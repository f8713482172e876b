"""Pictures to the pixels that the models take, in uint8 and without torch.

Both functions do to the byte what the models' own libraries do before they turn pixels into
floats, and what the models were therefore trained or validated with: `open_clip.transform` of
open_clip 3.3, and `LetterBox` with `scale_boxes` of ultralytics 8.4.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from images.schemas import Letterboxed

_INTERPOLATIONS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    # open_clip's word for "varied in training"; it too falls back to bicubic outside of it.
    "random": Image.Resampling.BICUBIC,
}
_PADDING = (114, 114, 114)

# Pictures are prepared in as many processes as there are cores for it; threads of OpenCV's own in
# each of them would only get into each other's way.
cv2.setNumThreads(1)


def clip_pixels(
    picture: Image.Image, size: int, interpolation: str, resize_mode: str, fill_color: int
) -> NDArray[np.uint8]:
    """Scale and crop a picture as open_clip's inference transform does.

    Args:
        picture: In mode RGB.
        size: Side of the model's square input, in pixels.
        interpolation: `bicubic`, `bilinear` or `random`.
        resize_mode: `shortest` (scale the short side, crop the long one), `longest` (scale the
            long side, pad the short one) or `squash`.
        fill_color: What `longest` pads with, 0 to 255.

    Returns:
        uint8 [size, size, 3], RGB, still to be scaled to 0..1 and normalized.

    Raises:
        ValueError: an unknown interpolation or resize mode.
    """
    if interpolation not in _INTERPOLATIONS:
        raise ValueError(f"unknown interpolation {interpolation!r}")
    scaled = _scaled(picture, size, _INTERPOLATIONS[interpolation], resize_mode)
    return np.array(_centred(scaled, size, fill_color))


def _scaled(
    picture: Image.Image, size: int, resample: Image.Resampling, resize_mode: str
) -> Image.Image:
    target = _target_size(*picture.size, size, resize_mode)
    return picture if target == picture.size else picture.resize(target, resample)


def _target_size(width: int, height: int, size: int, resize_mode: str) -> tuple[int, int]:
    if resize_mode == "squash":
        return size, size
    if resize_mode == "longest":
        ratio = max(width, height) / size
        return max(round(width / ratio), 1), max(round(height / ratio), 1)
    if resize_mode != "shortest":
        raise ValueError(f"unknown resize mode {resize_mode!r}")
    if width <= height:
        return size, int(size * height / width)
    return int(size * width / height), size


def _centred(picture: Image.Image, size: int, fill_color: int) -> Image.Image:
    """Cut a square out of the middle, or put the picture into the middle of one.

    An odd pixel goes to the right and bottom when padding; when cropping, Python's rounding to
    even decides, as it does in torchvision.
    """
    width, height = picture.size
    if width <= size and height <= size:
        square = Image.new("RGB", (size, size), (fill_color,) * 3)
        square.paste(picture, ((size - width) // 2, (size - height) // 2))
        return square
    left, top = round((width - size) / 2), round((height - size) / 2)
    return picture.crop((left, top, left + size, top + size))


def letterbox(pixels: NDArray[np.uint8], size: int, stride: int) -> Letterboxed:
    """Scale a picture to fit a square of `size`, then pad it to the least multiple of `stride`.

    Args:
        pixels: uint8 [height, width, 3], RGB; is left as it is.
        size: Longest side of the model's input, in pixels.
        stride: What both sides must be a multiple of.
    """
    height, width = pixels.shape[:2]
    inner = _fitting(width, height, min(size / height, size / width))
    if inner != (width, height):
        pixels = cv2.resize(pixels, inner, interpolation=cv2.INTER_LINEAR)
    pad_x, pad_y = (size - inner[0]) % stride, (size - inner[1]) % stride
    left, top = pad_x // 2, pad_y // 2
    boxed = cv2.copyMakeBorder(
        pixels, top, pad_y - top, left, pad_x - left, cv2.BORDER_CONSTANT, value=_PADDING
    )
    gain, pad = _geometry(boxed.shape[1], boxed.shape[0], width, height)
    return Letterboxed(boxed, gain, pad, (width, height))


def _fitting(width: int, height: int, scale: float) -> tuple[int, int]:
    return max(round(width * scale), 1), max(round(height * scale), 1)


def _geometry(
    boxed_width: int, boxed_height: int, width: int, height: int
) -> tuple[tuple[float, float], tuple[int, int]]:
    """Return gain and padding as ultralytics recovers them from the two sizes.

    For a few sizes this is a pixel beside what was really padded (a strip whose short side was
    rounded down to a multiple of the stride); boxes are to agree with ultralytics' there too.
    """
    scale = min(boxed_height / height, boxed_width / width)
    inner_width, inner_height = _fitting(width, height, scale)
    pad = (
        round((boxed_width - inner_width) / 2 - 0.1),
        round((boxed_height - inner_height) / 2 - 0.1),
    )
    return (inner_width / width, inner_height / height), pad
