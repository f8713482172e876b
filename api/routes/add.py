"""Adding images: alone or many at once, and what is said of those that are there already."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from api.contract.requests import AddManyRequest, AddRequest
from api.errors import DeadlineError, Problem, RequestError
from api.requests.source import is_upload_url
from api.telemetry.tracing import span
from store.errors import StoreFault
from store.schemas import Near, NewImage, Upserted, image_id

if TYPE_CHECKING:
    from api.pipeline.backend import Backend  # heavy: only in a worker

logger = logging.getLogger("bentoml.image_search")
Report = Callable[[Exception], Problem]


class Adder:
    """Adds images to the index.

    Args:
        backend: the rooms.
        min_similarity: from which another image is a near-duplicate; 0 looks for none.
        batch_in_flight: images of requests with many that are worked on at once, all such
            requests together: what is left of the downloads is for the others.
    """

    def __init__(self, backend: "Backend", min_similarity: float, batch_in_flight: int) -> None:
        self._backend = backend
        self._min_similarity = min_similarity
        self._batch_slots = asyncio.Semaphore(batch_in_flight)
        self._looking = asyncio.Lock()

    async def add(self, request: AddRequest) -> dict[str, Any]:
        """Add one image; the answer as it goes out, after the commit.

        Raises:
            RequestError: near-duplicates are to be skipped, but are not looked for here.
            ImageError: the picture cannot be had.
            ModelUnavailableError: the embedder does not answer.
            StoreError: it cannot be stored.
        """
        if request.on_duplicate == "skip_near" and not self._min_similarity:
            raise RequestError("on_duplicate must be 'add' or 'skip': near ones are not looked for")
        await self._backend.index.check_metadata(request.metadata)
        new = await self._backend.new_image(request.source(request.url))
        skip = request.on_duplicate != "add"
        image = replace(new, metadata=request.metadata, skip_duplicate=skip)
        if request.on_duplicate == "skip_near":
            answer = await self._add_unless_near(image)
        else:
            answer = await self._written(image)
        if is_upload_url(request.url) and "skipped" not in answer:
            answer["url"] = request.url
        return answer

    async def add_many(
        self, request: AddManyRequest, within_s: float, report: Report
    ) -> list[dict[str, Any]]:
        """Add images, each for itself; one result for each, in order.

        The images of one url are added one after another, so that the last one stays.

        Args:
            request: the images, unchecked.
            within_s: when it is over, what is not done is given up, and told so.
            report: logs an image's error and says how it goes out.
        """
        results: dict[int, dict[str, Any]] = {}

        async def work(positions: list[int]) -> None:
            for position in positions:
                async with self._batch_slots:
                    element = request.images[position]
                    results[position] = await self._result(element, request.on_duplicate, report)

        chains = [asyncio.create_task(work(chain)) for chain in _by_url(request.images)]
        with _cancelled_at_end(chains):
            await asyncio.wait(chains, timeout=within_s)
        late = DeadlineError("not done within the request's time; add it again")
        return [
            results[position] if position in results else _failed(element, report(late))
            for position, element in enumerate(request.images)
        ]

    async def _result(self, element: Any, on_duplicate: str, report: Report) -> dict[str, Any]:
        try:
            added = await self.add(_checked(element, on_duplicate))
        except Exception as error:  # fails this image alone
            return _failed(element, report(error))
        return {"url": element["url"], **{k: v for k, v in added.items() if k != "message"}}

    async def _add_unless_near(self, image: NewImage) -> dict[str, Any]:
        # One at a time: of two like images that come at once, the second is to see the first.
        async with self._looking:
            if await self._backend.index.get(image_id(image.url)) is None:
                near = await self._near(image)
                same = await self._same(image)
                if near or same:
                    skipped = Upserted(same or near[0].id, False, same, skipped=True)
                    return _answer(skipped, near)
            return await self._written(image)

    async def _written(self, image: NewImage) -> dict[str, Any]:
        with span("commit"):
            added = await self._backend.index.upsert(image)
        if added.skipped:
            return _answer(added, [])
        try:
            near = await self._near(image)
        except StoreFault as error:  # the image is in the index, and that is what is asked
            logger.warning("near-duplicates were not looked for: %s (%s)", error, error.detail)
            near = []
        return _answer(added, near)

    async def _same(self, image: NewImage) -> str | None:
        if image.pixels is None:
            return None
        return await self._backend.index.same_pixels(image.pixels, image.url)

    async def _near(self, image: NewImage) -> list[Near]:
        if not self._min_similarity:
            return []
        return await self._backend.index.near_duplicates(
            image.vector, image.url, self._min_similarity
        )


def _answer(added: Upserted, near: list[Near]) -> dict[str, Any]:
    """What applies, and nothing else: a plain add is answered as it always was."""
    answer: dict[str, Any] = {"message": "success", "id": added.id, "created": added.created}
    if added.skipped:
        answer["skipped"] = True
    if added.duplicate_of is not None:
        answer["duplicate_of"] = added.duplicate_of
    if like := [hit for hit in near if hit.id != added.duplicate_of]:
        answer["near_duplicates"] = [
            {"id": hit.id, "url": hit.url, "score": hit.score} for hit in like
        ]
    return answer


def _checked(element: Any, on_duplicate: str) -> AddRequest:
    if not isinstance(element, dict):
        raise RequestError('an image must be an object such as {"url": "https://..."}')
    own = element.get("on_duplicate")
    return AddRequest.checked({**element, "on_duplicate": on_duplicate if own is None else own})


def _url(element: Any) -> str | None:
    url = element.get("url") if isinstance(element, dict) else None
    return url if isinstance(url, str) else None


def _by_url(elements: list[Any]) -> list[list[int]]:
    """The positions of each url's elements; what has no url stands alone."""
    chains: dict[str | int, list[int]] = {}
    for position, element in enumerate(elements):
        url = _url(element)
        chains.setdefault(position if url is None else url, []).append(position)
    return list(chains.values())


def _failed(element: Any, problem: Problem) -> dict[str, Any]:
    return {"url": _url(element), "message": problem.message, "code": problem.code}


@contextmanager
def _cancelled_at_end(tasks: Sequence[asyncio.Task[None]]) -> Iterator[None]:
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
