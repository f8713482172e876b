"""The BentoML API service: its routes, and what its workers start with.

`bentoml serve service:ImageSearch` serves the API, and the models with it unless they are on other
hosts; `service:ClipEmbedder` and `service:YoloDetector` serve one model (docs/models-apart.md).

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

from api.access.keys import KeyRing
from api.contract import transfer
from api.contract.openapi import document
from api.contract.requests.add import AddManyRequest, AddRequest
from api.contract.requests.detect import DetectRequest
from api.contract.requests.images import DeleteManyRequest, UpdateManyRequest
from api.contract.requests.search import SearchRequest
from api.contract.requests.table import RestoreRequest, UndoRequest
from api.contract.responses.add import AddAnswer, AddManyAnswer
from api.contract.responses.images import DeleteAnswer, UpdateAnswer
from api.contract.responses.objects import AnnotatedPicture
from api.contract.responses.search import SearchAnswer
from api.contract.responses.table import RestoreAnswer, UndoAnswer
from api.middleware.stack import with_middlewares
from api.routes import add, detect, images, index, page, search
from api.routes import transfer as transfer_routes
from api.routes.handler import Handler
from api.serving.gauges import WorkerGauges
from api.serving.machine import freeze_startup_objects, hide_process, return_freed_memory
from api.serving.patches import apply_patches
from api.serving.preflight import prepare, prepare_model
from api.settings import Settings, SettingsError
from api.telemetry.log_setup import configure_logs
from runners.clip.service import ClipEmbedder
from runners.serving.shutdown import end_with_supervisor
from runners.yolo.service import YoloDetector

_STOPPING_S = 15.0
"""For a stop, beside the time that a request may take: the answer is sent, waiting writes too."""

hide_process()
try:
    settings = Settings.from_environment()
except SettingsError as error:
    sys.exit(f"image-search cannot start: {error}")
secrets = settings.api.api_keys | {settings.models.model_token}
redaction = configure_logs(settings.api.log_format, secrets)

handler = Handler(settings)

UNLOGGED = ["/metrics", "/healthz", "/livez", "/readyz", page.FILES_PATH]
"""Paths of the probes and of the pages' files, as their names begin."""


async def heartbeat(_: Request) -> Response:
    """Say that the API is up."""
    return JSONResponse({"message": "Api is running"})


async def docs(_: Request) -> Response:
    """The OpenAPI document, in place of BentoML's own."""
    return JSONResponse(document(_service.openapi_spec.asdict()))


# What BentoML has no method for: GET, PATCH, DELETE, paths with an id, and the page.
mounted = Starlette(
    routes=[
        Route("/heartbeat", heartbeat),
        Route("/docs.json", docs),
        *page.ROUTES,
        *handler.mounted({**images.ROUTES, **index.ROUTES, **transfer_routes.ROUTES}),
    ]
)


def model_service(service: Any, urls: tuple[str, ...]) -> Any:
    """A model service: one that is started here, or the addresses of those on other hosts."""
    return urls or bentoml.depends(service)


@bentoml.asgi_app(mounted, path="/")
@bentoml.service(
    name="ImageSearch",
    workers=settings.api.api_workers,
    # Far above the time that `api.routes.handler` gives each request.
    traffic={"timeout": 900},
    # The Content-Type is the client's own text: it does not belong into the log. What is asked for
    # every few seconds, or a dozen at a time, would hide the rest.
    logging={"access": {"request_content_type": False, "skip_paths": UNLOGGED}},
)
class ImageSearch:
    """Search images by picture, by metadata or by text, and find the objects in them."""

    embedder = model_service(ClipEmbedder, settings.models.clip_urls)
    detector = model_service(YoloDetector, settings.models.yolo_urls)

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
        handler.start(self.embedder, self.detector)
        self._measures = asyncio.create_task(self._measure_when_open())

    async def _measure_when_open(self) -> None:
        backend = await handler.backend()
        freeze_startup_objects()
        await self._gauges.refresh_for_ever(backend, handler.is_ready)

    @bentoml.on_shutdown
    async def stop(self) -> None:
        """Write what waits for a commit, and close the table."""
        self._measures.cancel()
        await handler.stop()

    async def __is_ready__(self) -> bool:
        return await handler.is_ready()

    @bentoml.api(input_spec=AddRequest, output_spec=AddAnswer)
    async def post_image_to_index(self, request: AddRequest) -> Response:
        """Add the image at a URL to the index, with metadata if given.

        Adding a URL again replaces its row. Once answered, the image is found by every search and
        survives a crash.
        """
        return await handler(add.post_image_to_index, request)

    @bentoml.api(input_spec=AddManyRequest, output_spec=AddManyAnswer)
    async def post_images_to_index(self, request: AddManyRequest) -> Response:
        """Add up to 256 images; one that cannot be added fails alone."""
        return await handler(add.post_images_to_index, request)

    @bentoml.api(input_spec=SearchRequest, output_spec=SearchAnswer)
    async def search_simmilar_images(self, request: SearchRequest) -> Response:
        """Find the images that are most like a picture, match a filter or fit a text."""
        return await handler(search.search_simmilar_images, request)

    @bentoml.api(input_spec=SearchRequest, output_spec=SearchAnswer)
    async def search_similar_images(self, request: SearchRequest) -> Response:
        """The same as `/search_simmilar_images`, with the usual spelling."""
        return await handler(search.search_similar_images, request)

    @bentoml.api(input_spec=DetectRequest, output_spec=AnnotatedPicture)
    async def run_object_detection(self, request: DetectRequest) -> Response:
        """Find the objects in the picture at a URL and draw them in."""
        return await handler(detect.run_object_detection, request)

    @bentoml.api(input_spec=DeleteManyRequest, output_spec=DeleteAnswer)
    async def delete_images(self, request: DeleteManyRequest) -> Response:
        """Delete images by their ids or urls, all that match a filter, or all."""
        return await handler(images.delete_images, request)

    @bentoml.api(input_spec=UpdateManyRequest, output_spec=UpdateAnswer)
    async def update_images(self, request: UpdateManyRequest) -> Response:
        """Change the metadata of all images that match a filter, or of all, as a PATCH does one's.

        Where the time for a request ends before all are changed, sent again it goes on.
        """
        return await handler(images.update_images, request)

    @bentoml.api(
        route="/index/restore",
        input_spec=RestoreRequest,
        output_spec=RestoreAnswer,
    )
    async def restore_index(self, request: RestoreRequest) -> Response:
        """Make the table as it was at a version or before a time, as a new version."""
        return await handler(index.restore_index, request)

    @bentoml.api(route="/index/undo", input_spec=UndoRequest, output_spec=UndoAnswer)
    async def undo_changes(self, request: UndoRequest) -> Response:
        """Undo the changes of one key from a time on, and leave what others have changed since."""
        return await handler(index.undo_changes, request)

    @bentoml.api(
        route="/index/import",
        input_spec=transfer.ImportRequest,
        output_spec=transfer.ImportAnswer,
    )
    async def import_rows(self, request: transfer.ImportRequest) -> Response:
        """Put rows of an export in as they are, without the model, which must be the same.

        Each row for itself; one of an id that is there replaces it.
        """
        return await handler(transfer_routes.import_rows, request)


# `@bentoml.service` has put a Service in place of the class, which its type does not say.
_service: Any = ImageSearch
apply_patches(
    _service,
    partial(
        with_middlewares,
        settings=settings.api,
        keys=KeyRing(settings.api.api_keys, settings.api.api_keys_file, redaction.hide),
        max_image_bytes=settings.fetch.max_image_bytes,
    ),
    # The paths that metrics and logs may name.
    [
        *(api.route for api in _service.apis.values()),
        *(route.path for route in mounted.routes if isinstance(route, Route)),
    ],
    stop_s=settings.api.request_timeout_s + _STOPPING_S,
    umask=settings.store.umask,
    open_to_others=settings.api.locked or settings.api.open,
    model_token=settings.models.model_token,
    prepare_model=partial(prepare_model, settings),
)
