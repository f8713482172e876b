"""Pictures for the tests: shapes on plain ground, as the demo models know them."""

from PIL import Image, ImageDraw


def drawn(width: int, height: int) -> Image.Image:
    """A red disc and a blue square on a light ground."""
    picture = Image.new("RGB", (width, height), (225, 222, 210))
    pen, side = ImageDraw.Draw(picture), min(width, height)
    left, top = width // 10, height // 8
    pen.ellipse((left, top, left + side // 2.5, top + side // 2.5), fill=(200, 30, 40))
    left, top = width - int(side / 2.2), height - int(side / 2.2)
    pen.rectangle((left, top, left + side // 3, top + side // 3), fill=(30, 60, 190))
    return picture


SIZES = [(320, 200), (200, 320), (96, 96), (57, 131), (500, 480)]
