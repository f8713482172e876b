"""What thumbnails cost: searches, adds and the disk, with them and without.

Two tables of the same 20,000 rows of 512 dimensions, in one process, filled by the store's own
adds: one with a thumbnail for each row, parts of two photographs, the other without. Then the same
searches on both, in turn, and on the one with thumbnails those of each result are read after its
search, as a grid does::

    python -m bench.thumbnails

Exits with 1 if the p50 of a search by picture, by text or by a filter is more than a tenth above
that of the table without them.
"""

import argparse
import asyncio
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from bench.fileserver import photograph
from bench.filled import clusters_of, mib_in
from bench.loading import metadata_of, url_of
from bench.photos import NAMES
from bench.report import Cell, Report
from bench.vectors import DIM, Matrix
from bench.verdict import Limit, judged, percentile, ratio
from images.decode.thumbnail import thumbnail
from images.settings import DecodeSettings
from store.index import ImageIndex
from store.schemas import ModelIdentity, NewImage, SearchQuery
from store.settings import StoreSettings

MOST_SLOWDOWN = 1.1
CLIENTS = 64
LIMIT = 24
Query = Callable[[int], SearchQuery]


def small_pictures(number: int) -> Iterator[bytes]:
    """Thumbnails of different parts of two photographs, as the service makes them."""
    most, rng = DecodeSettings().thumbnail_size, np.random.default_rng(11)
    photos = [Image.open(photograph(f"{name}.jpg")).convert("RGB") for name in NAMES]
    for n in range(number):
        photo = photos[n % len(photos)]
        left, top = (int(rng.integers(0, side // 4)) for side in photo.size)
        part = (left, top, left + photo.width * 3 // 4, top + photo.height * 3 // 4)
        yield thumbnail(photo.crop(part), most)


async def fill(index: ImageIndex, vectors: Matrix, pictures: Iterator[bytes] | None) -> float:
    """Adds every row by itself, `CLIENTS` at once.

    Returns:
        Rows per second.
    """
    numbers = iter(range(len(vectors)))

    async def client() -> None:
        for n in numbers:
            image = NewImage(url_of(n), vectors[n], metadata_of(n))
            if pictures is not None:
                small = next(pictures)
                image = replace(image, pixels=hashlib.sha256(small).hexdigest(), thumbnail=small)
            await index.upsert(image)

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    speed = len(vectors) / (time.perf_counter() - began)
    await index.run_upkeep()
    return speed


def queries(vectors: Matrix) -> dict[str, Query]:
    """The n-th search of each kind."""
    return {
        "picture": lambda n: SearchQuery(vector=vectors[n], limit=LIMIT),
        "text": lambda n: SearchQuery(text="a red shoe", text_vector=vectors[n], limit=LIMIT),
        "filter": lambda n: SearchQuery(filter={"percent": n % 100}, limit=LIMIT),
    }


async def compare(
    plain: ImageIndex, with_them: ImageIndex, query: Query, runs: int
) -> tuple[list[float], list[float], list[float]]:
    """The same searches on both, in turn.

    Returns:
        Milliseconds of each: on the plain one, on the other, and of reading a thumbnail.
    """
    took: tuple[list[float], list[float], list[float]] = ([], [], [])
    for n in range(runs):
        order = [(plain, took[0]), (with_them, took[1])]
        for index, ms in order if n % 2 else reversed(order):
            began = time.perf_counter()
            hits = await index.search(query(n))
            ms.append((time.perf_counter() - began) * 1e3)
        for hit in hits:
            began = time.perf_counter()
            if await with_them.picture(hit.id, "thumbnails") is None:
                raise RuntimeError("a thumbnail is missing")
            took[2].append((time.perf_counter() - began) * 1e3)
    return took


async def measure(folder: Path, rows: int, runs: int, report: Report) -> bool:
    """Measures, prints, and tells whether the limits were kept."""
    vectors = clusters_of(rows, DIM).rows(rows)
    report.say(f"{rows:,} thumbnails are made ...")
    made = list(small_pictures(rows))
    identity, places = ModelIdentity("bench", "drawn", DIM), (folder / "plain", folder / "with")
    plain, with_them = [
        await ImageIndex.open(StoreSettings(store_uri=str(place)), identity) for place in places
    ]
    speeds = [await fill(plain, vectors, None), await fill(with_them, vectors, iter(made))]
    _tell_sizes(report, places, speeds, made)
    asked = queries(clusters_of(rows, DIM).rows(runs, stream=1))
    found = {name: await compare(plain, with_them, query, runs) for name, query in asked.items()}
    table: list[tuple[Cell, ...]] = [
        (name, *(percentile(ms, p) for ms in each for p in (50, 99)))
        for name, each in found.items()
    ]
    columns = [
        f"{what}, {p} ms" for what in ("without", "with", "a thumbnail") for p in ("p50", "p99")
    ]
    report.table(["search", *columns], table, f"{LIMIT} results each, {runs} runs")
    await plain.close()
    await with_them.close()
    limits = [
        Limit(f"search by {name}, p50: with to without", _slowdown(each), most=MOST_SLOWDOWN)
        for name, each in found.items()
    ]
    return judged(report, limits)


def _slowdown(took: tuple[list[float], list[float], list[float]]) -> float:
    return ratio(percentile(took[1], 50), percentile(took[0], 50))


def _tell_sizes(
    report: Report, places: tuple[Path, Path], speeds: list[float], made: list[bytes]
) -> None:
    rows: list[tuple[Cell, ...]] = []
    for name, place, speed in zip(("without", "with"), places, speeds, strict=True):
        files = place / "pictures"
        pictures = mib_in(files) * 2**20 / len(made) if files.exists() else 0.0
        table = mib_in(place / "images.lance") * 2**20 / len(made)
        rows.append((name, speed, table, pictures))
    columns = ["thumbnails", "adds/s", "table, bytes per image", "thumbnails, bytes per image"]
    report.table(columns, rows, f"{CLIENTS} clients that add; old versions of the table included")


def main() -> None:
    """Runs and exits with 1 if a limit was not kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=300, help="searches of each kind")
    parser.add_argument("--json", type=Path, help="write the tables to this file, too")
    given = parser.parse_args()
    report = Report(f"Thumbnails: {given.rows:,} rows, {given.runs} searches of each kind")
    with tempfile.TemporaryDirectory() as folder:
        kept = asyncio.run(measure(Path(folder), given.rows, given.runs, report))
    if given.json:
        report.json(given.json)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
