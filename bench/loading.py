"""Loading many rows into an index at once, for the benchmarks.

The rows are laid out by the store's own code into the store's own table; only the commit is one for
all, as how long a million single adds take is for another benchmark to say.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from bench.vectors import Matrix
from store.metadata.columns import Registry
from store.metadata.rows import Row, to_arrow
from store.schemas import ModelIdentity, image_id
from store.settings import StoreSettings
from store.table.connection import connect
from store.table.open import open_table

START = datetime(2024, 1, 1, tzinfo=UTC)
RARE_ROWS = 7


def url_of(number: int) -> str:
    """The url of a row by its number."""
    return f"https://example.org/{number}.jpg"


def number_of(url: str) -> int:
    """The number of a row by its url."""
    return int(url.removeprefix("https://example.org/").removesuffix(".jpg"))


def metadata_of(number: int) -> dict[str, Any]:
    """Values of which filters keep a half, a hundredth, and `RARE_ROWS` rows of each 100,000.

    Unlike the half, all of a kind lie around centres of their own, see `bench.vectors.Clusters`.
    """
    return {
        "half": number * 2_654_435_761 % 1000 < 500,
        "kind": number % 2,
        "percent": number * 40_503 % 100,
        "rare": number % (100_000 // RARE_ROWS + 1),
        "shop": f"shop {number % 40}",
    }


async def load(settings: StoreSettings, identity: ModelIdentity, parts: Iterable[Matrix]) -> int:
    """Adds rows for all vectors, numbered on from those there are, in one commit.

    Returns:
        How many rows there are now.
    """
    connection = await connect(settings)
    table = await open_table(connection, identity)
    before = Registry.from_schema(await table.schema())
    _, registry = before.place(metadata_of(0))
    added = registry.columns[len(before.columns) :]
    if added:
        await table.add_columns([column.field() for column in added])
    schema, first = await table.schema(), int(await table.count_rows())
    batches = _batches(parts, first, registry, schema)
    await table.add(pa.RecordBatchReader.from_batches(schema, batches))
    rows = int(await table.count_rows())
    table.close()
    connection.close()
    return rows


def _batches(
    parts: Iterable[Matrix], first: int, registry: Registry, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    for vectors in parts:
        rows = [_row(first + n, vector, registry) for n, vector in enumerate(vectors)]
        yield from to_arrow(rows, registry, schema).to_batches()
        first += len(vectors)


def _row(number: int, vector: Any, registry: Registry) -> Row:
    url = url_of(number)
    values, _ = registry.place(metadata_of(number))
    text = f"word{number % 5000} picture" if number % 10 == 0 else None
    created_at = START + timedelta(seconds=number)
    return Row(image_id(url), url, vector, created_at, text, None, None, values)
