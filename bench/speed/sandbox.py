"""What does a decoder's sandbox cost a picture?

The service's own decoders, one with its system call filter and one without, prepare each picture
for the embedder, digest and thumbnail included, and for the detector, in turn, so that noise hits
both: scenes of the demo and photographs. The one with the filter may take 1.02 times as long, by
the clock and by the decoder's own processor time, as the ratio of medians, on average over several
pairs of processes: where its memory happens to lie makes one faster than another by some percent.
So both do the same but for the one system call::

    uv run python -m bench sandbox              # about three minutes
"""

import asyncio
import random
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from statistics import geometric_mean
from time import perf_counter

import psutil

from bench.load.photos import NAMES, photographs
from bench.report import Limit, Report, median, ratio
from demo.scenes.scenes import draw_scene
from demo.server import as_jpeg
from images.schemas import ORDINARY_BYTES, ClipTask, LetterboxTask, SharedPicture
from images.settings import DecodeSettings
from images.workers import process
from images.workers.decoders import Decoders

MOST_PRICE = 1.02
_SIDES, _SCENES, _WARM_UP = ("640", "1280"), 4, 5
_CLIP = ClipTask(224, "bicubic", "shortest", 0, digest=True, thumbnail_side=320)
_LETTERBOX = LetterboxTask(640, 32)
# A decoder as the service has it, or one whose system calls on its way into the sandbox do nothing.
_KINDS = {"filtered": "pass", "plain": "sandbox._libc.syscall = lambda *_: 0"}
_CODE = "import sys; from images.workers import child, sandbox; {}; child.main(*sys.argv[1:])"
Times = dict[tuple[str, str], list[tuple[float, float]]]
"""By picture and kind of decoder, one a round: milliseconds, and those of the processor."""


@asynccontextmanager
async def started(kind: str) -> AsyncIterator[tuple[Decoders, Path]]:
    """A decoder of a kind, and where its processor time stands."""
    usual, process.COMMAND = (
        process.COMMAND,
        (sys.executable, "-P", "-c", _CODE.format(_KINDS[kind])),
    )
    before = psutil.Process().children()
    with closing(Decoders(DecodeSettings().limits, 1, 60)) as pool:
        process.COMMAND = usual
        [child] = set(psutil.Process().children()) - set(before)
        await pool.ready()
        if (pool.sandbox == "seccomp") != (kind == "filtered"):
            raise RuntimeError("this machine takes no seccomp filter: there is nothing to compare")
        yield pool, Path(f"/proc/{child.pid}/schedstat")


async def timed(pool: Decoders, used: Path, data: bytes) -> tuple[float, float]:
    """Milliseconds for a picture, and those of the decoder's processor."""
    began, used_ms = perf_counter(), _processor_ms(used)
    await pool.clip(data, _CLIP, ORDINARY_BYTES)
    with SharedPicture(has_pixels=False) as picture:
        await pool.letterbox(data, _LETTERBOX, ORDINARY_BYTES, picture)
    return (perf_counter() - began) * 1e3, _processor_ms(used) - used_ms


def _processor_ms(used: Path) -> float:
    return int(used.read_text().split()[0]) / 1e6


async def measure(pictures: dict[str, bytes], rounds: int, pair: int) -> Times:
    """Time both on every picture, in turn; of the next pair the other one is started first."""
    times: Times = {}
    order = random.Random(pair)  # noqa: S311
    first, second = list(_KINDS)[:: 1 if pair % 2 else -1]
    async with started(first) as one, started(second) as other:
        for turn in range(_WARM_UP + rounds):
            if turn == _WARM_UP:
                times.clear()
            for name, data in pictures.items():
                for kind, each in order.sample([(first, one), (second, other)], 2):
                    times.setdefault((name, kind), []).append(await timed(*each, data))
    return times


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=80)
    parser.add_argument("--pairs", type=int, default=8)


def run(given: Namespace, report: Report) -> list[Limit]:
    pictures = {f"scene {n}": as_jpeg(draw_scene(n).picture) for n in range(_SCENES)}
    with photographs(_SIDES) as photos:
        names = [f"{name}-{side}.jpg" for name in NAMES for side in _SIDES]
        pictures |= {name: photos[name].read_bytes() for name in names}
    pairs = [asyncio.run(measure(pictures, given.rounds, n)) for n in range(given.pairs)]
    prices: list[Limit] = []
    for which, clock in enumerate(("time", "processor time")):
        rows = [_row(name, pairs, which) for name in pictures]
        report.table(["picture", "filtered ms", "plain ms", "price"], rows, f"{clock}, medians")
        price = geometric_mean(row[-1] for row in rows)
        prices.append(Limit(f"price of the sandbox, {clock}", price, most=MOST_PRICE))
    return prices


def _row(name: str, pairs: list[Times], which: int) -> tuple[str, float, float, float]:
    both = [[median([took[which] for took in of[name, kind]]) for of in pairs] for kind in _KINDS]
    return name, median(both[0]), median(both[1]), geometric_mean(map(ratio, *both))
