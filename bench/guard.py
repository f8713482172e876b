"""The price of the guard on an ordinary picture: from URL to pixels our way, and the plain way.

Photographs from a file server in a process of its own on loopback, in turn by either way, so that
noise hits both. Our way ends with what the embedder takes, wherever the service prepares that, so
the plain way goes on to the same, as open_clip's own transform gets there: with Pillow. Two other
prices are told besides: against a plain way with our faster preparation (`alike`), which is that of
the guard alone, and that without preparation on either side, reckoned from what it takes alone::

    uv run python -m bench.guard

Exits with 1 if our way takes more than 1.15 times the plain one, as the ratio of medians, for the
photographs of a size that is ordinary (native, 640 and 1280 pixels on the long side).
"""

import argparse
import asyncio
import io
import random
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np
import requests
from numpy.typing import NDArray
from PIL import Image

from bench.ending import end_on_signals
from bench.fileserver import FileServer
from bench.guarded import Guarded
from bench.photos import NAMES, NATIVE, photo_files
from bench.report import Report
from bench.verdict import Limit, judged, ratio

MOST_PRICE = 1.15
ORDINARY = (NATIVE, "640", "1280")
SIZES = (*ORDINARY, "4000")
PLAIN = "requests.get, Image.open, convert to RGB, preparation with Pillow as open_clip has it"
_SIDE = 224
WARM_UP = 3


@dataclass
class Ways:
    """Milliseconds that each way took for one photograph, as one list per step."""

    ms: dict[str, list[float]] = field(default_factory=dict)

    async def time(self, step: str, call: Callable[[], Awaitable[object]]) -> None:
        """Time a step once."""
        began = perf_counter()
        await call()
        self.ms.setdefault(step, []).append((perf_counter() - began) * 1e3)

    def median(self, step: str) -> float:
        """The median of a step."""
        return statistics.median(self.ms[step])

    def forget(self) -> None:
        """Begin anew."""
        self.ms.clear()


def plain_picture(url: str) -> Image.Image:
    """The plain way: requests and Pillow, with nothing of ours."""
    return plain_decode(plain_fetch(url))


def plain_fetch(url: str) -> bytes:
    """Download with requests alone."""
    response = requests.get(url, timeout=10)
    response.raise_for_status()
    return response.content


def plain_decode(data: bytes) -> Image.Image:
    """Decode with Pillow alone."""
    with Image.open(io.BytesIO(data)) as picture:
        return picture.convert("RGB")


def plain_prepare(picture: Image.Image) -> NDArray[np.uint8]:
    """Scale the short side and cut out the middle, as open_clip's own transform does."""
    factor = _SIDE / min(picture.size)
    width, height = int(picture.width * factor), int(picture.height * factor)
    left, top = round((width - _SIDE) / 2), round((height - _SIDE) / 2)
    scaled = picture.resize((width, height), Image.Resampling.BICUBIC)
    return np.array(scaled.crop((left, top, left + _SIDE, top + _SIDE)))


async def measure(files: FileServer, rounds: int) -> dict[tuple[str, str], Ways]:
    """Time every way on every photograph, so many times in turn."""
    found = {(name, size): Ways() for size in SIZES for name in NAMES}
    order = random.Random(1)  # noqa: S311
    async with Guarded.open() as guarded:
        for turn in range(WARM_UP + rounds):
            for (name, size), ways in found.items():
                if turn == WARM_UP:
                    ways.forget()
                await _once(f"{files.url}/{name}-{size}.jpg", guarded, ways, order)
    return found


async def _once(url: str, guarded: Guarded, ways: Ways, order: random.Random) -> None:
    data = plain_fetch(url)
    decoded = plain_decode(data)

    async def plain(call: Callable[[], object]) -> None:
        call()

    steps: list[tuple[str, Callable[[], Awaitable[object]]]] = [
        ("plain", lambda: plain(lambda: plain_prepare(plain_picture(url)))),
        ("plain, alike", lambda: plain(lambda: guarded.prepare(plain_picture(url)))),
        ("plain, unprepared", lambda: plain(lambda: plain_picture(url))),
        ("ours", lambda: guarded.picture(url)),
        ("plain fetch", lambda: plain(lambda: plain_fetch(url))),
        ("our fetch", lambda: guarded.fetch(url)),
        ("plain decode", lambda: plain(lambda: plain_decode(data))),
        ("preparation", lambda: plain(lambda: guarded.prepare(decoded))),
    ]
    order.shuffle(steps)
    for step, call in steps:
        await ways.time(step, call)


def price(ways: Ways, percent: float = 50) -> float:
    """Our way to the plain one, as the ratio of medians or of another percentile."""
    ours, plain = (float(np.percentile(ways.ms[each], percent)) for each in ("ours", "plain"))
    return ratio(ours, plain)


def alike(ways: Ways) -> float:
    """The same with our preparation on either side."""
    return ratio(ways.median("ours"), ways.median("plain, alike"))


def unprepared(ways: Ways) -> float:
    """The same without the preparation on either side; ours is reckoned."""
    ours = ways.median("ours") - ways.median("preparation")
    return ratio(ours, ways.median("plain, unprepared"))


def price_of_size(found: dict[tuple[str, str], Ways], size: str) -> float:
    """The geometric mean of the prices for the photographs of a size."""
    return statistics.geometric_mean([price(found[name, size]) for name in NAMES])


def interval(ways: Ways, draws: int = 500) -> tuple[float, float]:
    """Where the price lies, by bootstrap: its 5th and 95th percentile."""
    rng = np.random.default_rng(1)
    ours, plain = np.array(ways.ms["ours"]), np.array(ways.ms["plain"])
    prices = [
        np.median(rng.choice(ours, len(ours))) / np.median(rng.choice(plain, len(plain)))
        for _ in range(draws)
    ]
    low, high = np.percentile(prices, [5, 95])
    return float(low), float(high)


def tell(report: Report, found: dict[tuple[str, str], Ways]) -> None:
    """Prints both ways, and what ours is made of."""
    report.table(
        [
            "photograph",
            "plain ms",
            "ours ms",
            "price",
            "5 %",
            "95 %",
            "at p10",
            "alike",
            "unprepared",
        ],
        [
            (
                f"{name} {size}",
                ways.median("plain"),
                ways.median("ours"),
                price(ways),
                *interval(ways),
                price(ways, 10),
                alike(ways),
                unprepared(ways),
            )
            for (name, size), ways in found.items()
        ],
        "from URL to pixels, medians, in turn; p10 is the quietest tenth of either way",
    )
    report.table(
        ["photograph", "fetch: plain ms", "ours", "decode: plain", "preparation", "our rest"],
        [
            (
                f"{name} {size}",
                ways.median("plain fetch"),
                ways.median("our fetch"),
                ways.median("plain decode"),
                ways.median("preparation"),
                ways.median("ours") - ways.median("our fetch"),
            )
            for (name, size), ways in found.items()
        ],
        "in parts, each alone; our rest: limits, decoding, preparation, the way there and back",
    )


def main() -> None:
    """Runs and exits with 1 if the limit was not kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    end_on_signals()
    report = Report(f"The price of the guard, {wanted.rounds} rounds")
    with (
        tempfile.TemporaryDirectory() as folder,
        FileServer(photo_files(Path(folder), SIZES)) as files,
    ):
        found = asyncio.run(measure(files, wanted.rounds))
    report.table(["way", "what it includes"], [("plain", PLAIN), ("ours", Guarded.INCLUDES)])
    tell(report, found)
    limits = [Limit(f"price, {size}", price_of_size(found, size), MOST_PRICE) for size in ORDINARY]
    kept = judged(report, limits)
    if wanted.json:
        report.json(wanted.json)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
