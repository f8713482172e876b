"""Searches of the store alone, in a process of its own, for `bench.growth`."""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from bench.filled import clusters_of, identity, mib_in
from bench.lone import WARM_UP
from bench.timing import each
from store.index import ImageIndex
from store.schemas import SearchQuery
from store.settings import StoreSettings

_MIB = 1 << 20


@dataclass(frozen=True)
class Alone:
    """The store without the service.

    Attributes:
        p50_ms: of searches by vector, one after the other.
        p99_ms: of the same.
        rss_mib: of the process, with LanceDB and nothing else.
        disk_mib: of the table.
    """

    p50_ms: float
    p99_ms: float
    rss_mib: float
    disk_mib: float


def searches(settings: Mapping[str, str], runs: int) -> Alone:
    """Search the table of these settings, in a child process.

    Raises:
        subprocess.CalledProcessError: it failed; what it said is on standard error.
    """
    command = [sys.executable, "-m", "bench.store_growth", str(runs)]
    done = subprocess.run(
        command, env={**os.environ, **settings}, check=True, stdout=subprocess.PIPE
    )
    return Alone(**json.loads(done.stdout.splitlines()[-1]))


async def _measured(runs: int) -> Alone:
    settings, model = StoreSettings(), identity()
    index = await ImageIndex.open(settings, model)
    queries = clusters_of(await index.count(), model.dim).rows(WARM_UP + runs, stream=1)
    asked = [SearchQuery(vector=query) for query in queries]
    await each(index.search, asked[:WARM_UP])
    timed = await each(index.search, asked[WARM_UP:])
    await index.close()
    rss = psutil.Process().memory_info().rss
    disk = await asyncio.to_thread(mib_in, Path(settings.store_uri))
    return Alone(timed.ms(50), timed.ms(99), rss / _MIB, disk)


def main() -> None:
    """Print what was measured as JSON."""
    parser = argparse.ArgumentParser(description="A child of other benchmarks.")
    parser.add_argument("runs", type=int)
    print(json.dumps(asdict(asyncio.run(_measured(parser.parse_args().runs)))))


if __name__ == "__main__":
    main()
