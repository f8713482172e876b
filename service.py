"""The BentoML API service: its routes, and what its workers start with.

Imported by the supervisor and by every worker, so nothing heavy is imported here: torch belongs to
the model workers alone, and LanceDB comes in when the API worker opens its table.
"""

import asyncio
import sys
from functools import partial
from typing import Any

import bentoml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.contract import requests, responses
from api.contract.openapi import document
from api.middleware.stack import front
from api.routes import add, detect, images, index, page, search
from api.routes.handler import Handler
from api.serving.gauges import WorkerGauges
from api.serving.machine import freeze_startup_objects, return_freed_memory
from api.serving.patches import apply
from api.serving.preflight import prepare
from api.settings import Settings, SettingsError
from api.telemetry.log_setup import configure_logs
from runners.clip.service import ClipEmbedder
from runners.serving.shutdown import end_with_supervisor
from runners.yolo.service import YoloDetector

try:
    settings = Settings.from_environment()
except SettingsError as error:
    sys.exit(f"image-search cannot start: {error}")
configure_logs(settings.api.log_format, settings.api.api_keys)

run = Handler(settings)


async def heartbeat(_: Request) -> Response:
    """Say that the API is up."""
    return JSONResponse({"message": "Api is running"})


async def docs(_: Request) -> Response:
    """The OpenAPI document, in place of BentoML's own."""
    return JSONResponse(document(_service.openapi_spec.asdict()))


pages = Starlette(
    routes=[
        Route("/heartbeat", heartbeat),
        Route("/docs.json", docs),
        *page.ROUTES,
        *run.mounted({**images.ROUTES, **index.ROUTES}),
    ]
)


@bentoml.asgi_app(pages, path="/")
@bentoml.service(
    name="ImageSearch",
    workers=settings.api.api_workers,
    traffic={"timeout": 900},
    # What a client says of its type does not belong into the log.
    logging={"access": {"request_content_type": False}},
)
class ImageSearch:
    """Search images by picture, by metadata or by text, and find the objects in them."""

    embedder = bentoml.depends(ClipEmbedder)
    detector = bentoml.depends(YoloDetector)

    def __init__(self) -> None:
        end_with_supervisor()
        return_freed_memory()
        self._gauges = WorkerGauges(settings)

    @bentoml.on_deployment
    @staticmethod
    def check() -> None:
        """Before any worker starts: end the start in one line where something is missing."""
        prepare(settings)

    @bentoml.on_startup
    async def start(self) -> None:
        """Connect to the models and the table, beside BentoML's own start."""
        run.start(self.embedder, self.detector)
        self._measuring = asyncio.create_task(self._measure_once_open())

    async def _measure_once_open(self) -> None:
        backend = await run.backend()
        freeze_startup_objects()
        await self._gauges.refresh_for_ever(backend, run.is_ready)

    @bentoml.on_shutdown
    async def stop(self) -> None:
        """Write what waits for a commit."""
        self._measuring.cancel()
        await run.stop()

    async def __is_ready__(self) -> bool:
        return await run.is_ready()

    @bentoml.api(input_spec=requests.AddRequest, output_spec=responses.AddAnswer)
    async def post_image_to_index(self, request: requests.AddRequest) -> Response:
        """Add the image at a URL to the index, with metadata if given.

        Adding a URL again replaces its row. Once answered, the image is found by every search and
        survives a crash.
        """
        return await run(add.post_image_to_index, request)

    @bentoml.api(input_spec=requests.AddManyRequest, output_spec=responses.AddManyAnswer)
    async def post_images_to_index(self, request: requests.AddManyRequest) -> Response:
        """Add up to 256 images; one that cannot be added fails alone."""
        return await run(add.post_images_to_index, request)

    @bentoml.api(input_spec=requests.SearchRequest, output_spec=responses.SearchAnswer)
    async def search_simmilar_images(self, request: requests.SearchRequest) -> Response:
        """Find the images that are most like a picture, match a filter or fit a text."""
        return await run(search.search_simmilar_images, request)

    @bentoml.api(input_spec=requests.SearchRequest, output_spec=responses.SearchAnswer)
    async def search_similar_images(self, request: requests.SearchRequest) -> Response:
        """The same as `/search_simmilar_images`, with the usual spelling."""
        return await run(search.search_similar_images, request)

    @bentoml.api(input_spec=requests.DetectRequest, output_spec=responses.AnnotatedPicture)
    async def run_object_detection(self, request: requests.DetectRequest) -> Response:
        """Find the objects in the picture at a URL and draw them in."""
        return await run(detect.run_object_detection, request)

    @bentoml.api(input_spec=requests.DeleteManyRequest, output_spec=responses.DeleteAnswer)
    async def delete_images(self, request: requests.DeleteManyRequest) -> Response:
        """Delete images by their ids, or all that match a filter."""
        return await run(images.delete_images, request)

    @bentoml.api(
        route="/index/restore",
        input_spec=requests.RestoreRequest,
        output_spec=responses.RestoreAnswer,
    )
    async def restore_index(self, request: requests.RestoreRequest) -> Response:
        """Make the table as it was at a version or before a time, as a new version."""
        return await run(index.restore_index, request)


_service: Any = ImageSearch  # BentoML puts a Service in its place
apply(
    _service,
    partial(front, settings=settings.api, max_image_bytes=settings.fetch.max_image_bytes),
    [
        *(api.route for api in _service.apis.values()),
        *(route.path for route in pages.routes if isinstance(route, Route)),
    ],
)
