"""The routes of indexed images: list, read, change, delete; their thumbnails and originals."""

import hashlib
from typing import TYPE_CHECKING

from starlette.responses import Response

from api.access.author import author
from api.access.caller import Scope, require
from api.contract.requests.images import (
    DeleteManyRequest,
    ImageRequest,
    ListRequest,
    PatchRequest,
    ThumbnailRequest,
    UpdateManyRequest,
)
from api.contract.responses.images import DeleteAnswer, ListAnswer, StoredAnswer, UpdateAnswer
from api.contract.responses.objects import ObjectsAnswer, objects_answer
from api.errors import NoFileError, NoObjectsError, NotFoundError
from api.pipeline.object_filters import check_object_filter
from api.pipeline.objects import objects_again
from api.pipeline.parts import drawn_thumbnail
from api.routes.handler import Methods, json_response
from images.decode.structure import media_type
from store.schemas import NewKeys

if TYPE_CHECKING:
    from api.pipeline.backend import Backend  # heavy: only in a worker
    from store.pictures.files import Kind
    from store.schemas import StoredFile, StoredImage

# A grid is looked at more than once; what was replaced or deleted may be seen a little longer, by
# who has seen it already. Nobody in between may keep it: there may be a key.
_CACHING = "private, max-age=60, stale-while-revalidate=600"
_ANYTHING = "application/octet-stream"


async def list_images(backend: "Backend", request: ListRequest) -> Response:
    """The images, or those of a url, newest first."""

    async def page() -> Response:
        listed = await backend.index.images(
            request.limit, request.offset, request.url, request.cursor
        )
        told = {name: value for name, value in vars(listed).items() if value is not None}
        return await json_response(ListAnswer.model_validate(told))

    return await backend.large_answers.of_rows(request.limit, page)


async def get_image(backend: "Backend", request: ImageRequest) -> StoredAnswer:
    """One image."""
    return _found(await backend.index.get(request.id))


async def get_objects(backend: "Backend", request: ImageRequest) -> ObjectsAnswer:
    """The objects of one image.

    Raises:
        NoObjectsError: the service indexes none.
        NotFoundError: there is no such image.
    """
    if not backend.settings.api.objects:
        raise NoObjectsError
    found = await backend.index.objects(request.id)
    if found is not None:
        answer = objects_answer(found)
        if (earlier := backend.index.earlier_detector(found)) is not None:
            answer.found_by = str(earlier)
        return answer
    _found(await backend.index.get(request.id))
    return ObjectsAnswer(objects=[], detected=False, left_out=0, width=None, height=None)


async def find_objects(backend: "Backend", request: ImageRequest) -> ObjectsAnswer:
    """Look for the objects in one image, again or for the first time, and index them.

    Raises:
        NoObjectsError: the service indexes none.
        NotFoundError: there is no such image.
        NoFileError: it was uploaded, and its file is not kept.
        ImageError: its picture cannot be had.
        InvalidRowError: there is another picture at its url by now.
    """
    if not backend.settings.api.objects:
        raise NoObjectsError
    image = await backend.index.get(request.id)
    if image is None:
        raise NotFoundError
    made = await objects_again(backend, image)
    assert made.objects is not None  # noqa: S101 - they were looked for
    put = backend.index.put_objects(image.id, made.picture.digest, made.objects, author())
    _found(await put)
    return await get_objects(backend, request)


async def patch_image(backend: "Backend", request: PatchRequest) -> StoredAnswer:
    """Change an image's metadata, and answer the image as it now is."""
    new = NewKeys(backend.settings.api.max_new_keys)
    await backend.index.check_new_keys(request.metadata, new)
    return _found(await backend.index.patch(request.id, request.metadata, author()))


async def delete_image(backend: "Backend", request: ImageRequest) -> DeleteAnswer:
    """Delete one image."""
    deleted = await backend.index.delete([request.id], author())
    if not deleted:
        raise NotFoundError
    return DeleteAnswer(message="success", deleted=deleted)


async def delete_images(backend: "Backend", request: DeleteManyRequest) -> DeleteAnswer:
    """Delete images by their ids or urls, all that match a filter, or all.

    Raises:
        ForbiddenError: the key may delete by ids and urls only.
        FilterError: the filter is senseless, or keeps every image.
    """
    if request.ids is not None:
        deleted = await backend.index.delete(request.ids, author())
    elif request.urls is not None:
        deleted = await backend.index.delete_urls(request.urls, author())
    else:
        require(Scope.ADMIN)
        check_object_filter(backend, request.metadata)
        deleted = await backend.index.delete_matching(request.metadata, author())
    return DeleteAnswer(message="success", deleted=deleted)


async def update_images(backend: "Backend", request: UpdateManyRequest) -> UpdateAnswer:
    """Change the metadata of all images that match a filter, or of all.

    Raises:
        FilterError: the filter is senseless, or keeps every image.
        MetadataError: the changes do not fit.
    """
    new = NewKeys(backend.settings.api.max_new_keys)
    await backend.index.check_new_keys(request.set, new)
    check_object_filter(backend, request.metadata)
    changed = await backend.index.patch_matching(request.metadata, request.set, author())
    return UpdateAnswer(updated=changed)


def _found(image: "StoredImage | None") -> StoredAnswer:
    if image is None:
        raise NotFoundError
    return StoredAnswer.model_validate(image)


async def thumbnail(backend: "Backend", request: ThumbnailRequest) -> Response:
    """A small copy of an image's picture, with objects drawn in where that is asked for.

    Raises:
        NoObjectsError: the service indexes none.
        RequestError: the image has no such object.
    """
    file = await _stored(backend, request.id, "thumbnails", "no thumbnail of this image is stored")
    data = file.data
    if request.numbers:
        data = await drawn_thumbnail(backend, request.id, data, request.numbers)
    # Not its key, which is that of the pixels: with another size set it is another file.
    return _file(data, hashlib.sha256(data).hexdigest(), "image/jpeg", _CACHING)


async def original(backend: "Backend", request: ImageRequest) -> Response:
    """An image's own file."""

    async def read() -> Response:
        without = "the original file of this image is not stored: fetch it from its url"
        file = await _stored(backend, request.id, "originals", without)
        return _file(file.data, file.key, media_type(file.data) or _ANYTHING, "private, no-cache")

    return await backend.large_answers.of_bytes(backend.settings.fetch.max_image_bytes, read)


async def _stored(backend: "Backend", image_id: str, kind: "Kind", without: str) -> "StoredFile":
    file = await backend.index.picture(image_id, kind)
    if file is not None:
        return file
    raise NotFoundError if await backend.index.get(image_id) is None else NoFileError(without)


def _file(data: bytes, tag: str, kind: str, caching: str) -> Response:
    # An answer to one key is none to another, or to whoever has none.
    headers = {"ETag": f'"{tag}"', "Cache-Control": caching, "Vary": "Authorization"}
    return Response(data, media_type=kind, headers=headers)


ROUTES: dict[str, Methods] = {
    "/images": {"GET": (ListRequest, list_images)},
    "/images/{id}": {
        "GET": (ImageRequest, get_image),
        "PATCH": (PatchRequest, patch_image),
        "DELETE": (ImageRequest, delete_image),
    },
    "/images/{id}/objects": {
        "GET": (ImageRequest, get_objects),
        "POST": (ImageRequest, find_objects),
    },
    "/images/{id}/thumbnail": {"GET": (ThumbnailRequest, thumbnail)},
    "/images/{id}/image": {"GET": (ImageRequest, original)},
}
