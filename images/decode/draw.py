"""Annotation: boxes and labels drawn into a picture of 32 to 8000 pixels, and JPEG encoding."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from math import sqrt

from PIL import Image, ImageDraw, ImageFont

from images.errors import ImageLimitError
from images.schemas import LabelledBox

Colour = tuple[int, int, int]
Rectangle = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom lie outside."""

# Strong, and neighbours far apart in hue; classes share a colour when there are more of them.
PALETTE: tuple[Colour, ...] = (
    (230, 57, 70),
    (29, 122, 216),
    (255, 183, 3),
    (42, 157, 78),
    (171, 71, 214),
    (251, 111, 22),
    (0, 180, 186),
    (236, 64, 153),
    (148, 196, 20),
    (94, 84, 214),
    (141, 85, 56),
    (116, 192, 252),
)
_BLACK: Colour = (0, 0, 0)
_WHITE: Colour = (255, 255, 255)
_MAX_NAME_CHARS = 40
_MAX_JPEG_SIDE = 65500  # libjpeg's own limit


def draw_boxes(picture: Image.Image, boxes: Sequence[LabelledBox]) -> Image.Image:
    """Draw boxes with their labels into a copy of the picture.

    Lines and letters grow with the picture. Labels stay inside it, lie over all lines, and keep
    off each other where the space around their boxes allows; the most confident come first.

    Args:
        picture: In mode RGB; is left as it is.
        boxes: In pixels of that picture; what reaches out of it is cut off.
    """
    canvas = picture.copy()
    draw = ImageDraw.Draw(canvas)
    ordered = sorted(boxes, key=lambda box: box.confidence)
    for box in ordered:
        _draw_frame(draw, _inside(box, canvas.size), _colour(box), _line_width(canvas.size))
    taken: list[Rectangle] = []
    for box in reversed(ordered):
        label = _label(box, canvas.size)
        spot = _spot(label, _inside(box, canvas.size), canvas.size, taken)
        taken.append(spot)
        _draw_label(draw, label, spot, _colour(box))
    return canvas


def encode_jpeg(picture: Image.Image, quality: int = 90) -> bytes:
    """Write a picture as a JPEG file.

    Colour is kept at full resolution: halved, as JPEG's default is, thin coloured lines go grey.

    Raises:
        ImageLimitError: a side is longer than a JPEG file can hold.
    """
    if max(picture.size) > _MAX_JPEG_SIDE:
        raise ImageLimitError(
            f"the image is too large to be drawn into: a JPEG file has at most {_MAX_JPEG_SIDE:,} "
            "pixels a side"
        )
    file = BytesIO()
    picture.save(file, "JPEG", quality=quality, subsampling=0)
    return file.getvalue()


@dataclass(frozen=True)
class _Label:
    text: str
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont
    margin: int
    width: int
    height: int


def _colour(box: LabelledBox) -> Colour:
    return PALETTE[box.class_id % len(PALETTE)]


def _text_colour(background: Colour) -> Colour:
    """Black or white, whichever stands out more (the weights are those of Rec. 601 luma)."""
    red, green, blue = background
    return _BLACK if 0.299 * red + 0.587 * green + 0.114 * blue > 120 else _WHITE


def _line_width(size: tuple[int, int]) -> int:
    return max(1, round(sqrt(size[0] * size[1]) * 0.004))


def _font_size(size: tuple[int, int]) -> int:
    return max(9, round(sqrt(size[0] * size[1]) * 0.024))


def _inside(box: LabelledBox, size: tuple[int, int]) -> Rectangle:
    """Cut the box at the picture's edges; at least one pixel of it remains."""
    width, height = size
    left = min(max(round(box.xyxy[0]), 0), width - 1)
    top = min(max(round(box.xyxy[1]), 0), height - 1)
    right = min(max(round(box.xyxy[2]), left + 1), width)
    bottom = min(max(round(box.xyxy[3]), top + 1), height)
    return left, top, right, bottom


def _draw_frame(
    draw: ImageDraw.ImageDraw, frame: Rectangle, colour: Colour, line_width: int
) -> None:
    """Draw the outline inwards, so thin that what is framed can still be seen."""
    left, top, right, bottom = frame
    most = max(1, min(right - left, bottom - top) // 8)
    draw.rectangle((left, top, right - 1, bottom - 1), outline=colour, width=min(line_width, most))


def _label(box: LabelledBox, size: tuple[int, int]) -> _Label:
    """Lay out a label; if it is wider than the picture, it is made smaller."""
    name = " ".join(box.class_name.split())
    if len(name) > _MAX_NAME_CHARS:
        name = name[: _MAX_NAME_CHARS - 3] + "..."
    text = f"{name} {box.confidence:.2f}"
    label = _laid_out(text, _font_size(size))
    if label.width <= size[0]:
        return label
    return _laid_out(text, max(5, _font_size(size) * size[0] // label.width))


def _laid_out(text: str, font_size: int) -> _Label:
    font = _font(font_size)
    margin = max(1, font_size // 6)
    _, top, _, bottom = font.getbbox("Ag" + text)
    width = round(font.getlength(text)) + 2 * margin
    return _Label(text, font, margin, width, round(bottom - top) + 2 * margin)


@lru_cache(8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font; to load it takes longer than to write a label with it."""
    return ImageFont.load_default(size)


def _spot(
    label: _Label, frame: Rectangle, size: tuple[int, int], taken: Sequence[Rectangle]
) -> Rectangle:
    """Choose where a label goes: above its box, inside at the top, below, inside at the bottom."""
    left, top, _, bottom = frame
    x = max(0, min(left, size[0] - label.width))
    for y in (top - label.height, top, bottom, bottom - label.height):
        spot = (x, y, x + label.width, y + label.height)
        if y >= 0 and spot[3] <= size[1] and not any(_overlap(spot, other) for other in taken):
            return spot
    y = max(0, min(top - label.height, size[1] - label.height))
    return x, y, x + label.width, y + label.height


def _overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _draw_label(draw: ImageDraw.ImageDraw, label: _Label, spot: Rectangle, colour: Colour) -> None:
    left, top, right, bottom = spot
    draw.rectangle((left, top, right - 1, bottom - 1), fill=colour)
    draw.text(
        (left + label.margin, (top + bottom) / 2),
        label.text,
        fill=_text_colour(colour),
        font=label.font,
        anchor="lm",
    )
