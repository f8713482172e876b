"""The routes as calls: for each, its parameters and how to read its answer. No network here.

The clients' methods send what these functions make; parameters and documentation stand here once.
They raise ImageSearchError, of which `image_search.errors` has the kinds.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

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
)
from image_search.results import (
    Added,
    ChangePage,
    ColumnType,
    Detections,
    Detector,
    ExportPage,
    Found,
    Hit,
    Image,
    ImageObjects,
    IndexStatus,
    Model,
    NotAdded,
    NotImported,
    Page,
    Undone,
    Version,
    WholeImage,
    WholeObjects,
    read,
)

SearchIn = Literal["images", "objects", "both"]
OnDuplicate = Literal["add", "skip", "skip_near"]
_THUMBNAIL_BYTES = 8 << 20
_PICTURE_BYTES = 256 << 20
_EXPORT_BYTES = 16 << 20
_FLOAT_BYTES = 4
_FILE_BYTES = 1 << 30
"""The largest that a service can be set to take."""

GivenMetadata = Mapping[str, Any] | str | None


def heartbeat() -> Call[str]:
    """Message of the service that says that it is up."""
    return Call("GET", "/heartbeat", of_json(str, "message"))


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


def search(  # noqa: PLR0913 - what a search takes
    text: str | None = None,
    *,
    url: str | None = None,
    image: bytes | None = None,
    id: str | None = None,
    query: Sequence[Mapping[str, Any]] | None = None,
    filter: Mapping[str, Any] | None = None,
    limit: int = 10,
    offset: int = 0,
    min_score: float | None = None,
    cutoff: Literal["auto"] | None = None,
    sort: str | Sequence[str] | None = None,
    group_by: str | None = None,
    distinct: Literal["pixels"] | None = None,
    search: SearchIn | None = None,
    region: Sequence[float] | None = None,
    object: int | str | None = None,
    objects: Mapping[str, Any] | None = None,
) -> Call[list[Hit]]:
    """Find images, best first: by a text, a picture's url, an indexed image's id, or terms.

    Args:
        text: a description; goes with `url`.
        url: a picture to search by.
        image: its file's bytes, in place of a url; goes with either a text or a filter, and with
            neither an id nor terms.
        id: an indexed image to search by.
        query: terms, each with `url`, `text` or `id`, and a `weight`.
        filter: conditions on the metadata; alone, it lists what matches, newest first.
        limit: most results, 1 to 1000.
        offset: results to skip.
        min_score: leave out what is less similar.
        cutoff: `auto` leaves out what falls off from the best.
        sort: metadata key to sort by, with `-` before it the greatest first; or several.
        group_by: metadata key; of each of its values the best hit only, with its `group_size`.
        distinct: `pixels` for the best hit only of images with the same pixels.
        search: what is compared with the query: `images`, the `objects` in them, or `both`.
        region: a part of the picture instead of all of it: left, top, right, bottom in pixels.
        object: with an id one of its objects, by its `n`; with a picture the surest of a class.
        objects: which objects may match, a filter on `class_name`, `confidence`, `area`, `x`, `y`.

    Raises:
        ValueError: an image goes with none of the other parts that are given.
        RefusedError: the parts do not go together, or the picture cannot be fetched or decoded.
    """
    asked = {"sort": _sort(sort), "min_score": min_score, "cutoff": cutoff, "offset": offset}
    of_objects = _of_objects(search, region, object, objects)
    grouped = {"group_by": group_by, "distinct": distinct, "limit": limit}
    body = _searched(text, url, id, query, filter, image) | asked | grouped | of_objects
    read_hits = of_json(list[Hit], "results")
    return post("/search_similar_images", body, read_hits, image, bytes_of(limit))


def find(  # noqa: PLR0913 - what a search takes
    text: str | None = None,
    *,
    url: str | None = None,
    image: bytes | None = None,
    id: str | None = None,
    query: Sequence[Mapping[str, Any]] | None = None,
    filter: Mapping[str, Any] | None = None,
    limit: int = 10,
    offset: int = 0,
    min_score: float | None = None,
    cutoff: Literal["auto"] | None = None,
    sort: str | Sequence[str] | None = None,
    group_by: str | None = None,
    distinct: Literal["pixels"] | None = None,
    search: SearchIn | None = None,
    region: Sequence[float] | None = None,
    object: int | str | None = None,
    objects: Mapping[str, Any] | None = None,
    cursor: str | None = None,
    total: bool = False,
    facets: Sequence[str] = (),
) -> Call[Found]:
    """As `search`, with what a page of results shows besides them.

    Args:
        text: as of `search`, and so are the others that are not named here.
        url: a picture.
        image: its file's bytes.
        id: an indexed image.
        query: terms.
        filter: conditions on the metadata.
        limit: most results.
        offset: results to skip.
        min_score: leave out what is less similar.
        cutoff: leave out what falls off.
        sort: order of the results.
        group_by: key of whose values only the best is a result.
        distinct: whether of the same pixels.
        search: what is compared.
        region: of the picture.
        object: of an image or a picture.
        objects: that may match.
        cursor: `next` of another page of the same search by a filter: go on behind it.
        total: tell how many images the filter keeps.
        facets: keys whose values under the filter are told.

    Raises:
        ValueError: an image goes with none of the other parts that are given.
        RefusedError: the parts do not go together, a key is unknown, or the picture cannot be had.
    """
    asked = {"sort": _sort(sort), "min_score": min_score, "cutoff": cutoff, "cursor": cursor}
    told = {"total": total or None, "facets": list(facets) or None, "offset": offset or None}
    of_objects = _of_objects(search, region, object, objects)
    grouped = {"group_by": group_by, "distinct": distinct, "limit": limit}
    body = _searched(text, url, id, query, filter, image) | asked | told | grouped | of_objects
    return post("/search_similar_images", body, of_json(Found), image, bytes_of(limit))


def _searched(  # noqa: PLR0913, PLR0917 - what is searched by
    text: str | None,
    url: str | None,
    id: str | None,
    query: Sequence[Mapping[str, Any]] | None,
    filter: Mapping[str, Any] | None,
    image: bytes | None,
) -> dict[str, Any]:
    """The fields that say what to look for; a text beside an id or terms becomes a term."""
    if image is not None and text is not None and (id or query):
        raise ValueError("an image and a text go with no id or query: leave one out")
    if text is not None and (id or query):
        query = [*(query or []), *([{"id": id}] if id else []), {"text": text}]
        text = id = None
    return {"url": url, "id": id, "query": query, "metadata": filter, "text": text}


def _of_objects(
    search: SearchIn | None,
    region: Sequence[float] | None,
    object: int | str | None,
    objects: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The fields that say what of a picture is looked for, and where."""
    return {
        "search": search,
        "region": None if region is None else list(region),
        "object": {"class_name": object} if isinstance(object, str) else object,
        "objects": objects,
    }


def _sort(sort: str | Sequence[str] | None) -> str | list[str] | None:
    return sort if sort is None or isinstance(sort, str) else list(sort)


def detect(  # noqa: PLR0913 - what the route takes
    url: str | None = None,
    *,
    image: bytes | None = None,
    confidence: float | None = None,
    classes: Sequence[str] | None = None,
    max_detections: int | None = None,
    tiles: int | None = None,
) -> Call[Detections]:
    """Find the objects in the picture at a url, or of a file's bytes, surest first.

    Args:
        url: of the picture.
        image: bytes of its file, in place of a url.
        confidence: leave out what the detector is less sure of.
        classes: only objects of these, as the detector calls them.
        max_detections: the surest ones, at most 300; `Detections.more` tells of others.
        tiles: parts at most, up to 9, in which a large picture is looked at more closely, too.

    Raises:
        RefusedError: the picture cannot be fetched or decoded, or a class is unknown.
    """
    body = _detected(url, confidence, classes, max_detections, tiles) | {"format": "json"}
    return post("/run_object_detection", body, of_json(Detections), image)


def annotate(  # noqa: PLR0913 - likewise
    url: str | None = None,
    *,
    image: bytes | None = None,
    confidence: float | None = None,
    classes: Sequence[str] | None = None,
    max_detections: int | None = None,
    tiles: int | None = None,
) -> Call[bytes]:
    """Have the objects that `detect` finds drawn into the picture: a JPEG's bytes.

    Raises:
        RefusedError: the picture cannot be fetched or decoded, or a class is unknown.
    """
    body = _detected(url, confidence, classes, max_detections, tiles)
    return post("/run_object_detection", body, picture, image, _PICTURE_BYTES)


def _detected(
    url: str | None,
    confidence: float | None,
    classes: Sequence[str] | None,
    max_detections: int | None,
    tiles: int | None,
) -> dict[str, Any]:
    """The fields that say which objects to find."""
    named = list(classes) if classes else None
    most = {"max_detections": max_detections, "tiles": tiles}
    return {"url": url, "confidence": confidence, "classes": named} | most


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


def status() -> Call[IndexStatus]:
    """The table as it is now."""
    return Call("GET", "/index", of_json(IndexStatus))


def declare_column(key: str, type: ColumnType) -> Call[bool]:
    """Give a metadata key a type before its first value, or a wider one; whether that was new.

    Raises:
        RefusedError: the key has another type, or there are too many keys.
    """
    path = "/index/columns/" + _quoted(key)
    return Call("PUT", path, of_json(bool, "created"), encoded({"type": type}))


def drop_column(key: str) -> Call[int]:
    """Take a metadata key and its values away from all images; how many had it.

    A restore of a version before brings it back.

    Raises:
        RefusedError: there is no such key.
    """
    return Call("DELETE", "/index/columns/" + _quoted(key), of_json(int, "count"))


def versions() -> Call[list[Version]]:
    """The versions that can be restored, newest first."""
    read_versions = of_json(list[Version], "versions")
    return Call("GET", "/index/versions", read_versions, most_bytes=MOST_LIST_BYTES)


def restore(version: int | None = None, *, before: datetime | str | None = None) -> Call[Version]:
    """Make the table as it was at a version, or at the last one before a time with a zone.

    Raises:
        RefusedError: there is no such version, or it is not kept any more.
    """
    body = {"version": version, "before": _moment(before)}
    return post("/index/restore", body, of_json(Version, "restored"))


def export_page(cursor: str | None = None, *, limit: int = 1000) -> Call[ExportPage]:
    """Some images of the index, whole: with their vectors and thumbnails.

    All pages are of one version, whatever is added or deleted meanwhile.

    Args:
        cursor: `next` of the page before; without, the first page of the index as it is now.
        limit: most images, 1 to 1000; a page ends at some megabytes, too.

    Raises:
        RefusedError: no page was asked for in so long that the version is not kept any more.
    """
    params: dict[str, str | int] = {"limit": limit}
    if cursor is not None:
        params["cursor"] = cursor
    read_page = of_json(ExportPage)
    return Call("GET", "/index/export", read_page, params=params, most_bytes=_EXPORT_BYTES)


def import_rows(
    rows: Iterable[WholeImage],
    model: Model,
    *,
    detector: Detector | None = None,
    skip_duplicates: bool = False,
) -> Call[list[Added | NotImported]]:
    """Put images of an export into an index of the same model, as they are; one result for each.

    An id that is there is replaced. Up to 1000 rows, as many as a request may have bytes.

    Args:
        rows: of `export_page`.
        model: of the same.
        detector: likewise; needed where rows have objects.
        skip_duplicates: leave out new images whose pixels another image has.

    Raises:
        RefusedError: the index has another model or detector, or the key that is used may not.
    """
    whole = list(rows)
    dim = len(whole[0].vector) // _FLOAT_BYTES if whole else 0
    body = {"model": vars(model), "dim": dim, "rows": [_row(one) for one in whole]}
    if detector is not None and any(one.objects for one in whole):
        body["detector"] = vars(detector)
    if skip_duplicates:
        body["skip_duplicates"] = True
    return post("/index/import", body, _put_or_not, most_bytes=MOST_LIST_BYTES)


def log(  # noqa: PLR0913 - what it can be asked for
    *,
    limit: int = 100,
    since: datetime | str | None = None,
    before: datetime | str | None = None,
    key: str | None = None,
    action: str | None = None,
    id: str | None = None,
) -> Call[ChangePage]:
    """Who has changed what of the index, newest first.

    Args:
        limit: most changes, 1 to 1000.
        since: none of before this time with a zone.
        before: only those of before this time; for the next page, that of the last change.
        key: only changes of the key of this name.
        action: only changes of this kind.
        id: only changes of this image.

    Raises:
        RefusedError: the key that is used may not see it.
    """
    chosen = {"since": _moment(since), "before": _moment(before), "key": key}
    chosen |= {"action": action, "id": id}
    params: dict[str, str | int] = {name: one for name, one in chosen.items() if one is not None}
    params = {"limit": limit, **params}
    read_page = of_json(ChangePage)
    return Call("GET", "/index/log", read_page, params=params, most_bytes=MOST_LIST_BYTES)


def undo(
    key: str,
    since: datetime | str,
    *,
    before: datetime | str | None = None,
    dry_run: bool = False,
) -> Call[Undone]:
    """Undo the changes that a key has made; what others have changed since stays, and is told.

    Args:
        key: its name.
        since: the time with a zone of the first change to undo.
        before: changes from this time on are not undone; now, without.
        dry_run: only tell what would be done.

    Raises:
        RefusedError: the key that is used may not.
    """
    body = {"key": key, "since": _moment(since), "before": _moment(before), "dry_run": dry_run}
    return post("/index/undo", body, of_json(Undone))


def _moment(given: datetime | str | None) -> str | None:
    return given.isoformat() if isinstance(given, datetime) else given


def _row(whole: WholeImage) -> dict[str, Any]:
    small, objects = whole.thumbnail, whole.objects
    row = {
        **vars(whole),
        "created_at": whole.created_at.isoformat(),
        "vector": base64.b64encode(whole.vector).decode("ascii"),
        "thumbnail": None if small is None else base64.b64encode(small).decode("ascii"),
        "objects": None if objects is None else _objects(objects),
    }
    return row if objects is not None else {k: v for k, v in row.items() if k != "objects"}


def _objects(of: WholeObjects) -> dict[str, Any]:
    return {
        **vars(of),
        "objects": [vars(each) for each in of.objects],
        "vectors": base64.b64encode(of.vectors).decode("ascii"),
    }


def _put_or_not(answer: httpx.Response) -> list[Added | NotImported]:
    return [
        read(NotImported, one) if "message" in one else read(Added, one)
        for one in answer.json()["results"]
    ]


def _added_or_not(answer: httpx.Response) -> list[Added | NotAdded]:
    return [
        read(NotAdded, one) if "message" in one else read(Added, one)
        for one in answer.json()["results"]
    ]


def _image_path(id: str) -> str:
    return "/images/" + _quoted(id)


def _quoted(part: str) -> str:
    # Not even "." may be left as it is: it would be taken for a step in the path.
    return quote(part, safe="").replace(".", "%2E")
