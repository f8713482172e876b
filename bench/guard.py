"""The price of the guard on an ordinary picture: from URL to pixels our way, and the plain way.

Photographs from a file server in a process of its own on loopback, in turn by either way, so that
noise hits both::

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
from PIL import Image

from bench.ending import end_on_signals
from bench.fileserver import FileServer, photograph, scaled
from bench.guarded import Guarded
from bench.report import Report
from bench.verdict import Limit, judged, ratio

MOST_PRICE = 1.15
NAMES = ("bus", "zidane")
ORDINARY = ("native", "640", "1280")
SIZES = (*ORDINARY, "4000")
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

    async def plain(call: Callable[[], object]) -> None:
        call()

    steps: list[tuple[str, Callable[[], Awaitable[object]]]] = [
        ("plain", lambda: plain(lambda: plain_picture(url))),
        ("ours", lambda: guarded.picture(url)),
        ("plain fetch", lambda: plain(lambda: plain_fetch(url))),
        ("our fetch", lambda: guarded.fetch(url)),
        ("plain decode", lambda: plain(lambda: plain_decode(data))),
        ("our decode", lambda: guarded.decode(data)),
        ("our decode, in place", lambda: plain(lambda: guarded.decode_in_place(data))),
    ]
    order.shuffle(steps)
    for step, call in steps:
        await ways.time(step, call)


def price(found: dict[tuple[str, str], Ways], size: str) -> float:
    """Ours to plain, as the ratio of medians: geometric mean over the photographs of a size."""
    ratios = [
        ratio(found[name, size].median("ours"), found[name, size].median("plain")) for name in NAMES
    ]
    return statistics.geometric_mean(ratios)


def interval(ways: Ways, draws: int = 500) -> tuple[float, float]:
    """Where the ratio of medians lies, by bootstrap: its 5th and 95th percentile."""
    rng = np.random.default_rng(1)
    ours, plain = np.array(ways.ms["ours"]), np.array(ways.ms["plain"])
    ratios = [
        np.median(rng.choice(ours, len(ours))) / np.median(rng.choice(plain, len(plain)))
        for _ in range(draws)
    ]
    low, high = np.percentile(ratios, [5, 95])
    return float(low), float(high)


def tell(report: Report, found: dict[tuple[str, str], Ways]) -> None:
    """Prints both ways, and what ours is made of."""
    report.table(
        ["photograph", "plain ms", "ours ms", "ratio", "5 %", "95 %"],
        [
            (
                f"{name} {size}",
                ways.median("plain"),
                ways.median("ours"),
                ratio(ways.median("ours"), ways.median("plain")),
                *interval(ways),
            )
            for (name, size), ways in found.items()
        ],
        "from URL to RGB pixels, medians, in turn",
    )
    steps = ("plain fetch", "our fetch", "plain decode", "our decode", "our decode, in place")
    report.table(
        ["photograph", *(f"{step} ms" for step in steps)],
        [
            (f"{name} {size}", *(ways.median(step) for step in steps))
            for (name, size), ways in found.items()
        ],
        "the same in parts, each timed alone",
    )


def _photographs(folder: Path) -> dict[str, Path]:
    files = {}
    for name in NAMES:
        original = photograph(f"{name}.jpg")
        files[f"{name}-native.jpg"] = original
        for size in SIZES[1:]:
            path = folder / f"{name}-{size}.jpg"
            path.write_bytes(scaled(original, int(size)))
            files[path.name] = path
    return files


def main() -> None:
    """Runs and exits with 1 if the limit was not kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    end_on_signals()
    report = Report(f"The price of the guard, {wanted.rounds} rounds")
    with tempfile.TemporaryDirectory() as folder, FileServer(_photographs(Path(folder))) as files:
        found = asyncio.run(measure(files, wanted.rounds))
    report.table(["way", "what it includes"], [("plain", PLAIN), ("ours", Guarded.INCLUDES)])
    tell(report, found)
    kept = judged(
        report,
        [Limit(f"ours to plain, {size}", price(found, size), MOST_PRICE) for size in ORDINARY],
    )
    if wanted.json:
        report.json(wanted.json)
    sys.exit(0 if kept else 1)


PLAIN = "requests.get, Image.open, convert to RGB"

if __name__ == "__main__":
    main()
