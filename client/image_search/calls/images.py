"""Images of the index as calls: added, read, changed and deleted."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import httpx

from image_search.request import (
    MOST_LIST_BYTES,
    Call,
    any_file,
    bytes_of,
    encoded,
    of_json,
    picture,
    post,
    quoted,
)
from image_search.results.images import Added, Image, ImageObjects, NotAdded, Page
from image_search.results.reading import read

OnDuplicate = Literal["add", "skip", "skip_near"]
GivenMetadata = Mapping[str, Any] | str | None
_THUMBNAIL_BYTES = 8 << 20
_FILE_BYTES = 1 << 30
"""The largest that a service can be set to take."""


def add(  # noqa: PLR0913 - what an add takes
    url: str | None = None,
    metadata: GivenMetadata = None,
    *,
    id: str | None = None,
    image: bytes | None = None,
    on_duplicate: OnDuplicate = "add",
    exif: bool = False,
) -> Call[Added]:
    """Index a picture; one that is there already, by its id, its url or its file, is replaced.

    Args:
        url: where it is.
        metadata: columns, or a text.
        id: what it is called; without, it is called by its url, or by its file.
        image: its file's bytes: the url, if there is one, is stored, and not fetched.
        on_duplicate: what to do where its pixels are indexed already.
        exif: add to the columns what the picture's EXIF tells: when, where and with which camera it
            was taken (`taken_at`, `camera`, `gps.lat`, `gps.lon`). Columns that are given win.

    Raises:
        RefusedError: the picture cannot be fetched or decoded, or the metadata does not fit.
    """
    body = {
        "url": url,
        "id": id,
        "metadata": metadata,
        "on_duplicate": on_duplicate,
        "exif": exif or None,  # a service of before has no such field
    }
    return post("/post_image_to_index", body, of_json(Added), image)


def add_many(
    images: Iterable[str | Mapping[str, Any]],
    *,
    on_duplicate: OnDuplicate = "add",
    exif: bool = False,
) -> Call[list[Added | NotAdded]]:
    """Index up to 256 pictures; one result for each, in order. A bad one fails alone.

    Args:
        images: urls, or objects with `url`, and what else `add` takes of `id`, `metadata`,
            `on_duplicate` and `exif`.
        on_duplicate: for those that do not say it themselves.
        exif: likewise.

    Raises:
        ImageSearchError: the request as a whole failed.
    """
    given = [{"url": one} if isinstance(one, str) else dict(one) for one in images]
    body = {"images": given, "on_duplicate": on_duplicate, "exif": exif or None}
    return post("/post_images_to_index", body, _added_or_not, most_bytes=MOST_LIST_BYTES)


def _added_or_not(answer: httpx.Response) -> list[Added | NotAdded]:
    return [
        read(NotAdded, one) if "message" in one else read(Added, one)
        for one in answer.json()["results"]
    ]


def get(id: str) -> Call[Image]:
    """One image of the index.

    Raises:
        NotFoundError: no image has this id.
    """
    return Call("GET", _image_path(id), of_json(Image))


def objects(id: str) -> Call[ImageObjects]:
    """The objects of an image.

    Raises:
        NotFoundError: no image has this id.
        RefusedError: the service indexes no objects.
    """
    return Call("GET", f"{_image_path(id)}/objects", of_json(ImageObjects))


def find_objects(id: str) -> Call[ImageObjects]:
    """Look for the objects in an indexed image, again or for the first time, and index them.

    Raises:
        NotFoundError: no image has this id, or it was uploaded and its file is not kept.
        RefusedError: its picture cannot be had, or the service indexes no objects.
    """
    return post(f"{_image_path(id)}/objects", {}, of_json(ImageObjects))


def thumbnail(id: str, *, objects: Sequence[int] = ()) -> Call[bytes]:
    """A small copy of an image's picture: a JPEG's bytes.

    Args:
        id: of the image.
        objects: of the image, to be drawn in, each by its `n`.

    Raises:
        NotFoundError: no image has this id, or no thumbnail is kept of it.
    """
    params: dict[str, str | int] = {"objects": ",".join(map(str, objects))} if objects else {}
    path = f"{_image_path(id)}/thumbnail"
    return Call("GET", path, picture, params=params, most_bytes=_THUMBNAIL_BYTES)


def original(id: str) -> Call[bytes]:
    """An uploaded image's own file.

    Raises:
        NotFoundError: no image has this id, or its file is not kept.
    """
    return Call("GET", f"{_image_path(id)}/image", any_file, most_bytes=_FILE_BYTES)


def list_images(
    *, limit: int = 10, offset: int = 0, url: str | None = None, cursor: str | None = None
) -> Call[Page]:
    """Some images, or those of a url, newest first, and how many there are.

    Args:
        limit: how many at most.
        offset: how many to skip.
        url: only its images.
        cursor: `next` of another page: go on behind it.
    """
    params: dict[str, str | int] = {"limit": limit, "offset": offset}
    params |= {name: one for name, one in {"url": url, "cursor": cursor}.items() if one is not None}
    return Call("GET", "/images", of_json(Page), params=params, most_bytes=bytes_of(limit))


def update(id: str, metadata: GivenMetadata) -> Call[Image]:
    """Change an image's metadata: keys that are named are set, None removes one.

    A text replaces all of it, and None removes all of it.

    Raises:
        NotFoundError: no image has this id.
        RefusedError: the metadata does not fit.
    """
    body = encoded({"metadata": metadata})
    return Call("PATCH", _image_path(id), of_json(Image), body)


def update_many(
    metadata: GivenMetadata, *, filter: Mapping[str, Any] | None = None, all: bool = False
) -> Call[int]:
    """Change the metadata of all images that match a filter, or of all, as `update`; how many.

    Raises:
        ForbiddenError: the key may change by ids only.
        RefusedError: the metadata does not fit, or the filter is senseless or keeps every image.
    """
    chosen = {"metadata": filter} if filter is not None else {}
    body = encoded({**chosen, "all": all, "set": metadata})
    return Call("POST", "/update_images", of_json(int, "updated"), body)


def delete(id: str) -> Call[int]:
    """Delete one image; 1.

    Raises:
        NotFoundError: no image has this id.
    """
    return Call("DELETE", _image_path(id), of_json(int, "deleted"))


def delete_many(
    ids: Sequence[str] | None = None,
    *,
    urls: Sequence[str] | None = None,
    filter: Mapping[str, Any] | None = None,
    all: bool = False,
) -> Call[int]:
    """Delete images by up to 1000 ids or urls, all that match a filter, or all; tells how many.

    Raises:
        ForbiddenError: the key may delete by ids and urls only.
        RefusedError: not one of them is given, or the filter is senseless or keeps every image.
    """
    named = {
        "ids": None if ids is None else list(ids),
        "urls": None if urls is None else list(urls),
    }
    body = {**named, "metadata": filter, "all": all or None}
    return post("/delete_images", body, of_json(int, "deleted"))


def _image_path(id: str) -> str:
    return "/images/" + quoted(id)
