"""A client of the image search service: `Client`, and `AsyncClient` for asyncio.

It needs nothing of the service's own code, and nothing heavy: httpx alone.
"""

from image_search.client import AsyncClient, Client
from image_search.errors import (
    AccessError,
    ForbiddenError,
    ImageSearchError,
    MisdirectedError,
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
    Change,
    ChangePage,
    ColumnType,
    Detection,
    Detections,
    Hit,
    Image,
    IndexStatus,
    LeftAsItIs,
    Model,
    NearDuplicate,
    NotAdded,
    Page,
    Undone,
    Upkeep,
    Version,
)
from image_search.retries import Retries

__all__ = [
    "AccessError",
    "Added",
    "AsyncClient",
    "Change",
    "ChangePage",
    "Client",
    "ColumnType",
    "Detection",
    "Detections",
    "ForbiddenError",
    "Hit",
    "Image",
    "ImageSearchError",
    "IndexStatus",
    "LeftAsItIs",
    "MisdirectedError",
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
    "Undone",
    "UnexpectedAnswerError",
    "UnreachableError",
    "Upkeep",
    "Version",
]
