"""What does a decoder's sandbox cost a picture?

The service's own decoders, one with its system call filter and one without, prepare each picture
for the embedder, digest and thumbnail included, and for the detector, in turn, so that noise hits
both: scenes of the demo and photographs. The one with the filter may take 1.02 times as long, as
the ratio of medians, on average over several pairs of processes: where its memory happens to lie
makes one faster than another by some percent::

    uv run python -m bench sandbox              # about three minutes
"""

import asyncio
import random
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from statistics import geometric_mean
from time import perf_counter

from bench.load.photos import NAMES, photographs
from bench.report import Cell, Limit, Report, median, ratio
from demo.scenes.scenes import draw_scene
from demo.server import as_jpeg
from images.schemas import ORDINARY_BYTES, ClipTask, LetterboxTask, SharedPicture
from images.settings import DecodeSettings
from images.workers import process
from images.workers.decoders import Decoders

MOST_PRICE = 1.02
_SIDES = ("640", "1280")
_SCENES = 4
_WARM_UP = 5
_CLIP = ClipTask(224, "bicubic", "shortest", 0, digest=True, thumbnail_side=320)
_LETTERBOX = LetterboxTask(640, 32)
_UNGUARDED = (sys.executable, "-P", "-m", "bench.service.unguarded_decoder")
Times = dict[tuple[str, str], list[float]]
"""Milliseconds of one pair of processes by picture and kind of decoder, one a round."""


@asynccontextmanager
async def started(command: tuple[str, ...]) -> AsyncIterator[Decoders]:
    """A decoder that runs this command."""
    usual, process.COMMAND = process.COMMAND, command
    with closing(Decoders(DecodeSettings().limits, 1, 60)) as pool:
        process.COMMAND = usual
        await pool.ready()
        yield pool


async def measure(pictures: dict[str, bytes], rounds: int) -> Times:
    """Time both on every picture, in turn."""
    times: Times = {}
    order = random.Random(1)  # noqa: S311
    async with started(process.COMMAND) as filtered, started(_UNGUARDED) as plain:
        if (filtered.sandbox, plain.sandbox) != ("seccomp", ""):
            raise RuntimeError("this machine takes no seccomp filter: there is nothing to compare")
        for turn in range(_WARM_UP + rounds):
            if turn == _WARM_UP:
                times.clear()
            for name, data in pictures.items():
                for kind, pool in order.sample([("filtered", filtered), ("plain", plain)], 2):
                    took = times.setdefault((name, kind), [])
                    took.append(await _once(pool, data))
    return times


async def _once(pool: Decoders, data: bytes) -> float:
    began = perf_counter()
    await pool.clip(data, _CLIP, ORDINARY_BYTES)
    with SharedPicture(has_pixels=False) as picture:
        await pool.letterbox(data, _LETTERBOX, ORDINARY_BYTES, picture)
    return (perf_counter() - began) * 1e3


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=80)
    parser.add_argument("--pairs", type=int, default=8)


def run(given: Namespace, report: Report) -> list[Limit]:
    pictures = {f"scene {n}": as_jpeg(draw_scene(n).picture) for n in range(_SCENES)}
    with photographs(_SIDES) as photos:
        names = [f"{name}-{side}.jpg" for name in NAMES for side in _SIDES]
        pictures |= {name: photos[name].read_bytes() for name in names}
    pairs = [asyncio.run(measure(pictures, given.rounds)) for _ in range(given.pairs)]
    rows: list[tuple[Cell, ...]] = []
    prices = []
    for name in pictures:
        plain, filtered = (
            [median(times[name, kind]) for times in pairs] for kind in ("plain", "filtered")
        )
        prices.append(geometric_mean(map(ratio, filtered, plain)))
        rows.append((name, median(plain), median(filtered), prices[-1]))
    report.table(["picture", "plain ms", "filtered ms", "price"], rows, "medians, in turn")
    return [Limit("price of the sandbox", geometric_mean(prices), most=MOST_PRICE)]
