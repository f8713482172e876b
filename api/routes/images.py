"""The routes of the images that are in the index: list, read, change, delete."""

from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.contract.requests import DeleteManyRequest, ImageRequest, ListRequest, PatchRequest
from api.errors import NotFoundError
from api.limits.encoding import listed
from api.routes.handler import Framed, answered
from api.routes.mount import mounted
from store.metadata.values import format_timestamp
from store.schemas import StoredImage


@answered
async def list_images(service: Framed, request: ListRequest) -> Response:
    """The images, newest first."""
    backend = await service.backend()

    async def listing() -> Response:
        page = await backend.index.images(request.limit, request.offset)
        return await listed("images", map(_document, page.images), total=page.total)

    return await backend.large_answers.made(request.limit, listing)


@answered
async def get_image(service: Framed, request: ImageRequest) -> Response:
    """One image."""
    return _image(await (await service.backend()).index.get(request.id))


@answered
async def patch_image(service: Framed, request: PatchRequest) -> Response:
    """Change an image's metadata, and answer the image as it now is."""
    index = (await service.backend()).index
    return _image(await index.patch(request.id, request.metadata))


@answered
async def delete_image(service: Framed, request: ImageRequest) -> Response:
    """Delete one image."""
    deleted = await (await service.backend()).index.delete([request.id])
    if not deleted:
        raise NotFoundError
    return JSONResponse({"message": "success", "deleted": deleted})


async def delete_many(service: Framed, request: DeleteManyRequest) -> Response:
    """Delete images by their ids, or all that match a filter."""
    index = (await service.backend()).index
    if request.metadata is None:
        deleted = await index.delete(request.ids or [])
    else:
        deleted = await index.delete_matching(request.metadata)
    return JSONResponse({"message": "success", "deleted": deleted})


def _image(image: StoredImage | None) -> Response:
    if image is None:
        raise NotFoundError
    return JSONResponse(_document(image))


def _document(image: StoredImage) -> dict[str, Any]:
    return {
        "id": image.id,
        "url": image.url,
        "metadata": image.metadata,
        "created_at": format_timestamp(image.created_at),
    }


ROUTES: list[Route] = [
    mounted("/images", GET=(ListRequest, list_images)),
    mounted(
        "/images/{id}",
        GET=(ImageRequest, get_image),
        PATCH=(PatchRequest, patch_image),
        DELETE=(ImageRequest, delete_image),
    ),
]
