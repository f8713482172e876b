"""A process that adds images without end and prints the number of each one acknowledged."""

import asyncio
import sys
from pathlib import Path

from store.index import ImageIndex
from tests.store.support import image, opened


async def main(folder: Path, turn: int, clients: int) -> None:
    # Compaction every few commits, so that a kill can hit it too.
    async with opened(folder, store_upkeep_every=5) as index:
        await asyncio.gather(*(_client(index, turn, n, clients) for n in range(clients)))


async def _client(index: ImageIndex, turn: int, first: int, step: int) -> None:
    n = first
    while True:
        await index.upsert(image(n, {"turn": turn, f"key {n % 20}": "x"}))
        print(n, flush=True)  # noqa: T201 - this is how the test learns of it
        n += step


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
