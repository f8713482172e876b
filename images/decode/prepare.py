"""Preparation: a decoded picture to a model's pixels in uint8, a thumbnail and a digest.

`clip_pixels` and `letterbox` do what the models' own libraries do before they turn pixels into
floats, and what the models were therefore trained or validated with: `open_clip.transform` of
open_clip 3.3, but for the rounding (`scale`), and to the byte `LetterBox` with
`scale_boxes` of ultralytics 8.4.
"""

import hashlib
import struct
from io import BytesIO
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from images.schemas import Letterboxed

try:
    import cykooz_resizer as fast
except ImportError:  # no wheel for this processor (64-bit ARM under Linux)
    fast = None

Filter = Literal["bicubic", "bilinear"]
Size = tuple[int, int]
Box = tuple[float, float, float, float]
"""Left, top, width and height in pixels of the picture; need not be whole."""

_FILTERS: dict[str, Filter] = {
    "bicubic": "bicubic",
    "bilinear": "bilinear",
    # open_clip's word for "varied in training"; it too falls back to bicubic outside of it.
    "random": "bicubic",
}
_THUMBNAIL_QUALITY = 80
_PADDING = (114, 114, 114)

# Pillow copies what it hands out: in strips, a picture of 50 megapixels costs a megabyte, not 150,
# and what is hashed still lies in the processor's cache.
_STRIP_BYTES = 1 << 20
_CHANNELS = 3

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
    if interpolation not in _FILTERS:
        raise ValueError(f"unknown interpolation {interpolation!r}")
    target = _target_size(*picture.size, size, resize_mode)
    seen = min(target[0], size), min(target[1], size)
    box = _middle(picture.size, target, seen)
    scaled = scale(picture, seen, _FILTERS[interpolation], box)
    return np.array(_padded(scaled, size, fill_color))


def _target_size(width: int, height: int, size: int, resize_mode: str) -> Size:
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


def _middle(original: Size, target: Size, seen: Size) -> Box:
    """Where in the picture lies what is seen of it once it has its target size.

    Nothing else is computed: open_clip scales all of the picture, and then cuts. For an odd pixel
    Python's rounding to even decides, as it does in torchvision.
    """
    left, top = (round((all_ - part) / 2) for all_, part in zip(target, seen, strict=True))
    (x, width), (y, height) = (
        (start * of / all_, part * of / all_)
        for start, part, of, all_ in zip((left, top), seen, original, target, strict=True)
    )
    return x, y, width, height


def _padded(picture: Image.Image, size: int, fill_color: int) -> Image.Image:
    """Put a picture into the middle of a square; an odd pixel goes to the right and bottom."""
    width, height = picture.size
    if width == height == size:
        return picture
    square = Image.new("RGB", (size, size), (fill_color,) * 3)
    square.paste(picture, ((size - width) // 2, (size - height) // 2))
    return square


def scale(picture: Image.Image, size: Size, by: Filter, box: Box) -> Image.Image:
    """Scale what is in a box to a size; the filter sees what is around the box as well.

    The filters and their supports are Pillow's, computed with the processor's vector instructions:
    9 ms instead of 62 for a photograph of 12 megapixels. Both round to whole values between the two
    passes, but go over rows and columns in another order, so that a value in seven is another by
    one.
    """
    return (
        _scale_plainly(picture, size, by, box) if fast is None else _scale(picture, size, by, box)
    )


def _scale(picture: Image.Image, size: Size, by: Filter, box: Box) -> Image.Image:
    kernel = fast.FilterType.catmull_rom if by == "bicubic" else fast.FilterType.bilinear
    options = fast.ResizeOptions(
        resize_alg=fast.ResizeAlg.convolution(kernel), crop_box=fast.CropBox(*box), use_alpha=False
    )
    scaled = Image.new("RGB", size)
    fast.Resizer().resize_pil(picture, scaled, options)
    return scaled


def _scale_plainly(picture: Image.Image, size: Size, by: Filter, box: Box) -> Image.Image:
    kernel = Image.Resampling.BICUBIC if by == "bicubic" else Image.Resampling.BILINEAR
    left, top, width, height = box
    edges = (left, top, min(left + width, picture.width), min(top + height, picture.height))
    return picture.resize(size, kernel, edges)


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


def pixel_digest(picture: Image.Image) -> str:
    """The SHA-256 of a decoded picture's size and pixels.

    Neither the file's format and compression nor its metadata count: a PNG, a BMP and a lossless
    WebP of one picture have the same digest. A JPEG saved again has another.

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


def thumbnail(picture: Image.Image, side: int) -> bytes:
    """Write a small copy, its longer side `side` pixels at most, as a JPEG file without metadata.

    JPEG and not WebP: at this size it is a few KB larger, and takes a tenth of the time to write.
    """
    factor = max(picture.size) / side
    if factor > 1:
        width, height = picture.size
        size = max(1, round(width / factor)), max(1, round(height / factor))
        picture = scale(picture, size, "bilinear", (0, 0, width, height))
    file = BytesIO()
    picture.save(file, "JPEG", quality=_THUMBNAIL_QUALITY)
    return file.getvalue()
