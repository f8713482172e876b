"""The BentoML service: the routes, what each does in order, and the wiring of the rooms.

Imported by the supervisor and by every worker, so nothing heavy is imported here: torch belongs to
the model workers alone, and LanceDB comes in when the API worker opens its table.
"""

import asyncio
import sys
from dataclasses import asdict
from typing import Any

import bentoml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from api.answers import answered
from api.backend import Backend
from api.errors import RequestError
from api.gate import Gate
from api.inputs import JsonInput
from api.memory import return_freed_memory
from api.openapi import DOCS_PAGE, document
from api.paths import hide_unknown_paths
from api.preflight import prepare
from api.schemas import (
    AddAnswer,
    AddRequest,
    AnnotatedPicture,
    DetectRequest,
    SearchAnswer,
    SearchRequest,
)
from api.settings import Settings, SettingsError
from images.schemas import LabelledBox
from runners.clip import ClipEmbedder
from runners.yolo import YoloDetector
from store.schemas import Hit, NewImage, SearchQuery

try:
    settings = Settings.from_environment()
except SettingsError as error:
    sys.exit(f"image-search cannot start: {error}")
JsonInput.max_body_bytes = settings.api.max_body_bytes


async def heartbeat(_: Request) -> Response:
    """Say that the API is up."""
    return JSONResponse({"message": "Api is running"})


async def docs(_: Request) -> Response:
    """The OpenAPI document, in place of BentoML's own."""
    return JSONResponse(document(_bento_service().openapi_spec.asdict()))


async def _nothing() -> None:
    """Where a search has no picture, or no text."""


def _result(hit: Hit) -> dict[str, Any]:
    return {"id": hit.id, "url": hit.url, "score": hit.score, "metadata": hit.metadata}


async def docs_page(_: Request) -> Response:
    """The OpenAPI document, readable and to try."""
    return FileResponse(DOCS_PAGE)


def _detection(box: LabelledBox) -> dict[str, Any]:
    """A detection as it goes out: to a hundredth of a pixel, and of a percent."""
    rounded = {
        "xyxy": [round(side, 2) for side in box.xyxy],
        "confidence": round(box.confidence, 4),
    }
    return {**asdict(box), **rounded}


pages = Starlette(
    routes=[
        Route("/heartbeat", heartbeat),
        Route("/docs.json", docs),
        Route("/", docs_page),
    ]
)


@bentoml.asgi_app(pages, path="/")
@bentoml.service(name="ImageSearch", workers=1, traffic={"timeout": 900})
class ImageSearch:
    """Search images by picture, by metadata or by text, and find the objects in them."""

    embedder = bentoml.depends(ClipEmbedder)
    detector = bentoml.depends(YoloDetector)

    def __init__(self) -> None:
        return_freed_memory()
        routes = [api.route for api in _bento_service().apis.values()]
        hide_unknown_paths(["/heartbeat", *routes])
        self.request_timeout_s = settings.api.request_timeout_s
        self._errors = bentoml.metrics.Counter(
            name="image_search_errors_total",
            documentation="Answers of the API that were errors",
            labelnames=["route", "code"],
        )

    @bentoml.on_deployment
    @staticmethod
    def check() -> None:
        """Before any worker starts: end the start in one line where something is missing."""
        prepare(settings)

    @bentoml.on_startup
    async def start(self) -> None:
        """Connect to the models and the table, beside BentoML's own start."""
        opening = Backend.open(self.embedder, self.detector, settings)
        self._opening = asyncio.create_task(opening)

    @bentoml.on_shutdown
    async def stop(self) -> None:
        """Write what waits."""
        if self.__is_ready__():
            await self._opening.result().close()
        else:
            self._opening.cancel()

    def __is_ready__(self) -> bool:
        return self._opening.done() and self._opening.exception() is None

    def count_error(self, route: str, code: str) -> None:
        """Count an answer that was an error."""
        self._errors.labels(route=route, code=code).inc()

    @bentoml.api(input_spec=AddRequest, output_spec=AddAnswer)
    @answered
    async def post_image_to_index(self, request: AddRequest) -> Response:
        """Add the image at a URL to the index, with metadata if given.

        Adding a URL again replaces its row. Once answered, the image is found by every search and
        survives a crash.
        """
        backend = await self._backend()
        vector = await backend.embed_picture(request.url)
        added = await backend.index.upsert(NewImage(request.url, vector, request.metadata))
        return JSONResponse({"message": "success", "id": added.id, "created": added.created})

    @bentoml.api(input_spec=SearchRequest, output_spec=SearchAnswer)
    @answered
    async def search_simmilar_images(self, request: SearchRequest) -> Response:
        """Find the images that are most like a picture, match a filter or fit a text."""
        return await self._search(request)

    @bentoml.api(input_spec=SearchRequest, output_spec=SearchAnswer)
    @answered
    async def search_similar_images(self, request: SearchRequest) -> Response:
        """The same as `/search_simmilar_images`, with the usual spelling."""
        return await self._search(request)

    @bentoml.api(input_spec=DetectRequest, output_spec=AnnotatedPicture)
    @answered
    async def run_object_detection(self, request: DetectRequest) -> Response:
        """Find the objects in the picture at a URL and draw them in."""
        floor = settings.models.yolo_min_confidence
        wanted = floor if request.confidence is None else request.confidence
        if wanted < floor:
            raise RequestError(f"confidence must be at least {floor:g}, this server's minimum")
        backend = await self._backend()
        async with backend.detected(request.url, wanted) as (picture, boxes):
            if request.format == "json":
                found = {"detections": [_detection(box) for box in boxes]}
                return JSONResponse({"width": picture.width, "height": picture.height, **found})
            jpeg = await backend.pictures.annotated(picture, boxes)
        return Response(jpeg, media_type="image/jpg")

    async def _search(self, request: SearchRequest) -> Response:
        text = request.metadata if isinstance(request.metadata, str) else None
        filter_ = request.metadata if isinstance(request.metadata, dict) else None
        if not (request.url or text or filter_):
            raise RequestError("no url and no metadata provided: give a url, a text or a filter")
        backend = await self._backend()
        vector, text_vector = await asyncio.gather(
            backend.embed_picture(request.url) if request.url else _nothing(),
            backend.embed_text(text) if text else _nothing(),
        )
        query = SearchQuery(
            vector=vector,
            text=text or None,
            text_vector=text_vector,
            filter=filter_ or None,
            limit=request.limit,
            offset=request.offset,
            min_score=request.min_score,
        )
        hits = await backend.index.search(query)
        return JSONResponse({"results": [_result(hit) for hit in hits]})

    async def _backend(self) -> Backend:
        return await asyncio.shield(self._opening)


def _bento_service() -> Any:
    """The decorated class: BentoML puts a Service in its place."""
    return ImageSearch


_bento_service().add_asgi_middleware(
    Gate, api_keys=settings.api.api_keys, max_in_flight=settings.api.max_in_flight
)
