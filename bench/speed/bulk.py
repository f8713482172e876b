"""How near does a bulk run come to one process that only embeds, and to `image-search index`?

The same pictures, each with a URL and pixels of its own, go through `image-search bulk --ray local`
and through `image-search index` into a service. The limit is one process that decodes, prepares and
computes their files in full batches; it is measured before and after each. Rows of the first shard
do not count, in which workers begin::

    uv run --extra bulk python -m bench bulk            # about five minutes

A run must reach 0.85 of the limit, and what `image-search index` does.
"""

import json
import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from statistics import mean
from typing import Any

from bench.load.fileserver import FileServer
from bench.load.photos import by_shape, photographs, sides_of
from bench.load.traffic import ALLOWED, fresh_url, metadata_of
from bench.report import PROJECT, Limit, Report, ratio
from bench.service.models import PREFIX, SIZES, settings_of
from bench.service.running import started
from bench.speed.limit import Limits

LEAST_OF_LIMIT, LEAST_OF_INDEX = 0.85, 1.0


def called(settings: Mapping[str, str], *words: object) -> dict[str, Any]:
    """The numbers that a command of `image-search` ends with."""
    command = [sys.executable, "-m", "image_search.cli.main", *map(str, words), "--json"]
    environment = {**os.environ, **settings}
    done = subprocess.run(
        command, env=environment, cwd=PROJECT, stdout=subprocess.PIPE, check=False
    )
    told: dict[str, Any] = json.loads(done.stdout or b"{}")
    if done.returncode or told.get("failed"):
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {told}")
    return told


def write_rows(path: Path, files: str, photos: Sequence[str], count: int) -> None:
    """A table of so many pictures, none of them twice."""
    with path.open("w") as file:
        for n in range(count):
            url = fresh_url(files, photos[n % len(photos)], n)
            file.write(json.dumps({"url": url, **metadata_of(n)}) + "\n")


def bulk_rate(settings: Mapping[str, str], source: Path, folder: Path, shard_rows: int) -> float:
    """Rows a second of a run, from the end of its first shard to that of its last."""
    state = folder / "state"
    own = {
        **settings,
        f"{PREFIX}STORE_URI": str(folder / "bulk"),
        f"{PREFIX}ALLOW_NETWORKS": ALLOWED,
    }
    words = ("--ray", "local", "--state", state, "--shard-rows", shard_rows)
    called(own, "bulk", source, *words)
    marks = sorted((state / "shards").rglob("*.staged.json"))
    ends = [mark.stat().st_mtime for mark in marks]
    rows = sum(json.loads(mark.read_bytes())["rows"] for mark in marks[1:])
    return ratio(rows, max(ends) - min(ends))


def index_rate(settings: Mapping[str, str], source: Path, folder: Path) -> float:
    """Rows a second of `image-search index` into a service of the same settings."""
    with started(settings, folder) as service:
        told = called({}, "index", source, "--server", service.url)
    return ratio(told["indexed"], told["seconds"])


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--models", choices=SIZES, default="full")
    parser.add_argument("--precision", help="of both models")
    parser.add_argument("--sides", type=sides_of, default=sides_of("640"))
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--shard-rows", type=int, default=1000)


def run(given: Namespace, report: Report) -> list[Limit]:
    settings = settings_of(given, report)
    with (
        tempfile.TemporaryDirectory() as name,
        photographs(given.sides) as photos,
        FileServer(photos) as files,
        closing(Limits(by_shape(photos), settings)) as limits,
    ):
        folder, source = Path(name), Path(name) / "rows.jsonl"
        write_rows(source, files.url, tuple(photos), given.rows)
        limits.find("clip")
        alone = [limits.measure("clip")]
        bulk = bulk_rate(settings, source, folder, given.shard_rows)
        alone.append(limits.measure("clip"))
        index = index_rate(settings, source, folder)
        alone.append(limits.measure("clip"))
    of_limit, of_index = ratio(bulk, mean(alone[:2])), ratio(bulk, index)
    rows = [("image-search bulk", bulk, of_limit)]
    rows += [("image-search index", index, ratio(index, mean(alone[1:])))]
    rows += [(f"one process alone: {limits.found['clip'].words}", mean(alone), 1.0)]
    report.table(["", "pictures/s", "of the limit beside it"], rows, f"{given.rows:,} pictures")
    return [
        Limit("bulk to one process that only embeds", of_limit, least=LEAST_OF_LIMIT),
        Limit("bulk to image-search index", of_index, least=LEAST_OF_INDEX),
    ]
