"""Adding many at once: order, isolation, the deadline and how much runs at the same time."""

import asyncio
import hashlib
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from api.contract.requests.add import AddManyRequest, AddRequest
from api.errors import RequestError
from api.pipeline.backend import Backend
from api.requests.source import Source
from api.routes.add import _BATCH_SHARE, post_image_to_index, post_images_to_index
from images.schemas import ClipPicture, ExifData
from store.errors import StoreReadError
from store.schemas import Author, Near, NewImage, NewKeys, Upserted, image_id

SLOW_S = 60.0


class FakeIndex:
    """Keeps what is written, in order; knows near-duplicates by name."""

    def __init__(self) -> None:
        self.written: list[NewImage] = []
        self.near_fails = False

    async def keep_original(self, data: bytes) -> str | None:
        """Nothing is stored."""

    async def check_metadata(self, metadata: Any, _new: NewKeys) -> Any:
        """Everything can be stored."""
        return metadata

    async def get(self, wanted: str) -> NewImage | None:
        return next((one for one in self.written if image_id(one.url) == wanted), None)

    async def upsert(self, image: NewImage, by: Author) -> Upserted:
        await asyncio.sleep(0.001)
        self.written.append(image)
        return Upserted(image_id(image.url), created=True)

    async def near_duplicates(self, image: NewImage, min_score: float) -> list[Near]:
        if self.near_fails:
            raise StoreReadError("the index could not be read")
        others = [one for one in self.written if one.url != image.url]
        near = [one for one in others if one.url[:4] == image.url[:4]]
        return [Near(one.id, one.url, 0.99) for one in near]

    async def same_pixels(self, image: NewImage) -> str | None:
        same = [o for o in self.written if o.url != image.url and o.pixels == image.pixels]
        return same[0].id if same else None


class FakeBackend:
    """Embeds a url at once; one with `slow` in it never comes, one with `bad` is no picture."""

    def __init__(self) -> None:
        self.index = FakeIndex()
        self.now = self.most = self.begun = 0  # what begins later takes less
        self.near_duplicates_lock = asyncio.Lock()
        self.pictures, self.models = self, SimpleNamespace(clip=None, encode_image=embed)

    def configure(self, similarity: float = 0.98, within_s: float = 10, slots: int = 1) -> Backend:
        """As a backend with these settings is."""
        api = SimpleNamespace(
            near_duplicate_similarity=similarity,
            request_timeout_s=within_s / _BATCH_SHARE,
            max_new_keys=32,
            objects=False,
        )
        self.settings = SimpleNamespace(api=api)
        self.batch_slots = asyncio.Semaphore(slots)
        return cast(Backend, self)

    async def for_index(
        self, source: Source, _clip: None, _store: Any, *, exif: bool
    ) -> tuple[ClipPicture, None]:
        """As `Pictures` does."""
        url = source.url
        self.now += 1
        self.begun += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(SLOW_S if "slow" in url else 0.05 / self.begun)
        finally:
            self.now -= 1
        if "bad" in url:
            raise RequestError("bad picture")
        digest = hashlib.sha256(url.encode()).hexdigest()
        told = ExifData(camera=url) if exif else None
        return ClipPicture(np.zeros((1, 1, 3), np.uint8), digest, None, told), None


async def embed(_: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.full(4, 0.5, np.float32)


def many(
    backend: FakeBackend, images: list[Any], within_s: float = 10, room: int = 4, **more: Any
) -> Any:
    request = AddManyRequest.checked({"images": images, **more})
    configured = backend.configure(within_s=within_s, slots=room)
    answer = asyncio.run(post_images_to_index(configured, request))
    return [one.model_dump(exclude_unset=True) for one in answer.results]


def test_the_last_of_one_url_stays() -> None:
    backend = FakeBackend()
    images = [{"url": f"{n % 3}---", "metadata": {"n": n}} for n in range(30)]
    results = many(backend, images)
    assert [one["url"] for one in results] == [one["url"] for one in images]
    last = {one.url: one.metadata for one in backend.index.written}
    assert last == {"0---": {"n": 27}, "1---": {"n": 28}, "2---": {"n": 29}}


def test_no_more_than_the_room_at_once() -> None:
    backend = FakeBackend()
    many(backend, [{"url": f"{n:04}"} for n in range(64)], room=4)
    assert backend.most == 4


def test_what_is_not_done_in_time_is_told_and_the_rest_is_done() -> None:
    backend = FakeBackend()
    images = [{"url": "fast"}, {"url": "slow"}, {"url": "bad "}, 5]
    results = many(backend, images, within_s=2)
    assert [one.get("code") for one in results] == [None, "deadline", "bad_request", "bad_request"]
    assert "add it again" in results[1]["message"]
    assert backend.now == 0  # what was given up does not go on


def test_those_that_wait_behind_a_slow_one_are_told_too() -> None:
    results = many(FakeBackend(), [{"url": "slow"}, {"url": "fast"}], within_s=0.2, room=1)
    assert [one["code"] for one in results] == ["deadline", "deadline"]


def test_near_ones_that_come_at_once_see_each_other() -> None:
    backend = FakeBackend()
    images = [{"url": f"same{n}", "on_duplicate": "skip_near"} for n in range(8)]
    results = many(backend, images)
    assert len(backend.index.written) == 1
    assert sum("skipped" not in one for one in results) == 1


@pytest.mark.parametrize(
    ("own", "written"), [({}, 1), ({"on_duplicate": None}, 1), ({"on_duplicate": "add"}, 2)]
)
def test_an_image_that_does_not_say_it_follows_the_request(own: Any, written: int) -> None:
    backend = FakeBackend()
    images = [{"url": f"same{n}", **own} for n in range(2)]
    many(backend, images, on_duplicate="skip_near")
    assert len(backend.index.written) == written


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({}, {"camera": "u"}),
        ({"exif": None}, {"camera": "u"}),
        ({"exif": False}, None),
        ({"metadata": {"camera": None}}, {}),
        ({"metadata": {"gps": {"lat": 1}, "n": 1}}, {"camera": "u"}),
    ],
)
def test_exif_goes_beside_the_metadata_where_it_is_asked_for(own: Any, told: Any) -> None:
    backend = FakeBackend()
    (result,) = many(backend, [{"url": "u", **own}], exif=True)
    assert result.get("exif") == told
    assert backend.index.written[0].metadata == (
        {**own.get("metadata", {}), **(told or {})} or None
    )


def one(backend: FakeBackend, similarity: float, **request: Any) -> dict[str, Any]:
    configured = backend.configure(similarity)

    async def run() -> dict[str, Any]:
        await post_image_to_index(configured, AddRequest.checked({"url": "same0"}))
        answer = await post_image_to_index(
            configured, AddRequest.checked({"url": "same1", **request})
        )
        return answer.model_dump(exclude_unset=True)

    return asyncio.run(run())


def test_a_plain_answer_has_no_more_than_before() -> None:
    assert set(one(FakeBackend(), 0)) == {"message", "id", "created"}


def test_near_ones_are_named() -> None:
    assert [hit["url"] for hit in one(FakeBackend(), 0.98)["near_duplicates"]] == ["same0"]


def test_skipping_near_ones_needs_the_search_for_them() -> None:
    with pytest.raises(RequestError, match="does not search"):
        one(FakeBackend(), 0, on_duplicate="skip_near")


def test_an_add_that_is_written_is_acknowledged_whatever_follows() -> None:
    added, skipped = FakeBackend(), FakeBackend()
    added.index.near_fails = skipped.index.near_fails = True
    assert set(one(added, 0.98)) == {"message", "id", "created"}
    with pytest.raises(StoreReadError):
        one(skipped, 0.98, on_duplicate="skip_near")
    assert len(skipped.index.written) == 1
