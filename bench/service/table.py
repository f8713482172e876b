"""Table with many seeded rows, laid down before a service starts, its indexes built.

Rows are laid out by the store's own code into the store's own table; only the commit is one for
all, as a million single adds would take too long. `fill` does it in a child process, so that no
benchmark keeps LanceDB's threads beside the service.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from runners.settings import ModelSettings
from runners.weights.source import clip_source, identity_of
from store.index import ImageIndex
from store.metadata.columns import Registry
from store.metadata.rows import Row, to_arrow
from store.schemas import ModelIdentity, image_id
from store.settings import StoreSettings
from store.table.connection import connect
from store.table.open import open_table

Matrix = NDArray[np.float32]
DIM = 512
RARE_ROWS = 7
CLUSTER_ROWS = 500
_BATCH_ROWS = 20_000
_START = datetime(2024, 1, 1, tzinfo=UTC)
MetadataOf = Callable[[int], dict[str, Any]]


class Clusters:
    """Points around random centres on the unit sphere; the same seed gives the same points.

    The noise is as long as the centre: rows of a cluster have a similarity of about 0.5 to each
    other and of 0 to the rest, as pictures of one kind have in a real index. There is a centre for
    each `of` rows; points of an even number lie around other centres than those of an odd one.
    """

    def __init__(self, rows: int, of: int = CLUSTER_ROWS, dim: int = DIM) -> None:
        self._centres = _unit(np.random.default_rng(7).normal(size=(max(2, rows // of), dim)))

    def batches(self, rows: int, stream: int = 0) -> Iterator[Matrix]:
        """Yield float32 [some, dim] of unit length, `rows` in all."""
        rng = np.random.default_rng((7, stream))
        for start in range(0, rows, _BATCH_ROWS):
            yield self._drawn(rng, min(_BATCH_ROWS, rows - start))

    def rows(self, rows: int, stream: int = 0) -> Matrix:
        """The same in one piece."""
        return np.concatenate(list(self.batches(rows, stream)))

    def _drawn(self, rng: np.random.Generator, rows: int) -> Matrix:
        noise = rng.standard_normal((rows, self._centres.shape[1]), dtype=np.float32)
        # _BATCH_ROWS is even, so each batch begins with an even number.
        numbers = 2 * rng.integers(len(self._centres) // 2, size=rows) + np.arange(rows) % 2
        return _unit(self._centres[numbers] + noise * np.float32(1 / np.sqrt(noise.shape[1])))


def _unit(vectors: NDArray[np.float64] | Matrix) -> Matrix:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def url_of(number: int) -> str:
    return f"https://example.org/{number}.jpg"


def number_of(url: str) -> int:
    return int(url.removeprefix("https://example.org/").removesuffix(".jpg"))


def row_metadata(number: int) -> dict[str, Any]:
    """Values of which filters keep a half, a hundredth, and `RARE_ROWS` rows of each 100,000.

    Unlike the half, all rows of a kind lie around centres of their own, see `Clusters`.
    """
    return {
        "half": number * 2_654_435_761 % 1000 < 500,
        "kind": number % 2,
        "percent": number * 40_503 % 100,
        "rare": number % (100_000 // RARE_ROWS + 1),
        "shop": f"shop {number % 40}",
    }


async def load(
    settings: StoreSettings,
    identity: ModelIdentity,
    parts: Iterable[Matrix],
    metadata: MetadataOf = row_metadata,
) -> None:
    """Add rows for all vectors in one commit, with the metadata of their numbers."""
    connection = await connect(settings)
    table = await open_table(connection, identity)
    _, registry = Registry.from_schema(await table.schema()).place(metadata(0))
    await table.add_columns([column.field() for column in registry.columns])
    schema = await table.schema()

    def batches() -> Iterator[pa.RecordBatch]:
        numbers = count()
        for vectors in parts:
            placed = (_row(n, each, registry, metadata) for each, n in zip(vectors, numbers))  # noqa: B905
            rows = [*placed]
            yield from to_arrow(rows, registry, schema).to_batches()

    await table.add(pa.RecordBatchReader.from_batches(schema, batches()))
    table.close()
    connection.close()


def _row(number: int, vector: Any, registry: Registry, metadata: MetadataOf) -> Row:
    url = url_of(number)
    values, _ = registry.place(metadata(number))
    text = f"word{number % 5000} picture" if number % 10 == 0 else None
    created_at = _START + timedelta(seconds=number)
    return Row(image_id(url), url, vector, created_at, text, None, None, values)


def fill(settings: Mapping[str, str], rows: int) -> None:
    """Lay down the table that a service with these settings will open."""
    command = [sys.executable, "-m", __name__, str(rows)]
    subprocess.run(command, env={**os.environ, **settings}, check=True)


def service_identity() -> ModelIdentity:
    """The model of the settings in the environment, as the service names it, without loading it."""
    source = clip_source(ModelSettings())
    # Of the architectures that are measured, ViT-B-32 alone comes without a config of its own.
    dim = json.loads(source.config.read_text())["embed_dim"] if source.config else DIM
    return ModelIdentity(source.architecture, identity_of(source), dim)


def mib_in(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20


async def _fill(rows: int) -> None:
    settings, model = StoreSettings(), service_identity()
    await load(settings, model, Clusters(rows, dim=model.dim).batches(rows))
    index = await ImageIndex.open(settings, model)
    await index.run_upkeep()
    await index.close()


if __name__ == "__main__":
    asyncio.run(_fill(int(sys.argv[1])))
