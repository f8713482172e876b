"""The routes of indexed images: list, read, change, delete."""

from typing import TYPE_CHECKING

from starlette.responses import Response

from api.contract.requests import DeleteManyRequest, ImageRequest, ListRequest, PatchRequest
from api.contract.responses import DeleteAnswer, ListAnswer, StoredAnswer
from api.errors import NotFoundError
from api.routes.handler import Methods, json_response

if TYPE_CHECKING:
    from api.pipeline.backend import Backend  # heavy: only in a worker
    from store.schemas import StoredImage


async def list_images(backend: "Backend", request: ListRequest) -> Response:
    """The images, newest first."""

    async def page() -> Response:
        images = await backend.index.images(request.limit, request.offset)
        return await json_response(ListAnswer.model_validate(images))

    return await backend.large_answers.of_rows(request.limit, page)


async def get_image(backend: "Backend", request: ImageRequest) -> StoredAnswer:
    """One image."""
    return _found(await backend.index.get(request.id))


async def patch_image(backend: "Backend", request: PatchRequest) -> StoredAnswer:
    """Change an image's metadata, and answer the image as it now is."""
    return _found(await backend.index.patch(request.id, request.metadata))


async def delete_image(backend: "Backend", request: ImageRequest) -> DeleteAnswer:
    """Delete one image."""
    deleted = await backend.index.delete([request.id])
    if not deleted:
        raise NotFoundError
    return DeleteAnswer(message="success", deleted=deleted)


async def delete_images(backend: "Backend", request: DeleteManyRequest) -> DeleteAnswer:
    """Delete images by their ids, or all that match a filter."""
    if request.metadata is None:
        deleted = await backend.index.delete(request.ids or [])
    else:
        deleted = await backend.index.delete_matching(request.metadata)
    return DeleteAnswer(message="success", deleted=deleted)


def _found(image: "StoredImage | None") -> StoredAnswer:
    if image is None:
        raise NotFoundError
    return StoredAnswer.model_validate(image)


ROUTES: dict[str, Methods] = {
    "/images": {"GET": (ListRequest, list_images)},
    "/images/{id}": {
        "GET": (ImageRequest, get_image),
        "PATCH": (PatchRequest, patch_image),
        "DELETE": (ImageRequest, delete_image),
    },
}
