"""What the fast preparation does to embeddings: as good as nothing, of whatever picture.

The demo model is the harder judge: it has learned, and tells small differences apart that a model
of random weights does not.
"""

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from bench.load.photos import photograph, scaled
from demo.scenes.scenes import draw_scene
from images.decode.prepare import clip_pixels
from images.settings import DecodeSettings
from runners.clip.model import ClipModel
from runners.clip.recipe import load_clip
from runners.settings import ModelSettings
from tests.images.decode.decoding import decode
from tests.images.decode.test_prepare import reference_clip

LEAST_COSINE = 0.999
LIMITS = DecodeSettings().limits


@pytest.fixture(scope="module")
def clip() -> ClipModel:
    return load_clip(ModelSettings(models="demo", device="cpu", runtime="torch"))


def photographs() -> Iterator[tuple[str, Image.Image]]:
    for name in ("bus.jpg", "zidane.jpg"):
        for side in (480, 640, 1280, 4000):
            yield f"{name} {side}", decode(scaled(photograph(name), side), LIMITS)


def scenes() -> Iterator[tuple[str, Image.Image]]:
    for seed, side in enumerate((256, 480, 1000)):
        yield f"scene {side}", draw_scene(seed, side).picture


def hard_ones() -> Iterator[tuple[str, Image.Image]]:
    """Patterns as fine as pixels, sharp edges, and nothing that a neighbour tells of a pixel."""
    for width, height in ((640, 480), (1280, 720), (2000, 1500)):
        place = np.arange(width * height).reshape(height, width)
        x, y = place % width, place // width
        for period in (2.5, 4, 7):
            wave = np.sin(2 * np.pi * (0.8 * x + 0.6 * y) / period)
            yield f"stripes {period} {width}", grey(127.5 + 127.5 * wave)
        for period in (2, 3, 6, 8):
            yield f"bars {period} {width}", grey(255.0 * (x % period < period / 2))
        yield f"noise {width}", grey(np.random.default_rng(1).integers(0, 256, (height, width)))
        yield f"letters {width}", letters(width, height)
        yield f"lines {width}", lines(width, height)


def grey(values: np.ndarray) -> Image.Image:
    return saved(Image.fromarray(values.astype(np.uint8)))


def letters(width: int, height: int) -> Image.Image:
    picture = Image.new("RGB", (width, height), (250, 248, 240))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(width // 60)
    for top in range(0, height, width // 45):
        draw.text((3, top), "The quick brown fox jumps over 13 dogs. " * 4, (9, 9, 30), font)
    return saved(picture)


def lines(width: int, height: int) -> Image.Image:
    picture = Image.new("RGB", (width, height), "white")
    draw, rng = ImageDraw.Draw(picture), np.random.default_rng(2)
    for ends in rng.integers(0, (width, height, width, height), (150, 4)).tolist():
        draw.line(ends, (ends[0] % 200, 60, ends[1] % 200))
    return saved(picture)


def saved(picture: Image.Image) -> Image.Image:
    """As it comes out of a JPEG file."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return decode(file.getvalue(), LIMITS)


def cosines(clip: ClipModel, pictures: list[tuple[str, Image.Image]]) -> dict[str, float]:
    """Of the embedding of each picture to that by open_clip's own transform."""
    info = clip.info
    how = (info.image_size, info.interpolation, info.resize_mode, info.fill_color)
    ours = np.stack([clip_pixels(picture, *how) for _, picture in pictures])
    theirs = np.stack([reference_clip(picture, *how) for _, picture in pictures])
    alike = (clip.encode_images(ours) * clip.encode_images(theirs)).sum(axis=1)
    return dict(zip((name for name, _ in pictures), alike.tolist(), strict=True))


def test_embeddings_are_those_of_open_clip(clip: ClipModel) -> None:
    found = cosines(clip, [*photographs(), *scenes(), *hard_ones()])
    assert len(found) == 8 + 3 + 3 * 10
    assert not {name: cosine for name, cosine in found.items() if cosine < LEAST_COSINE}


def test_the_measure_tells_what_changes_embeddings(clip: ClipModel) -> None:
    """Averaging pairs of pixels first, as Pillow's thumbnails do, is three times as fast."""
    size = clip.info.image_size
    picture = letters(1280, 720)
    halved = picture.resize((size * 16 // 9, size), Image.Resampling.BICUBIC, reducing_gap=1.5)
    both = [clip_pixels(each, size, "bicubic", "shortest", 0) for each in (picture, halved)]
    assert clip.encode_images(np.stack(both)).prod(axis=0).sum() < LEAST_COSINE
