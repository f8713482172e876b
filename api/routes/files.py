"""The routes of an image's stored files: its thumbnail and its original."""

import hashlib
from typing import TYPE_CHECKING

from starlette.responses import Response

from api.contract.requests import ImageRequest
from api.errors import NoFileError, NotFoundError
from api.routes.handler import Methods
from images.decode.structure import media_type

if TYPE_CHECKING:
    from api.pipeline.backend import Backend  # heavy: only in a worker
    from store.pictures.files import Kind
    from store.schemas import StoredFile

# A grid is looked at more than once; what was replaced or deleted may be seen a little longer, by
# who has seen it already. Nobody in between may keep it: there may be a key.
_CACHING = "private, max-age=60, stale-while-revalidate=600"
_ANYTHING = "application/octet-stream"


async def thumbnail(backend: "Backend", request: ImageRequest) -> Response:
    """A small copy of an image's picture."""
    file = await _stored(backend, request.id, "thumbnails", "no thumbnail of this image is stored")
    # Not its key, which is that of the pixels: with another size set it is another file.
    tag = hashlib.sha256(file.data).hexdigest()
    return _file(file.data, tag, "image/jpeg", _CACHING)


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
    "/images/{id}/thumbnail": {"GET": (ImageRequest, thumbnail)},
    "/images/{id}/image": {"GET": (ImageRequest, original)},
}
