"""A picture that is added: fetched and embedded, and its objects found, cut out and embedded."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from api.errors import NoFileError
from api.limits.in_flight import give_way, in_turns
from api.pipeline.boxes import largest, padded, share
from api.pipeline.tiles import objects_in
from api.requests.source import Source, is_upload_url
from images.schemas import ClipPicture
from store.schemas import NewObjects, StoredImage

if TYPE_CHECKING:
    from api.pipeline.backend import Backend  # heavy: only in a worker


@dataclass(frozen=True, eq=False)
class Embedded:
    """A picture that is to be added, and what the models make of it.

    Attributes:
        file: what its own file is called, where it is stored.
        vector: float32 [dim], unit length.
        objects: that are in it; None where these are not looked for.
    """

    picture: ClipPicture
    file: str | None
    vector: NDArray[np.float32]
    objects: NewObjects | None = None


async def embedded(backend: "Backend", source: Source, *, exif: bool) -> Embedded:
    """Fetch and embed a picture, and where the settings say so each object in it.

    Raises:
        ImageError: the picture cannot be had.
        ModelUnavailableError: a model does not answer.
        StoreError: its file cannot be stored.
    """
    models, store = backend.models, backend.index.keep_original
    if backend.settings.api.objects:
        return await _with_objects(backend, source, exif=exif)
    picture, file = await backend.pictures.for_index(source, models.clip, store, exif=exif)
    return Embedded(picture, file, await models.encode_image(picture.pixels))


async def objects_again(backend: "Backend", image: StoredImage) -> Embedded:
    """Look for the objects in an indexed image: in its own file if that is kept, else at its url.

    Raises:
        NoFileError: it was uploaded, and its file is not kept.
        ImageError: the picture cannot be had.
        ModelUnavailableError: a model does not answer.
    """
    file = await backend.index.picture(image.id, "originals")
    if file is None and is_upload_url(image.url):
        raise NoFileError("the picture of this image is not kept: add it again")
    source = Source(image.url, None if file is None else file.data)
    return await _with_objects(backend, source, exif=False)


async def _with_objects(backend: "Backend", source: Source, *, exif: bool) -> Embedded:
    models, store = backend.models, backend.index.keep_original
    infos = models.clip, models.yolo
    give_way()
    async with backend.pictures.for_objects(source, infos, store, exif=exif) as prepared:
        picture, file, shared, boxed = prepared
        found = await objects_in(backend, shared, boxed, backend.settings.api.objects_tiles)
        boxes = largest(found, backend.settings.api.objects_max)
        parts = [padded(box, shared.size) for box in boxes]
        cut = partial(backend.pictures.crops, shared, clip=models.clip)
        crops = await in_turns(parts, models.items, cut)
    # So many pictures at a time as there are calls: the next request waits for one of these.
    async with backend.object_slots:
        pixels = [picture.pixels, *crops]
        vector, *vectors = await in_turns(pixels, models.items, models.encode_image.all)
    stacked = np.stack(vectors) if vectors else np.empty((0, models.clip.dim), np.float32)
    shares = tuple(share(box, shared.size) for box in boxes)
    objects = NewObjects(shared.size, shares, len(found) - len(boxes), stacked)
    return Embedded(picture, file, vector, objects)
