"""Images of the same pixels under several urls: told, and left out if asked."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from store.schemas import FloatVector, NewImage, Upserted, image_id
from store.search import reader
from store.search.vectors.near_duplicates import NearCall, near, near_each
from store.snapshot.snapshot import Snapshot
from tests.store.support import opened, run, url_of, vector


def picture(n: int, pixels: str | None, *, skip: bool = False, seed: int = 0) -> NewImage:
    return NewImage(url_of(n), vector(seed or n), {"n": n}, pixels, skip)


def id_of(n: int) -> str:
    return image_id(url_of(n))


def test_the_oldest_of_the_same_pixels_is_told(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            assert await index.upsert(picture(5, "p")) == Upserted(id_of(5), created=True)
            answers = [await index.upsert(picture(n, "p")) for n in (3, 4)]
            assert [answer.duplicate_of for answer in answers] == [id_of(5), id_of(5)]
            assert await index.count() == 3
            # An image is no duplicate of itself, and of no other pixels.
            assert (await index.upsert(picture(5, "p"))).duplicate_of == id_of(3)
            assert (await index.upsert(picture(3, "q"))).duplicate_of is None
            assert (await index.upsert(picture(9, None))).duplicate_of is None

    run(check())


def test_adds_at_the_same_time_see_each_other(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index, opened(tmp_path) as other:
            adds = [
                (index if n % 2 else other).upsert(picture(n, "p", skip=True)) for n in range(20)
            ]
            answers = await asyncio.gather(*adds)
            [written] = [answer for answer in answers if not answer.skipped]
            assert written.created
            skipped = Upserted(written.id, created=False, duplicate_of=written.id, skipped=True)
            assert answers.count(skipped) == 19
            assert await index.count() == await other.count() == 1

    run(check())


def test_a_delete_before_an_add_takes_its_twin_away(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(picture(1, "p"))
            deleted, added = await asyncio.gather(
                index.delete([id_of(1)]), index.upsert(picture(2, "p", skip=True))
            )
            assert (deleted, added) == (1, Upserted(id_of(2), created=True))

    run(check())


def test_a_url_that_is_indexed_is_replaced_whoever_has_its_pixels(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(picture(1, "p"))
            await index.upsert(picture(2, "q"))
            answer = await index.upsert(picture(2, "p", skip=True))
            assert answer == Upserted(id_of(2), created=False, duplicate_of=id_of(1))
            # Its old pixels went with it.
            assert (await index.upsert(picture(3, "q"))).duplicate_of is None

    run(check())


def test_a_picture_that_is_there_often_does_not_crowd_out_others(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            for n in range(12):
                await index.upsert(picture(n, "everywhere"))
            await index.upsert(picture(20, "once"))
            answers = await asyncio.gather(
                index.upsert(picture(0, "everywhere")), index.upsert(picture(21, "once"))
            )
            assert [each.duplicate_of for each in answers] == [id_of(1), id_of(20)]
            # The oldest ones are replaced by the very commit that asks for them.
            again = await asyncio.gather(
                *(index.upsert(picture(n, "other")) for n in (1, 2, 3)),
                index.upsert(picture(30, "everywhere")),
            )
            assert again[-1].duplicate_of == id_of(4)

    run(check())


def test_near_duplicates_are_those_above_the_score_under_other_urls(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            for n, seed in [(1, 7), (2, 7), (3, 8)]:
                await index.upsert(picture(n, None, seed=seed))
            hits = await index.near_duplicates(NewImage(url_of(1), vector(7)), 0.95)
            assert [(hit.id, hit.score) for hit in hits] == [(id_of(2), 1.0)]
            assert (
                len(await index.near_duplicates(NewImage(url_of(9), vector(7)), 0.95, limit=1)) == 1
            )
            assert await index.near_duplicates(NewImage(url_of(9), vector(9)), 0.99) == []

    run(check())


def like(n: int, similarity: float) -> FloatVector:
    """A vector as similar as that to the one of this number."""
    other = vector(100_000 + n)
    other -= vector(n) * (other @ vector(n))
    other /= np.linalg.norm(other)
    mixed = similarity * vector(n) + np.sqrt(1 - similarity**2) * other
    return np.asarray(mixed / np.linalg.norm(mixed), np.float32)


@pytest.mark.parametrize("min_score", [0.3, 0.8, 0.95, 1.0])
def test_those_who_ask_together_are_told_what_each_is_told_alone(
    tmp_path: Path, min_score: float
) -> None:
    similarities = [1.0, 0.999, 0.96, 0.951, 0.949, 0.94, 0.82, 0.79, 0.5]

    async def check() -> None:
        async with opened(tmp_path, store_vector_index_rows=1000) as index:
            await asyncio.gather(*(index.upsert(picture(n, None)) for n in range(1200)))
            await index.run_upkeep()
            # As like as can be to what the index knows, and in a tail that it does not.
            near_ones = [like(n, similarities[n % 9]) for n in range(90)]
            for first in range(0, 90, 30):
                await asyncio.gather(
                    *(
                        index.upsert(NewImage(url_of(2000 + n), near_ones[n], None))
                        for n in range(first, first + 30)
                    )
                )
            snapshot = await index.snapshots.latest()
            assert snapshot.indexed
            assert snapshot.has_tail
            wanted = [
                NearCall(vector, min_score, 5, id_of(n if n % 2 else 2000 + n))
                for n, vector in enumerate(near_ones)
            ]
            alone = [near(snapshot, each) for each in wanted]
            assert near_each(snapshot, wanted) == alone
            assert sum(map(len, alone)) >= 45

    run(check())


def test_those_who_ask_at_the_same_time_share_a_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def noted(snapshot: Snapshot, wanted: list[NearCall]) -> object:
        asked.append(len(wanted))
        return near_each(snapshot, wanted)

    async def check() -> None:
        monkeypatch.setattr(reader, "near_each", noted)
        async with opened(tmp_path) as index:
            await asyncio.gather(*(index.upsert(picture(n, None)) for n in range(50)))
            found = await asyncio.gather(
                *(index.near_duplicates(NewImage(url_of(99), vector(n)), 0.99) for n in range(50))
            )
            assert [hit.id for [hit] in found] == [id_of(n) for n in range(50)]
            assert asked == [32, 18]

    run(check())


def test_a_table_of_before_the_digests_gets_the_column(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(picture(1, "p"))
            await index.opened.table.drop_columns(["pixels"])
        async with opened(tmp_path) as index:
            assert (await index.upsert(picture(2, "p"))).duplicate_of is None
            assert (await index.upsert(picture(3, "p"))).duplicate_of == id_of(2)
            assert await index.count() == 3

    run(check())
