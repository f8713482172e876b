"""What the tests of a change of the model share: a second model, and runs of the change."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from store.index import ImageIndex
from store.offline import rebuild
from store.offline.embedding import Embedded, EmbedRequest
from store.offline.outcome import Outcome
from store.offline.reembed import Reembedding
from store.schemas import Detector, FloatVector, Hit, ModelIdentity, SearchQuery
from store.settings import StoreSettings

NEW = ModelIdentity("ViT-New", "other", 24)
THIRD = ModelIdentity("ViT-Third", "another", 8)
Done = Callable[[Embedded], Awaitable[None]]


def new_vector(url: str, dim: int = NEW.dim) -> FloatVector:
    """What the new model makes of the picture at a URL."""
    drawn = np.random.default_rng(list(url.encode())).normal(size=dim)
    return (drawn / np.linalg.norm(drawn)).astype(np.float32)


def object_vector(url: str, n: int, dim: int = NEW.dim) -> FloatVector:
    """What the new model makes of an object in it."""
    return new_vector(f"{url}#{n}", dim)


class FakeEmbedder:
    """Stands in for the network and the model, which this room does not know."""

    def __init__(self, dim: int = NEW.dim, failing: frozenset[str] = frozenset()) -> None:
        self.urls: list[str] = []
        self.files: dict[str, str] = {}
        self.failing = failing
        self.others: set[str] = set()
        """URLs whose pictures are others by now."""
        self.before_each: Callable[[str], Awaitable[None]] | None = None
        self._dim = dim

    async def __call__(self, wanted: AsyncIterator[EmbedRequest], done: Done) -> None:
        async for each in wanted:
            if self.before_each:
                await self.before_each(each.url)
            self.urls.append(each.url)
            if each.file is not None:
                self.files[each.url] = each.file
            if each.url in self.failing:
                await done(Embedded(each.id, None, "it is not there"))
            else:
                await done(self._embedded(each))

    def _embedded(self, each: EmbedRequest) -> Embedded:
        vector = new_vector(each.url, self._dim)
        if each.objects is None or each.url in self.others:
            return Embedded(each.id, vector)
        own = [object_vector(each.url, n, self._dim) for n in range(len(each.objects.boxes))]
        none = np.empty((0, self._dim), np.float32)
        return Embedded(each.id, vector, objects=np.stack(own) if own else none)


class Heard:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.total = self.done = 0
        self.failures: list[tuple[str, str]] = []

    def begin(self, total: int, done: int) -> None:
        self.total, self.done = total, done

    def advance(self, images: int) -> None:
        self.done += images

    def failed(self, url: str, reason: str) -> None:
        self.failures.append((url, reason))
        self.done += 1


async def moved(
    folder: Path | str,
    embed: FakeEmbedder,
    identity: ModelIdentity = NEW,
    leave_out_failed: bool = False,
    heard: Heard | None = None,
) -> Outcome:
    """A whole run of the command, but for the models."""
    async with Reembedding.opened(StoreSettings(store_uri=str(folder))) as work:
        await work.check_half_made(identity.model, identity.pretrained, start_over=False)
        return await work.run(identity, embed, heard or Heard(), leave_out_failed=leave_out_failed)


@asynccontextmanager
async def opened_as(
    folder: Path | str, identity: ModelIdentity, detector: Detector | None = None
) -> AsyncIterator[ImageIndex]:
    settings = StoreSettings(store_uri=str(folder))
    index = await ImageIndex.open(settings, identity, detector=detector)
    try:
        yield index
    finally:
        await index.close()


async def everything(index: ImageIndex) -> list[Hit]:
    return await index.search(SearchQuery(limit=1000))


class LoggedEmbedder(FakeEmbedder):
    """Writes down each URL in a file, before its row can be committed."""

    def __init__(self, log: Path) -> None:
        super().__init__()
        self.before_each = self._write_down
        self._log = log

    async def _write_down(self, url: str) -> None:
        await asyncio.sleep(0.01)
        with self._log.open("a") as log:
            log.write(url + "\n")


if __name__ == "__main__":
    rebuild.COMMIT_AFTER_S = 0.0  # each row by itself
    asyncio.run(moved(Path(sys.argv[1]), LoggedEmbedder(Path(sys.argv[2]))))
