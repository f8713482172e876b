"""What do guarded downloads and decoder processes cost, beside plain `requests` and Pillow?

The service's whole way (checks, guarded download, limits, a decoder process, preparation) against
`requests.get` and Pillow, which scales as open_clip's own transform does, in turn, so that noise
hits both; photographs come from a file server in a process of its own. Our way may take 1.15 times
as long, as the ratio of medians, for photographs of 640 and 1280 pixels and as they are. Beside it
stands the price with our scaling on both sides ("alike"), which is that of the guard alone::

    uv run python -m bench guard                # about two minutes
"""

import asyncio
import io
import os
import random
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from contextlib import closing
from statistics import geometric_mean
from time import perf_counter

import numpy as np
import requests
from numpy.typing import NDArray
from PIL import Image

from api.pipeline.pictures import Pictures
from api.requests.source import Source
from api.settings import Settings
from bench.load.fileserver import FileServer
from bench.load.photos import NAMES, NATIVE, photographs
from bench.report import Cell, Limit, Report, median, ratio
from images.decode.prepare import clip_pixels
from runners.schemas import ClipInfo

MOST_PRICE = 1.15
ORDINARY = (NATIVE, "640", "1280")
SIZES = (*ORDINARY, "4000")
_SIDE = 224
_HALF = (0.5, 0.5, 0.5)
_CLIP = ClipInfo("ViT-B-32", "none", 512, _SIDE, "bicubic", "shortest", 0, _HALF, _HALF, 77)
_WARM_UP = 3
Times = dict[str, list[float]]
"""Milliseconds by step, one a round."""


def plain_picture(url: str) -> Image.Image:
    """Download with requests alone, decode with Pillow alone."""
    response = requests.get(url, timeout=10)
    response.raise_for_status()
    with Image.open(io.BytesIO(response.content)) as picture:
        return picture.convert("RGB")


def plain_prepare(picture: Image.Image) -> NDArray[np.uint8]:
    """Scale the short side and cut out the middle, as open_clip's own transform does."""
    factor = _SIDE / min(picture.size)
    width, height = int(picture.width * factor), int(picture.height * factor)
    left, top = round((width - _SIDE) / 2), round((height - _SIDE) / 2)
    scaled = picture.resize((width, height), Image.Resampling.BICUBIC)
    return np.array(scaled.crop((left, top, left + _SIDE, top + _SIDE)))


def our_prepare(picture: Image.Image) -> NDArray[np.uint8]:
    return clip_pixels(picture, _SIDE, _CLIP.interpolation, _CLIP.resize_mode, _CLIP.fill_color)


async def measure(files: FileServer, rounds: int) -> dict[tuple[str, str], Times]:
    """Time every way on every photograph, in turn."""
    found: dict[tuple[str, str], Times] = {(name, size): {} for size in SIZES for name in NAMES}
    order = random.Random(1)  # noqa: S311
    os.environ["IMAGE_SEARCH_ALLOW_NETWORKS"] = "127.0.0.1/32"
    with closing(Pictures(Settings.from_environment())) as ours:
        for turn in range(_WARM_UP + rounds):
            for (name, size), times in found.items():
                if turn == _WARM_UP:
                    times.clear()
                await _once(f"{files.url}/{name}-{size}.jpg", ours, times, order)
    return found


async def _once(url: str, ours: Pictures, times: Times, order: random.Random) -> None:
    async def plain(prepare: Callable[[Image.Image], object]) -> None:
        prepare(plain_picture(url))

    steps: list[tuple[str, Callable[[], Awaitable[object]]]] = [
        ("plain", lambda: plain(plain_prepare)),
        ("alike", lambda: plain(our_prepare)),
        ("ours", lambda: ours.for_clip(Source(url), _CLIP)),
    ]
    order.shuffle(steps)
    for step, call in steps:
        began = perf_counter()
        await call()
        times.setdefault(step, []).append((perf_counter() - began) * 1e3)


def price(times: Times, of: str = "plain") -> float:
    """Our way to another one, as the ratio of medians."""
    return ratio(median(times["ours"]), median(times[of]))


def price_of_size(found: dict[tuple[str, str], Times], size: str) -> float:
    return geometric_mean([price(found[name, size]) for name in NAMES])


def tell(report: Report, found: dict[tuple[str, str], Times]) -> None:
    rows: list[tuple[Cell, ...]] = []
    for (name, size), times in found.items():
        ms = [median(times[step]) for step in ("plain", "ours")]
        rows.append((f"{name} {size}", *ms, price(times), price(times, "alike")))
    columns = ["photograph", "plain ms", "ours ms", "price", "alike"]
    report.table(columns, rows, "from URL to pixels, medians, in turn")


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=60)


def run(given: Namespace, report: Report) -> list[Limit]:
    with photographs(SIZES) as photos, FileServer(photos, "127.0.0.1") as files:
        found = asyncio.run(measure(files, given.rounds))
    tell(report, found)
    prices = {size: price_of_size(found, size) for size in ORDINARY}
    return [Limit(f"price, {size}", each, most=MOST_PRICE) for size, each in prices.items()]
