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
from image_search.results.images import (
    Added,
    Image,
    ImageObjects,
    IndexedObject,
    NearDuplicate,
    NotAdded,
    Page,
)
from image_search.results.searches import Detection, Detections, Facet, FacetValue, Found, Hit
from image_search.results.table import (
    Change,
    ChangePage,
    ColumnType,
    Detector,
    IndexedObjects,
    IndexStatus,
    LeftAsItIs,
    Model,
    Undone,
    Upkeep,
    Version,
)
from image_search.results.whole import (
    ExportPage,
    NotImported,
    WholeImage,
    WholeObject,
    WholeObjects,
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
    "Detector",
    "ExportPage",
    "Facet",
    "FacetValue",
    "ForbiddenError",
    "Found",
    "Hit",
    "Image",
    "ImageObjects",
    "ImageSearchError",
    "IndexStatus",
    "IndexedObject",
    "IndexedObjects",
    "LeftAsItIs",
    "MisdirectedError",
    "Model",
    "NearDuplicate",
    "NotAdded",
    "NotFoundError",
    "NotImported",
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
    "WholeImage",
    "WholeObject",
    "WholeObjects",
]
