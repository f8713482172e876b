"""A table with many rows, laid down before the service starts, its indexes built.

The rows are seeded vectors of the service's own model, see `bench.loading`. It happens in a child
process, so that no benchmark keeps LanceDB's threads beside the service::

    python -m bench.filled ROWS     # settings from the environment
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.loading import load
from bench.vectors import DIM, Clusters
from runners.settings import ModelSettings
from runners.weights.source import clip_source, identity_of
from store.index import ImageIndex
from store.schemas import ModelIdentity
from store.settings import StoreSettings

_CLUSTER_ROWS = 500


def fill(settings: Mapping[str, str], rows: int) -> None:
    """Lay the table down that a service with these settings will open.

    Raises:
        subprocess.CalledProcessError: it failed; what it said is on standard error.
    """
    command = [sys.executable, "-m", "bench.filled", str(rows)]
    subprocess.run(command, env={**os.environ, **settings}, check=True)


def identity() -> ModelIdentity:
    """The model of the settings in the environment, as the service names it, without loading it."""
    source = clip_source(ModelSettings())
    # Of the architectures that are measured, ViT-B-32 alone comes without a config of its own.
    dim = json.loads(source.config.read_text())["embed_dim"] if source.config else DIM
    return ModelIdentity(source.architecture, identity_of(source), dim)


def clusters_of(rows: int, dim: int) -> Clusters:
    """What the rows of a filled table are drawn from, and queries for it."""
    return Clusters(rows // _CLUSTER_ROWS, dim=dim)


def mib_in(folder: Path) -> float:
    """The size of all files of a table."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20


async def _fill(rows: int) -> None:
    settings, model = StoreSettings(), identity()
    await load(settings, model, clusters_of(rows, model.dim).batches(rows))
    index = await ImageIndex.open(settings, model)
    await index.run_upkeep()
    await index.close()


def main() -> None:
    """Fill the table of the settings in the environment."""
    parser = argparse.ArgumentParser(description="A child of other benchmarks.")
    parser.add_argument("rows", type=int)
    asyncio.run(_fill(parser.parse_args().rows))


if __name__ == "__main__":
    main()
