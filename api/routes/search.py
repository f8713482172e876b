"""The route that searches: by a picture, a text, a filter, a stored image or weighted terms."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from api.contract.requests.parts import OfClass
from api.contract.requests.search import SearchRequest
from api.contract.responses.columns import column_of
from api.contract.responses.objects import object_of
from api.contract.responses.search import SearchAnswer
from api.errors import NoObjectsError
from api.pipeline.boxes import check_classes
from api.pipeline.object_filters import check_object_filter, classes_named
from api.pipeline.query_vectors import SAME, combined, query_vector, term_vectors
from api.routes.handler import json_response
from api.telemetry.metrics import SEARCH
from store.schemas import ObjectHit, ObjectQuery, ObjectTerm, SearchQuery

if TYPE_CHECKING:
    from api.pipeline.backend import Backend  # heavy: only in a worker
    from api.pipeline.pictures import InFull
    from store.schemas import Found
    from store.search.relevance import Matches


async def search_simmilar_images(backend: "Backend", request: SearchRequest) -> Response:
    """Find the images that are most like a picture, match a filter or fit a text.

    Raises:
        RequestError: an id is unknown, or the terms cancel each other.
        FilterError: the filter cannot be used.
        ImageError: a picture cannot be had.
        ModelUnavailableError: the embedder does not answer.
        StoreFault: the index cannot be read.
    """
    async with AsyncExitStack() as held:
        query, matches, in_full = await _query(backend, request, held)

        async def answer() -> Response:
            with SEARCH():
                found = await backend.index.find(query, matches)
            if in_full is not None and _is_same(found):
                vector = await backend.models.encode_image(await in_full())
                with SEARCH():
                    found = await backend.index.find(replace(query, vector=vector), matches)
            return await json_response(_answer(found))

        return await backend.large_answers.of_rows(request.limit, answer)


async def search_similar_images(backend: "Backend", request: SearchRequest) -> Response:
    """The same, with the usual spelling."""
    return await search_simmilar_images(backend, request)


def _is_same(found: "Found") -> bool:
    """Whether a hit may be the very picture that was searched by at a fraction of its size.

    It has the score 1.0 then, which only all of its pixels give.
    """
    return any(hit.score is not None and hit.score > SAME for hit in found.hits)


async def _query(
    backend: "Backend", request: SearchRequest, held: AsyncExitStack
) -> "tuple[SearchQuery, Matches | None, InFull | None]":
    """The store's query, the stored texts that its text matches (full-text search), and what
    prepares its picture in full, if it was not; that holds the picture's file until `held` ends.

    `metadata` is a text to search by, or a filter. The filter is checked before anything is
    fetched, and stored texts are matched while pictures are fetched and embedded.
    """
    text = request.metadata if isinstance(request.metadata, str) else request.text
    filter_ = None
    if isinstance(request.metadata, dict) and request.metadata:
        check_object_filter(backend, request.metadata)
        filter_ = await backend.index.check_filter(request.metadata)
    query = SearchQuery(
        text=text,
        filter=filter_,
        limit=request.limit,
        offset=request.offset,
        min_score=request.min_score,
        cutoff=request.cutoff == "auto",
        sort=request.sort,
        cursor=request.cursor,
        total=request.total,
        facets=request.facets,
        group_by=request.group_by,
        distinct=request.distinct is not None,
    )
    await backend.index.check_order(query)
    check_asked_classes(backend, request)
    if request.search != "images":
        return await _object_query(backend, request, query), None, None
    if text is None:
        vector, in_full = await query_vector(backend, request, held)
        return replace(query, vector=vector), None, in_full
    meanwhile = asyncio.gather(backend.models.encode_text(text), backend.index.matches(query))
    try:
        vector, in_full = await query_vector(backend, request, held)
    except BaseException:
        meanwhile.cancel()
        meanwhile.add_done_callback(lambda done: done.cancelled() or done.exception())
        raise
    text_vector, matches = await meanwhile
    return replace(query, vector=vector, text_vector=text_vector), matches, in_full


async def _object_query(
    backend: "Backend", request: SearchRequest, query: SearchQuery
) -> SearchQuery:
    """A search for objects: each term for itself, and for the images the sum of all.

    Raises:
        NoObjectsError: the service indexes none.
    """
    if not backend.settings.api.objects:
        raise NoObjectsError
    async with AsyncExitStack() as held:
        looked_for = []
        if query.text is not None:
            of_text = await backend.models.encode_text(query.text)
            looked_for.append(ObjectTerm(of_text, is_text=True))
        if request.query is not None:
            vectors = await term_vectors(backend, request.query)
            looked_for += [
                ObjectTerm(vector, term.weight, is_text=term.text is not None)
                for term, vector in zip(request.query, vectors, strict=True)
            ]
        elif (found := (await query_vector(backend, request, held))[0]) is not None:
            looked_for.append(ObjectTerm(found))
    both = request.search == "both"
    vector = None
    if both and looked_for:
        vector = combined([each.vector for each in looked_for], [one.weight for one in looked_for])
    objects = ObjectQuery(tuple(looked_for), request.objects, both)
    return replace(query, text=None, vector=vector, objects=objects)


def check_asked_classes(backend: "Backend", request: SearchRequest) -> None:
    """Refuse a search that names a class which the detector does not know.

    Raises:
        UnknownClassError: the first such one.
    """
    parts = [request.object, *(term.object for term in request.query or ())]
    named = [part.class_name for part in parts if isinstance(part, OfClass)]
    check_classes([*named, *classes_named(request.objects)], backend.models.yolo.class_names)


def _answer(found: "Found") -> SearchAnswer:
    more: dict[str, Any] = {"next": found.next, "total": found.total}
    if found.facets is not None:
        more["facets"] = [column_of(facet) for facet in found.facets]
    told = {name: value for name, value in more.items() if value is not None}
    answer = SearchAnswer.model_validate({"results": found.hits, **told})
    for result, hit in zip(answer.results, found.hits, strict=True):
        if isinstance(hit, ObjectHit) and hit.numbers and hit.looked_into is not None:
            best = [object_of(hit.looked_into, n) for n in hit.numbers]
            if len(best) == 1:
                [result.object] = best
            else:
                result.objects = best
    return answer
