"""From a search request to the store's query: what is cheap to check comes first."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from api.contract.requests import SearchRequest, Term
from api.errors import RequestError, UnknownIdError
from api.requests.source import Source
from api.routes.terms import OpposedTermsError, combined
from store.errors import shown
from store.schemas import Hit, SearchQuery

if TYPE_CHECKING:
    from api.pipeline.backend import Backend  # heavy: only in a worker
    from store.search.query import Matches

Vector = NDArray[np.float32]


async def query_of(
    backend: "Backend", request: SearchRequest
) -> "tuple[SearchQuery, Matches | None]":
    """Check the filter and the ids, then fetch and embed.

    Stored texts are matched meanwhile: that needs no vector.

    Returns:
        The query, and what its text matches.

    Raises:
        RequestError: an id is unknown, or the terms cancel each other.
        FilterError: the filter cannot be used.
        ImageError: a picture cannot be had.
        ModelUnavailableError: the embedder does not answer.
        StoreFault: the index cannot be read.
    """
    text = request.metadata if isinstance(request.metadata, str) else None
    filter_ = request.metadata if isinstance(request.metadata, dict) else None
    if filter_:
        await backend.index.check_filter(filter_)
    query = SearchQuery(
        text=text or None,
        filter=filter_ or None,
        limit=request.limit,
        offset=request.offset,
        min_score=request.min_score,
        cutoff=request.cutoff == "auto",
    )
    vector, text_vector, matches = await asyncio.gather(
        _vector(backend, request),
        backend.embed_text(text) if text else _nothing(),
        backend.index.matches(query) if text else _nothing(),
    )
    return replace(query, vector=vector, text_vector=text_vector), matches


async def _nothing() -> None:
    """Where a search has no picture, or no text."""


async def _vector(backend: "Backend", request: SearchRequest) -> Vector | None:
    if request.url:
        return await backend.embed_picture(request.source(request.url))
    if request.id is not None:
        return (await _stored(backend, {request.id}))[request.id]
    if request.query is not None:
        return await _combined(backend, request.query)
    return None


async def _combined(backend: "Backend", terms: list[Term]) -> Vector:
    stored = await _stored(backend, {term.id for term in terms if term.id is not None})
    vectors = await asyncio.gather(*(_embedded(backend, term, stored) for term in terms))
    try:
        return combined(vectors, [term.weight for term in terms])
    except OpposedTermsError as error:
        raise RequestError(str(error)) from None


async def _embedded(backend: "Backend", term: Term, stored: dict[str, Vector]) -> Vector:
    if term.url is not None:
        return await backend.embed_picture(Source(term.url))
    if term.text is not None:
        return await backend.embed_text(term.text)
    return stored[term.id or ""]


async def _stored(backend: "Backend", ids: set[str]) -> dict[str, Vector]:
    found = await backend.index.vectors(ids) if ids else {}
    for unknown in sorted(ids - found.keys()):
        raise UnknownIdError(f"no image has the id {shown(unknown)}")
    return found


def result_of(hit: Hit) -> dict[str, Any]:
    """A search result as it goes out."""
    return {"id": hit.id, "url": hit.url, "score": hit.score, "metadata": hit.metadata}
