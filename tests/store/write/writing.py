"""A process that adds images without end and prints the number of each one acknowledged."""

import asyncio
import sys
from pathlib import Path
from typing import Any

from store.index import ImageIndex
from tests.store.support import image, opened


async def main(folder: Path, turn: int, clients: int) -> None:
    # Compaction every few commits, so that a kill can hit it too.
    async with opened(folder, store_upkeep_every=5) as index:
        await asyncio.gather(*(_client(index, turn, n, clients) for n in range(clients)))


def metadata_of(n: int, turn: int) -> dict[str, Any]:
    """Of an image: in each round some keys have to widen, in objects and not."""
    late = n % 40 > 30
    wide = {f"price {turn}": 12.5 if late else n, f"at {turn}": "soon" if late else "2024-05-01"}
    return {"turn": turn, f"key {n % 20}": "x", "in": wide, "$text": f"number {n}"}


async def _client(index: ImageIndex, turn: int, first: int, step: int) -> None:
    n = first
    while True:
        await index.upsert(image(n, metadata_of(n, turn)))
        print(n, flush=True)  # noqa: T201 - this is how the test learns of it
        n += step


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
