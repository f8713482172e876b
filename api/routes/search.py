"""The route that searches: by a picture, a text, a filter, a stored image or weighted terms."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from starlette.responses import Response

from api.contract.requests import SearchRequest, Term
from api.contract.responses import SearchAnswer, column_of
from api.errors import RequestError, UnknownIdError
from api.requests.source import Source
from api.routes.handler import json_response
from api.telemetry.metrics import SEARCH
from store.errors import shown
from store.schemas import SearchQuery

if TYPE_CHECKING:
    from api.pipeline.backend import Backend  # heavy: only in a worker
    from api.pipeline.pictures import InFull
    from store.schemas import Found
    from store.search.relevance import Matches

# What is left of terms that cancel each other is mostly rounding: vectors come as float32, and may
# have been stored with 16 bits, which moves each by up to 0.0005 of its length.
_LEAST_LENGTH = 1e-3

_SAME = 0.999

Vector = NDArray[np.float32]


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
    return any(hit.score is not None and hit.score > _SAME for hit in found.hits)


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
    if text is None:
        vector, in_full = await _vector(backend, request, held)
        return replace(query, vector=vector), None, in_full
    meanwhile = asyncio.gather(backend.models.encode_text(text), backend.index.matches(query))
    try:
        vector, in_full = await _vector(backend, request, held)
    except BaseException:
        meanwhile.cancel()
        meanwhile.add_done_callback(lambda done: done.cancelled() or done.exception())
        raise
    text_vector, matches = await meanwhile
    return replace(query, vector=vector, text_vector=text_vector), matches, in_full


def _answer(found: "Found") -> SearchAnswer:
    more: dict[str, Any] = {"next": found.next, "total": found.total}
    if found.facets is not None:
        more["facets"] = [column_of(facet) for facet in found.facets]
    told = {name: value for name, value in more.items() if value is not None}
    return SearchAnswer.model_validate({"results": found.hits, **told})


async def _vector(
    backend: "Backend", request: SearchRequest, held: AsyncExitStack
) -> "tuple[Vector | None, InFull | None]":
    if request.url:
        source, clip = request.source(request.url), backend.models.clip
        if request.min_score is not None and request.min_score > _SAME:
            return await _embed_picture(backend, source), None
        looking = backend.pictures.for_search(source, clip)
        pixels, in_full = await held.enter_async_context(looking)
        return await backend.models.encode_image(pixels), in_full
    if request.id is not None:
        return (await _vectors_of(backend, {request.id}))[request.id], None
    if request.query is not None:
        return await _combine_terms(backend, request.query), None
    return None, None


async def _combine_terms(backend: "Backend", terms: list[Term]) -> Vector:
    stored = await _vectors_of(backend, {term.id for term in terms if term.id is not None})
    vectors = await asyncio.gather(*(_embed_term(backend, term, stored) for term in terms))
    return combined(vectors, [term.weight for term in terms])


async def _embed_term(backend: "Backend", term: Term, stored: dict[str, Vector]) -> Vector:
    if term.url is not None:
        return await _embed_picture(backend, Source(term.url))
    if term.text is not None:
        return await backend.models.encode_text(term.text)
    return stored[term.id or ""]  # a term has one of the three


async def _embed_picture(backend: "Backend", source: Source) -> Vector:
    pixels = await backend.pictures.for_clip(source, backend.models.clip)
    return await backend.models.encode_image(pixels)


async def _vectors_of(backend: "Backend", ids: set[str]) -> dict[str, Vector]:
    found = await backend.index.vectors(ids) if ids else {}
    for unknown in sorted(ids - found.keys()):
        raise UnknownIdError(f"no image has the id {shown(unknown)}")
    return found


def combined(
    vectors: Sequence[NDArray[np.float32]], weights: Sequence[float]
) -> NDArray[np.float32]:
    """The direction of the weighted sum of unit vectors.

    This is the arithmetic of embeddings that Mikolov et al. showed for words ("king" - "man" +
    "woman", NAACL 2013) and that CLIP's common space of pictures and texts allows across both.

    Args:
        vectors: n of float32 [dim], each of unit length.
        weights: n finite numbers, positive to go near, negative to go away.

    Returns:
        float32 [dim], unit length. Only the weights' ratios matter.

    Raises:
        RequestError: the sum is shorter than a thousandth of the weights' absolute sum.
    """
    given = np.asarray(weights, np.float64)
    scale = given / np.abs(given).max()
    total = scale @ np.asarray(vectors, np.float64)
    length = float(np.linalg.norm(total))
    if length <= _LEAST_LENGTH * float(np.abs(scale).sum()):
        raise RequestError("the terms cancel each other: change their weights")
    direction: NDArray[np.float32] = (total / length).astype(np.float32)
    return direction
