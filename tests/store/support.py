"""What the store's tests share: a small real index, vectors, and a loop to run it on."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from store.index import ImageIndex
from store.schemas import Detector, FloatVector, ModelIdentity, NewImage
from store.settings import StoreSettings

DIM = 16
IDENTITY = ModelIdentity("ViT-Test", "seeded", DIM)
T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


def vector(seed: int) -> FloatVector:
    drawn = np.random.default_rng(seed).normal(size=DIM)
    return (drawn / np.linalg.norm(drawn)).astype(np.float32)


def image(n: int, metadata: Mapping[str, Any] | str | None = None) -> NewImage:
    return NewImage(url_of(n), vector(n), metadata)


def url_of(n: int) -> str:
    return f"https://example.org/{n}.jpg"


@asynccontextmanager
async def opened(
    folder: Path, detector: Detector | None = None, /, **settings: Any
) -> AsyncIterator[ImageIndex]:
    of = StoreSettings(store_uri=str(folder), **settings)
    index = await ImageIndex.open(of, IDENTITY, detector=detector)
    try:
        yield index
    finally:
        await index.close()
