"""Parts of a picture that is searched by: a region, an object of a class, or a stored object."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from api.errors import NoObjectsError, RequestError, UnknownIdError
from api.pipeline.boxes import on_picture, padded
from api.pipeline.tiles import objects_in
from api.requests.source import Source
from images.schemas import LabelledBox
from store.errors import shown
from store.schemas import ObjectSet

if TYPE_CHECKING:
    from api.pipeline.backend import Backend  # heavy: only in a worker

Vector = NDArray[np.float32]


async def region_vector(
    backend: "Backend", source: Source, region: tuple[float, float, float, float]
) -> Vector:
    """The embedding of a part of a picture, cut out as indexed objects are: float32 [dim].

    Args:
        backend: what does it.
        source: of the picture.
        region: left, top, right and bottom in pixels of the upright picture.

    Raises:
        RequestError: the region is not in the picture.
        ImageError: the picture cannot be had.
        ModelUnavailableError: the embedder does not answer.
    """
    async with backend.pictures.for_yolo(source, backend.models.yolo) as (picture, _):
        width, height = picture.size
        left, top, right, bottom = region
        if left >= width or top >= height or right > width or bottom > height:
            raise RequestError(
                f"region must lie in the picture, which has {width} x {height} pixels"
            )
        box = LabelledBox(region, 1, 0, "")
        [pixels] = await backend.pictures.crops(
            picture, [padded(box, picture.size)], backend.models.clip
        )
    return await backend.models.encode_image(pixels)


async def surest_vector(backend: "Backend", source: Source, class_name: str) -> Vector:
    """The embedding of the surest object of a class in a picture: float32 [dim].

    Raises:
        RequestError: there is none.
        ImageError: the picture cannot be had.
        ModelUnavailableError: a model does not answer.
    """
    models = backend.models
    async with backend.pictures.for_yolo(source, models.yolo) as (picture, boxed):
        found = await objects_in(backend, picture, boxed, backend.settings.api.objects_tiles)
        box = next((one for one in found if one.class_name == class_name), None)
        if box is None:
            raise RequestError(f"no {shown(class_name)} was found in the picture")
        [pixels] = await backend.pictures.crops(picture, [padded(box, picture.size)], models.clip)
    return await models.encode_image(pixels)


async def stored_vector(backend: "Backend", image_id: str, n: int) -> Vector:
    """The embedding of an object of an indexed image: float32 [dim].

    Raises:
        NoObjectsError: the service indexes none.
        UnknownIdError: there is no such image.
        RequestError: it has no such object.
    """
    if not backend.settings.api.objects:
        raise NoObjectsError
    vector = await backend.index.object_vector(image_id, n)
    if vector is not None:
        return vector
    if await backend.index.get(image_id) is None:
        raise UnknownIdError(f"no image has the id {shown(image_id)}")
    raise _no_such_object(await backend.index.objects(image_id), n)


async def drawn_thumbnail(
    backend: "Backend", image_id: str, data: bytes, numbers: Sequence[int]
) -> bytes:
    """An indexed image's thumbnail with some of its objects drawn in: a JPEG file.

    Raises:
        NoObjectsError: the service indexes none.
        RequestError: the image has no such object.
        ImageError: the thumbnail cannot be drawn into.
    """
    if not backend.settings.api.objects:
        raise NoObjectsError
    own, yolo = await backend.index.objects(image_id), backend.models.yolo
    for n in numbers:
        if own is None or n >= len(own.boxes):
            raise _no_such_object(own, n)
    boxes = [] if own is None else [own.boxes[n] for n in numbers]
    async with backend.pictures.for_yolo(Source("", data), yolo) as (picture, _):
        labelled = [on_picture(box, picture.size, yolo.class_names) for box in boxes]
        return await backend.pictures.annotated(picture, labelled)


def _no_such_object(own: ObjectSet | None, n: int) -> RequestError:
    if own is None:
        return RequestError(
            "nobody has looked for objects in this image: POST /images/{id}/objects does"
        )
    return RequestError(f"this image has {len(own.boxes)} objects: there is no object {n}")
