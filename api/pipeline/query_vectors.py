"""The vectors of a search: of its picture, an indexed image, or its terms, or of parts of them."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from api.contract.requests.parts import OfClass
from api.contract.requests.search import SearchRequest, Term
from api.errors import RequestError, UnknownIdError
from api.pipeline.parts import region_vector, stored_vector, surest_vector
from api.requests.source import Source
from store.errors import shown

if TYPE_CHECKING:
    from api.pipeline.backend import Backend  # heavy: only in a worker
    from api.pipeline.pictures import InFull

# What is left of terms that cancel each other is mostly rounding: vectors come as float32, and may
# have been stored with 16 bits, which moves each by up to 0.0005 of its length.
_LEAST_LENGTH = 1e-3

SAME = 0.999
"""Score from which a hit may be the very picture that was searched by."""

Vector = NDArray[np.float32]


async def query_vector(
    backend: "Backend", request: SearchRequest, held: AsyncExitStack
) -> "tuple[Vector | None, InFull | None]":
    """The vector of what is searched by, None where that is a text or a filter alone; and what
    prepares the picture in full, if it was not: that holds its file until `held` ends.

    Raises:
        RequestError: an id is unknown, a part is not there, or the terms cancel each other.
        ImageError: a picture cannot be had.
        ModelUnavailableError: a model does not answer.
    """
    if request.region is not None or request.object is not None:
        source = request.source(request.url or "")
        return await _part(backend, source, request, request.id), None
    if request.url:
        source, clip = request.source(request.url), backend.models.clip
        if request.min_score is not None and request.min_score > SAME:
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
    vectors = await term_vectors(backend, terms)
    return combined(vectors, [term.weight for term in terms])


async def term_vectors(backend: "Backend", terms: Sequence[Term]) -> list[Vector]:
    """The vector of each term, float32 [dim].

    Raises:
        RequestError: as for `query_vector`.
        ImageError: a picture cannot be had.
        ModelUnavailableError: a model does not answer.
    """
    whole = {term.id for term in terms if term.id is not None and term.object is None}
    stored = await _vectors_of(backend, whole)
    return await asyncio.gather(*(_embed_term(backend, term, stored) for term in terms))


async def _part(
    backend: "Backend", source: Source, of: SearchRequest | Term, image_id: str | None
) -> Vector:
    """The vector of a part of a picture, or of an object of an indexed image."""
    if of.region is not None:
        return await region_vector(backend, source, of.region)
    if isinstance(of.object, OfClass):
        return await surest_vector(backend, source, of.object.class_name)
    return await stored_vector(backend, image_id or "", of.object or 0)


async def _embed_term(backend: "Backend", term: Term, stored: dict[str, Vector]) -> Vector:
    if term.region is not None or term.object is not None:
        return await _part(backend, Source(term.url or ""), term, term.id)
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
