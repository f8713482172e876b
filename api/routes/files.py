"""The routes of the files that are kept of images: thumbnails and originals."""

import hashlib

from starlette.responses import Response
from starlette.routing import Route

from api.contract.requests import ImageRequest
from api.errors import NoFileError, NotFoundError
from api.routes.handler import Framed, answered
from api.routes.mount import mounted
from images.decode.signatures import media_type
from store.pictures.files import Kind
from store.schemas import KeptFile

# A grid is looked at more than once; what was replaced or deleted may be seen a little longer, by
# who has seen it already. Nobody in between may keep it: there may be a key.
_CACHING = "private, max-age=60, stale-while-revalidate=600"
_ANYTHING = "application/octet-stream"
_NOT_KEPT = "the file of this image is not kept: its url has it"


@answered
async def thumbnail(service: Framed, request: ImageRequest) -> Response:
    """A small copy of an image's picture."""
    file = await _kept(service, request.id, "thumbnails", "no thumbnail is kept of this image")
    # Not its key, which is that of the pixels: with another size set it is another file.
    tag = hashlib.sha256(file.data).hexdigest()
    return _file(file.data, tag, "image/jpeg", _CACHING)


@answered
async def original(service: Framed, request: ImageRequest) -> Response:
    """An image's own file."""

    async def read() -> Response:
        file = await _kept(service, request.id, "originals", _NOT_KEPT)
        return _file(file.data, file.key, media_type(file.data) or _ANYTHING, "private, no-cache")

    return await (await service.backend()).large_answers.held(service.max_image_bytes, read)


async def _kept(service: Framed, image_id: str, kind: Kind, without: str) -> KeptFile:
    index = (await service.backend()).index
    file = await index.picture(image_id, kind)
    if file is not None:
        return file
    raise NotFoundError if await index.get(image_id) is None else NoFileError(without)


def _file(data: bytes, tag: str, kind: str, caching: str) -> Response:
    # An answer to one key is none to another, or to whoever has none.
    headers = {"ETag": f'"{tag}"', "Cache-Control": caching, "Vary": "Authorization"}
    return Response(data, media_type=kind, headers=headers)


ROUTES: list[Route] = [
    mounted("/images/{id}/thumbnail", GET=(ImageRequest, thumbnail)),
    mounted("/images/{id}/image", GET=(ImageRequest, original)),
]
