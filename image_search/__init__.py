"""A client of the image search service: `Client`, and `AsyncClient` for asyncio.

It needs nothing of the service's own code, and nothing heavy: httpx alone.
"""

from image_search.client import AsyncClient, Client
from image_search.errors import (
    ImageSearchError,
    NotFoundError,
    OverloadedError,
    RefusedError,
    TimedOutError,
    UnauthorizedError,
    UnexpectedAnswerError,
    UnreachableError,
)
from image_search.results import (
    Added,
    Detection,
    Detections,
    Hit,
    Image,
    IndexStatus,
    Model,
    NearDuplicate,
    NotAdded,
    Page,
    Upkeep,
    Version,
)
from image_search.retries import Retries

__all__ = [
    "Added",
    "AsyncClient",
    "Client",
    "Detection",
    "Detections",
    "Hit",
    "Image",
    "ImageSearchError",
    "IndexStatus",
    "Model",
    "NearDuplicate",
    "NotAdded",
    "NotFoundError",
    "OverloadedError",
    "Page",
    "RefusedError",
    "Retries",
    "TimedOutError",
    "UnauthorizedError",
    "UnexpectedAnswerError",
    "UnreachableError",
    "Upkeep",
    "Version",
]
