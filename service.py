"""The BentoML API service: the routes, and the wiring of the rooms.

Imported by the supervisor and by every worker, so nothing heavy is imported here: torch belongs to
the model workers alone, and LanceDB comes in when the API worker opens its table.
"""

import asyncio
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import bentoml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.contract.openapi import document
from api.contract.requests import (
    AddManyRequest,
    AddRequest,
    DeleteManyRequest,
    DetectRequest,
    RestoreRequest,
    SearchRequest,
)
from api.contract.responses import (
    AddAnswer,
    AddManyAnswer,
    AnnotatedPicture,
    DeleteAnswer,
    RestoreAnswer,
    SearchAnswer,
)
from api.limits.encoding import listed
from api.middleware.path_names import AskedPaths
from api.middleware.request_id import current_request_id
from api.middleware.slow_readers import Paced
from api.middleware.stack import put_in_front
from api.pipeline.models import answering
from api.routes import files as picture_routes
from api.routes import images as image_routes
from api.routes import index as index_routes
from api.routes import page
from api.routes.add import Adder
from api.routes.detect import detect
from api.routes.handler import answered, reported
from api.routes.mount import JsonRefusals
from api.routes.search import query_of, result_of
from api.serving.gauges import Measures
from api.serving.malloc import keep_what_is_there, return_freed_memory
from api.serving.preflight import prepare
from api.serving.supervisor import repair_supervisor
from api.settings import Settings, SettingsError
from api.telemetry.logs import configure_logs
from runners.clip.service import ClipEmbedder
from runners.serving.service import end_with_supervisor
from runners.yolo.service import YoloDetector

if TYPE_CHECKING:
    from api.pipeline.backend import Backend

try:
    settings = Settings.from_environment()
except SettingsError as error:
    sys.exit(f"image-search cannot start: {error}")
configure_logs(settings.api.log_format, settings.api.api_keys, current_request_id)
# Here, as a supervisor of one model alone (`--service-name`) calls none of the API's hooks.
repair_supervisor()

# Of the time for a request: the rest is for telling which of its images are done.
BATCH_SHARE = 0.9


async def heartbeat(_: Request) -> Response:
    """Say that the API is up."""
    return JSONResponse({"message": "Api is running"})


async def docs(_: Request) -> Response:
    """The OpenAPI document, in place of BentoML's own."""
    return JSONResponse(document(_bento_service().openapi_spec.asdict()))


pages = Starlette(
    routes=[
        Route("/heartbeat", heartbeat),
        Route("/docs.json", docs),
        *page.ROUTES,
        *image_routes.ROUTES,
        *index_routes.ROUTES,
        *picture_routes.ROUTES,
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
        pages.state.service = self
        self.request_timeout_s = settings.api.request_timeout_s
        self.max_image_bytes = settings.fetch.max_image_bytes
        self._measures = Measures(settings)

    @bentoml.on_deployment
    @staticmethod
    def check() -> None:
        """Before any worker starts: end the start in one line where something is missing."""
        prepare(settings)

    @bentoml.on_startup
    async def start(self) -> None:
        """Connect to the models and the table, beside BentoML's own start."""
        self._opening = asyncio.create_task(self._open())
        self._measuring = asyncio.create_task(self._measure())

    async def _open(self) -> "Backend":
        from api.pipeline.backend import Backend  # noqa: PLC0415 - Arrow, OpenCV: not for the supervisor

        backend = await Backend.open(self.embedder, self.detector, settings)
        api = settings.api
        self._adder = Adder(backend, api.near_duplicate_similarity, (api.download_threads + 1) // 2)
        keep_what_is_there()
        return backend

    async def _measure(self) -> None:
        await self._measures.keep(await self.backend(), self.__is_ready__)

    @bentoml.on_shutdown
    async def stop(self) -> None:
        """Write what waits."""
        self._measuring.cancel()
        if self._has_opened():
            await self._opening.result().close()
        else:
            self._opening.cancel()

    async def __is_ready__(self) -> bool:
        if not (self._has_opened() and self._opening.result().index.healthy):
            return False
        return await answering(self.embedder, self.detector)

    def _has_opened(self) -> bool:
        return self._opening.done() and self._opening.exception() is None

    async def backend(self) -> "Backend":
        """The rooms, once they are ready."""
        return await asyncio.shield(self._opening)

    @bentoml.api(input_spec=AddRequest, output_spec=AddAnswer)
    @answered
    async def post_image_to_index(self, request: AddRequest) -> Response:
        """Add the image at a URL to the index, with metadata if given.

        Adding a URL again replaces its row. Once answered, the image is found by every search and
        survives a crash.
        """
        await self.backend()
        return JSONResponse(await self._adder.add(request))

    @bentoml.api(input_spec=AddManyRequest, output_spec=AddManyAnswer)
    @answered
    async def post_images_to_index(self, request: AddManyRequest) -> Response:
        """Add up to 256 images; one that cannot be added fails alone."""
        await self.backend()
        within_s = BATCH_SHARE * self.request_timeout_s
        report = partial(reported, "post_images_to_index")
        results = await self._adder.add_many(request, within_s, report)
        return JSONResponse({"results": results})

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
        backend = await self.backend()
        return await detect(backend, request, settings.models.yolo_min_confidence)

    @bentoml.api(input_spec=DeleteManyRequest, output_spec=DeleteAnswer)
    @answered
    async def delete_images(self, request: DeleteManyRequest) -> Response:
        """Delete images by their ids, or all that match a filter."""
        return await image_routes.delete_many(self, request)

    @bentoml.api(route="/index/restore", input_spec=RestoreRequest, output_spec=RestoreAnswer)
    @answered
    async def restore_index(self, request: RestoreRequest) -> Response:
        """Make the table as it was at a version or before a time, as a new version."""
        return await index_routes.restore(self, request)

    async def _search(self, request: SearchRequest) -> Response:
        backend = await self.backend()
        query, matches = await query_of(backend, request)

        async def found() -> Response:
            hits = await backend.search(query, matches)
            return await listed("results", map(result_of, hits))

        return await backend.large_answers.made(request.limit, found)


def _bento_service() -> Any:
    """The decorated class: BentoML puts a Service in its place."""
    return ImageSearch


for middleware, options in (
    (Paced, {"within_s": settings.api.request_timeout_s}),
    (JsonRefusals, {}),
    (AskedPaths, {}),
):
    _bento_service().add_asgi_middleware(middleware, **options)
put_in_front(
    _bento_service(),
    settings.api,
    [
        *(api.route for api in _bento_service().apis.values()),
        *(route.path for route in pages.routes if isinstance(route, Route)),
    ],
    settings.fetch.max_image_bytes,
)
