"""Searches as calls: the hits alone, or a page with what belongs to it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from image_search.request import Call, bytes_of, of_json, post
from image_search.results.searches import Found, Hit

SearchIn = Literal["images", "objects", "both"]


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
