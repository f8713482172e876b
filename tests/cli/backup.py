"""A backup of many images over the API: export, all deleted, and `index` of the exported file.

    python -m tests.cli.backup --rows 100000

The service starts on a table of made-up rows with metadata of every type, thumbnails and pictures
of the same pixels. Every row, vector, id, date and thumbnail must be as before; the rates are told.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from demo.process import PROJECT, ServiceProcess
from image_search import Client, Model, WholeImage
from tests.cli.interrupted import command
from tests.running import environment

THUMBNAILS = 500
"""Different ones; every other row is of pixels of its own all the same."""

_SEED, _BATCH, _AT_ONCE = 11, 60, 8
_FIRST_DAY = datetime(2024, 5, 1, 12, 0, 0, 250, UTC)
Prints = dict[str, str]
"""A digest of all that is told of an image, by its id."""


def made_up(count: int, dim: int) -> Iterator[WholeImage]:
    """Rows as an index has them."""
    drawn = np.random.default_rng(_SEED)
    small = [_thumbnail(number) for number in range(min(count, THUMBNAILS))]
    for number in range(count):
        vector = drawn.normal(size=dim)
        vector = (vector / np.linalg.norm(vector)).astype("<f4")
        url = f"https://pictures.example/{number}.jpg?größe=1"
        own = f"shop-{number % 7}:{number}" if number % 2 else _id_of(url)
        pixels = hashlib.sha256(b"%d" % (number - number % 3)).hexdigest()
        date = _FIRST_DAY + timedelta(seconds=number, microseconds=number % 1000)
        metadata = f"row {number}, a free text" if number % 11 == 0 else _metadata(number)
        thumbnail = small[(number - number % 3) % len(small)]
        yield WholeImage(own, url, metadata, date, vector.tobytes(), pixels, None, thumbnail)


def _id_of(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:32]


def _metadata(number: int) -> dict[str, object]:
    return {
        "shop": f"shop {number % 7} „groß“",
        "price": number / 8 + 0.5,
        "stock": number,
        "new": number % 2 == 0,
        "since": f"2024-05-{number % 28 + 1:02}T10:00:00Z",
        "tags": ["red", "neu", str(number % 50)],
        **({"$text": f"text {number}", "gps": {"lat": number / 16}} if number % 5 == 0 else {}),
    }


def _thumbnail(number: int) -> bytes:
    """A JPEG of about 6 KB, as a photograph's is."""
    drawn = np.random.default_rng(number)
    coarse = Image.fromarray(drawn.integers(0, 255, (12, 16, 3), np.uint8))
    file = BytesIO()
    coarse.resize((320, 240), Image.Resampling.BICUBIC).save(file, "JPEG", quality=80)
    return file.getvalue()


def prints(client: Client) -> Prints:
    """What there is, page by page."""
    found: Prints = {}
    page = client.export_page()
    while True:
        for row in page.rows:
            if row.id in found:
                raise AssertionError(f"{row.id} is there twice")
            found[row.id] = hashlib.sha256(repr(row).encode()).hexdigest()
        if page.next is None:
            return found
        page = client.export_page(page.next)


def fill(client: Client, count: int) -> None:
    """Put rows in, over the API."""
    status = client.status()
    rows = made_up(count, status.dim)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        while some := [batch for _ in range(_AT_ONCE) if (batch := list(islice(rows, _BATCH)))]:
            list(pool.map(lambda batch: _put(client, batch, status.model), some))


def _put(client: Client, rows: list[WholeImage], model: Model) -> None:
    for result in client.import_rows(rows, model):
        if not hasattr(result, "created"):
            raise AssertionError(f"a made-up row was refused: {result}")


def run(rows: int, folder: Path) -> list[str]:
    """What went wrong; nothing where all is as it must be."""
    file, wrong = folder / "backup.parquet", list[str]()
    service = ServiceProcess(environment(folder), folder / "log")
    with service, Client(service.url) as client:
        began = time.monotonic()
        fill(client, rows)
        _tell("filled", rows, began)
        before, listed = prints(client), client.list(limit=1000)
        began = time.monotonic()
        wrong += _called("export", str(file), "--server", service.url)
        _tell(f"exported, {file.stat().st_size >> 20} MiB", rows, began)
        if client.delete_many(all=True) != rows or client.status().rows:
            wrong.append("not all were deleted")
        began = time.monotonic()
        wrong += _called("index", str(file), "--server", service.url, "--json")
        _tell("indexed", rows, began)
        if (after := prints(client)) != before:
            wrong.append(f"{len(before.items() ^ after.items())} rows are others")
        if client.list(limit=1000) != listed:
            wrong.append("the newest are others")
        some = [row for row in made_up(min(rows, 50), client.status().dim) if row.thumbnail]
        if any(client.thumbnail(row.id) != row.thumbnail for row in some):
            wrong.append("a thumbnail is another")
    return wrong


def _called(*words: str) -> list[str]:
    done = subprocess.run(command(*words), cwd=PROJECT, capture_output=True, text=True, check=False)
    print(done.stdout, end="", flush=True)
    return [] if done.returncode == 0 else [f"{words[0]}: {done.stdout}{done.stderr}"]


def _tell(what: str, rows: int, began: float) -> None:
    seconds = time.monotonic() - began
    told = {"did": what, "seconds": round(seconds, 1), "rows/s": int(rows / seconds)}
    print(json.dumps(told), flush=True)


def main() -> None:
    """Run, and exit with 1 if something was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        wrong = run(rows, Path(folder))
    sys.exit("\n".join(wrong) or None)


if __name__ == "__main__":
    main()
