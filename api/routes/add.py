"""The routes that add images, one or many, and what they say of duplicates."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from api.access.author import author
from api.contract.requests.add import AddManyRequest, AddRequest
from api.contract.responses.add import AddAnswer, AddManyAnswer, BatchResult, NearDuplicate
from api.errors import DeadlineError, RequestError
from api.pipeline.exif import from_exif, with_exif
from api.pipeline.objects import embedded
from api.requests.source import is_upload_url
from api.routes.handler import reported
from api.telemetry.tracing import span
from images.fetch.urls import check_url
from store.errors import StoreFault
from store.metadata.values import is_unicode
from store.schemas import Near, NewImage, NewKeys, Upserted, image_id

if TYPE_CHECKING:
    from api.pipeline.backend import Backend  # heavy: only in a worker

logger = logging.getLogger("bentoml.image_search")

# Of the time for a request: the rest is for telling which of its images are done.
_BATCH_SHARE = 0.9


async def post_image_to_index(
    backend: "Backend", request: AddRequest, new: NewKeys | None = None
) -> AddAnswer:
    """Add one image; answered after the commit.

    Args:
        backend: what does it.
        request: the image.
        new: the metadata keys that it brings, together with others'; its own without.

    Raises:
        RequestError: near-duplicates are to be skipped, but are not looked for here.
        ImageError: the picture cannot be had.
        ModelUnavailableError: the embedder does not answer.
        StoreError: it cannot be stored.
    """
    if request.on_duplicate == "skip_near" and not backend.settings.api.near_duplicate_similarity:
        raise RequestError(
            "on_duplicate must be 'add' or 'skip': this server does not search for near-duplicates"
        )
    new = new or NewKeys(backend.settings.api.max_new_keys)
    metadata = await backend.index.check_metadata(request.metadata, new)
    source = request.source(request.url)
    if source.data is not None and not is_upload_url(source.url):
        check_url(source.url)  # it is not fetched, but shown as a link
    made = await embedded(backend, source, exif=request.exif)
    picture = made.picture
    brought = from_exif(request.metadata, picture.exif)
    if brought:
        metadata = await backend.index.check_metadata(with_exif(request.metadata, brought), new)
    image = NewImage(
        request.url,
        made.vector,
        metadata,
        pixels=picture.digest,
        skip_duplicate=request.on_duplicate != "add",
        thumbnail=picture.thumbnail,
        file=made.file,
        own_id=request.id,
        objects=made.objects,
    )
    if request.on_duplicate == "skip_near":
        answer = await _add_unless_near(backend, image)
    else:
        answer = await _add(backend, image)
    if "skipped" not in answer.model_fields_set:
        if source.data is not None:
            answer.url = request.url
        if request.exif:
            answer.exif = brought
        if made.objects is not None:
            answer.objects = len(made.objects.boxes)
            if made.objects.left_out:
                answer.objects_left_out = made.objects.left_out
    return answer


async def post_images_to_index(backend: "Backend", request: AddManyRequest) -> AddManyAnswer:
    """Add images, each for itself; one result for each, in order.

    The images of one id are added one after another, so that the last one stays. What is not done
    within nine tenths of the request's time is given up, and told so.
    """
    results: dict[int, BatchResult] = {}
    new = NewKeys(backend.settings.api.max_new_keys)

    async def add_one_id(positions: list[int]) -> None:
        for position in positions:
            async with backend.batch_slots:
                element = request.images[position]
                results[position] = await _result(backend, element, request, new)

    chains = [asyncio.create_task(add_one_id(chain)) for chain in _by_id(request.images)]
    try:
        await asyncio.wait(chains, timeout=_BATCH_SHARE * backend.settings.api.request_timeout_s)
    finally:
        for chain in chains:
            chain.cancel()
    late = DeadlineError("not finished within the time limit of the request; add it again")
    return AddManyAnswer(
        results=[
            results[position] if position in results else _failed(element, late)
            for position, element in enumerate(request.images)
        ]
    )


async def _result(
    backend: "Backend", element: Any, request: AddManyRequest, new: NewKeys
) -> BatchResult:
    try:
        added = await post_image_to_index(backend, _checked(element, request), new)
    except Exception as error:  # fails this image alone
        return _failed(element, error)
    told = added.model_dump(exclude_unset=True, exclude={"message", "url"})
    return BatchResult(url=_url(element), **told)


async def _add_unless_near(backend: "Backend", image: NewImage) -> AddAnswer:
    # One at a time: of two like images that come at once, the second is to see the first.
    async with backend.near_duplicates_lock:
        if await backend.index.get(image.id) is None:
            near = await _near(backend, image)
            same = await backend.index.same_pixels(image)
            if near or same:
                return _answer(Upserted(same or near[0].id, False, same, skipped=True), near)
        return await _add(backend, image)


async def _add(backend: "Backend", image: NewImage) -> AddAnswer:
    with span("commit"):
        added = await backend.index.upsert(image, author())
    if added.skipped:
        return _answer(added, [])
    try:
        near = await _near(backend, image)
    except StoreFault as error:  # the image is in the index, and that is what counts
        logger.warning("the search for near-duplicates failed: %s (%s)", error, error.detail)
        near = []
    return _answer(added, near)


async def _near(backend: "Backend", image: NewImage) -> list[Near]:
    least = backend.settings.api.near_duplicate_similarity  # 0 looks for none
    return await backend.index.near_duplicates(image, least) if least else []


def _answer(added: Upserted, near: list[Near]) -> AddAnswer:
    """What applies, and nothing else: a plain add is answered as it always was."""
    answer = AddAnswer(message="success", id=added.id, created=added.created)
    if added.skipped:
        answer.skipped = True
    if added.duplicate_of is not None:
        answer.duplicate_of = added.duplicate_of
    if like := [one for one in near if one.id != added.duplicate_of]:
        answer.near_duplicates = [NearDuplicate.model_validate(one) for one in like]
    return answer


def _checked(element: Any, request: AddManyRequest) -> AddRequest:
    if not isinstance(element, dict):
        raise RequestError('each image must be an object such as {"url": "https://..."}')
    defaults = {"on_duplicate": request.on_duplicate, "exif": request.exif}
    unsaid = {name: one for name, one in defaults.items() if element.get(name) is None}
    return AddRequest.checked({**element, **unsaid})


def _url(element: Any) -> str | None:
    url = element.get("url") if isinstance(element, dict) else None
    return url.strip() if isinstance(url, str) else None


def _by_id(elements: list[Any]) -> list[list[int]]:
    """The positions of the elements of each row; what is none stands alone."""
    chains: dict[str | int, list[int]] = {}
    for position, element in enumerate(elements):
        url = _url(element)
        if url is None or not is_unicode(url):
            chains[position] = [position]
            continue
        own = element.get("id")
        chains.setdefault(own if isinstance(own, str) else image_id(url), []).append(position)
    return list(chains.values())


def _failed(element: Any, error: Exception) -> BatchResult:
    problem = reported(post_images_to_index.__name__, error)
    return BatchResult(url=_url(element), message=problem.message, code=problem.code)
