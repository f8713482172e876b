"""Whatever state a change of the model was left in, the next run makes good of it."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from store.errors import ModelMismatchError, StoreOpenError
from store.index import ImageIndex
from store.offline.outcome import Outcome
from store.offline.reembed import Reembedding
from store.offline.turn import ReembedError
from store.schemas import NewImage, SearchQuery, image_id
from store.settings import StoreSettings
from store.table.connection import connect, open_dataset
from store.table.faults import until_committed
from store.table.names import (
    MARK_BUILDING,
    MARK_SUPERSEDED,
    current_table,
    is_building,
    is_superseded,
    mark,
    table_names,
)
from store.table.open import made_by
from tests.store.objects.objects import DETECTOR, showing
from tests.store.offline.moving import (
    NEW,
    THIRD,
    FakeEmbedder,
    Heard,
    everything,
    moved,
    new_vector,
    object_vector,
    opened_as,
)
from tests.store.support import IDENTITY, image, opened, run, url_of

KILLS = 3


async def filled(folder: Path, rows: int = 4, *names: str) -> None:
    async with opened(folder, DETECTOR if names else None) as index:
        for n in range(rows):
            image_of = showing(n, *names, metadata={"n": n}) if names else image(n, {"n": n})
            await index.upsert(image_of)


async def half_made(folder: Path, rows: int = 4) -> None:
    """An index, and a table of the new model with all rows but one."""
    await filled(folder, rows)
    embed = FakeEmbedder(failing=frozenset({url_of(0)}))
    assert not (await moved(folder, embed)).switched


def test_a_table_of_a_third_model_is_finished_or_thrown_away(tmp_path: Path) -> None:
    async def check() -> None:
        await half_made(tmp_path)
        with pytest.raises(ReembedError, match=r"model ViT-New \(other, 24 .*--start-over"):
            await moved(tmp_path, FakeEmbedder(THIRD.dim), THIRD)
        async with Reembedding.opened(StoreSettings(store_uri=str(tmp_path))) as work:
            await work.check_half_made(THIRD.model, THIRD.pretrained, start_over=True)
        assert (await moved(tmp_path, FakeEmbedder(THIRD.dim), THIRD)).switched
        async with opened_as(tmp_path, THIRD) as index:
            assert await index.count() == 4

    run(check())


def test_going_back_takes_the_vectors_of_the_table_that_was_kept(tmp_path: Path) -> None:
    async def check() -> None:
        await filled(tmp_path)
        assert (await moved(tmp_path, FakeEmbedder())).switched
        async with opened_as(tmp_path, NEW) as new:
            await new.patch(image_id(url_of(1)), {"n": 10})
            await new.delete([image_id(url_of(2))])
            await new.upsert(NewImage(url_of(3), new_vector("3"), {"n": 30}))
            await new.upsert(NewImage(url_of(9), new_vector("9"), {"n": 90}))
            before = await everything(new)
        embed = FakeEmbedder(IDENTITY.dim)
        assert await moved(tmp_path, embed, IDENTITY) == Outcome(4, 0, switched=True)
        # Only what was added since has to be fetched.
        assert sorted(embed.urls) == [url_of(3), url_of(9)]
        async with opened(tmp_path) as old:
            assert await everything(old) == before
            (hit,) = await old.search(SearchQuery(vector=image(1).vector, limit=1))
            assert (hit.url, hit.score, hit.metadata) == (url_of(1), 1.0, {"n": 10})
        async with Reembedding.opened(StoreSettings(store_uri=str(tmp_path))) as work:
            kept = await work.old_tables()
            assert [(each.name, each.model) for each in kept] == [
                ("images_2", NEW),
                ("images", IDENTITY),
            ]
            assert all(each.size_bytes for each in kept)
            assert await work.delete_old() == 2
            assert await work.old_tables() == []
        async with opened(tmp_path) as old:
            assert await everything(old) == before

    run(check())


@pytest.mark.parametrize("killed", ["before the switch", "after the switch"])
def test_killed_at_the_switch(tmp_path: Path, killed: str) -> None:
    async def check() -> None:
        await half_made(tmp_path)
        connection = await connect(StoreSettings(store_uri=str(tmp_path)))
        old = await connection.open_table("images")
        await mark(old, MARK_SUPERSEDED, "" if killed == "before the switch" else "images_2")
        if killed == "before the switch":
            with pytest.raises(ModelMismatchError):
                await ImageIndex.open(StoreSettings(store_uri=str(tmp_path)), NEW)
            assert (await moved(tmp_path, FakeEmbedder())).switched
        else:
            async with opened_as(tmp_path, NEW) as index:
                await index.upsert(NewImage(url_of(9), new_vector("9")))
            async with Reembedding.opened(StoreSettings(store_uri=str(tmp_path))) as work:
                assert await work.model() == NEW
        new = await connection.open_table("images_2")
        assert not is_building(await new.schema())
        assert is_superseded(await old.schema())
        async with opened_as(tmp_path, NEW) as index:
            assert await index.count() == 4

    run(check())


def test_a_closed_table_whose_successor_is_gone_is_opened_again(tmp_path: Path) -> None:
    async def check() -> None:
        await filled(tmp_path)
        connection = await connect(StoreSettings(store_uri=str(tmp_path)))
        await mark(await connection.open_table("images"), MARK_SUPERSEDED, "images_2")
        (tmp_path / "images_2.lance" / "data").mkdir(parents=True)
        (tmp_path / "images_2.lance").rename(tmp_path / "images_3.lance")
        async with Reembedding.opened(StoreSettings(store_uri=str(tmp_path))):
            assert await table_names(connection) == ["images"]
            async with opened(tmp_path) as index:
                await index.upsert(image(8))
        assert (await moved(tmp_path, FakeEmbedder())).switched

    run(check())


def test_two_at_once_are_one_too_many(tmp_path: Path) -> None:
    async def check() -> None:
        with pytest.raises(StoreOpenError, match="no index yet"):
            await moved(tmp_path, FakeEmbedder())
        await filled(tmp_path)
        async with Reembedding.opened(StoreSettings(store_uri=str(tmp_path))):
            with pytest.raises(ReembedError, match="another"):
                await moved(tmp_path, FakeEmbedder())
        assert (await moved(tmp_path, FakeEmbedder())).switched

    run(check())


def test_a_restored_version_and_keys_that_changed_places(tmp_path: Path) -> None:
    async def check() -> None:
        await filled(tmp_path)
        async with opened(tmp_path) as old:
            before = (await old.state()).version
            await old.patch(image_id(url_of(0)), {"later": "text"})
        embed = FakeEmbedder(failing=frozenset({url_of(3)}))
        assert not (await moved(tmp_path, embed)).switched
        async with opened(tmp_path) as old:
            await old.restore(version=before)
            # The column that held texts under another key.
            await old.patch(image_id(url_of(1)), {"other": 7})
            expected = await everything(old)
        assert (await moved(tmp_path, FakeEmbedder())).switched
        async with opened_as(tmp_path, NEW) as new:
            assert await everything(new) == expected
            assert (await new.state()).columns == {"n": "integer", "other": "integer"}

    run(check())


def test_on_an_object_store_changes_are_refused_before_the_last_look(tmp_path: Path) -> None:
    async def check() -> None:
        # A folder, by the code for object stores.
        settings = StoreSettings(store_uri=f"file-object-store://{tmp_path}")
        connection = await connect(settings)
        index = await ImageIndex.open(settings, IDENTITY)
        for n in range(3):
            await index.upsert(image(n))
        work = Reembedding(connection, settings)
        failing = FakeEmbedder(failing=frozenset({url_of(1)}))
        heard = Heard()
        assert not (await work.run(NEW, failing, heard, leave_out_failed=False)).switched
        await index.upsert(image(3))
        embed = FakeEmbedder()
        assert (await work.run(NEW, embed, heard, leave_out_failed=False)).switched
        assert sorted(embed.urls) == [url_of(1), url_of(3)]
        assert await current_table(connection) == "images_2"
        new = await connection.open_table("images_2")
        assert made_by(await new.schema()) == NEW
        assert await new.count_rows() == 4

    run(check())


def test_marks_and_compaction_do_not_undo_each_other(tmp_path: Path) -> None:
    async def check() -> None:
        await filled(tmp_path, rows=12)
        async with opened(tmp_path) as index:
            connection = await connect(StoreSettings(store_uri=str(tmp_path)))
            table = await connection.open_table("images")
            for turn in range(3):
                await asyncio.gather(
                    until_committed(lambda: mark(table, MARK_BUILDING, "x")),
                    index.run_upkeep(),
                )
                assert is_building(await table.schema())
                await asyncio.gather(
                    until_committed(lambda: mark(table, MARK_BUILDING, None)),
                    index.run_upkeep(),
                )
                assert not is_building(await table.schema())
                await index.upsert(image(20 + turn))
            assert await index.count() == 15

    run(check())


def test_killed_again_and_again_it_comes_to_its_end(tmp_path: Path) -> None:
    run(filled(tmp_path, 40, "dog", "cat"))
    log = tmp_path / "embedded"
    log.touch()
    for turn in range(KILLS):
        command = [sys.executable, "-m", "tests.store.offline.moving", str(tmp_path), str(log)]
        with subprocess.Popen(command) as process:
            while len(log.read_text().splitlines()) < 8 * (turn + 1) and process.poll() is None:
                time.sleep(0.01)
            process.kill()
        assert process.returncode == -9
    rest = FakeEmbedder()
    assert run(moved(tmp_path, rest)) == Outcome(40, 0, switched=True)
    embedded = [*log.read_text().splitlines(), *rest.urls]
    assert set(embedded) == {url_of(n) for n in range(40)}
    # At each kill one row may have been on its way, and its objects may be there already.
    assert len(embedded) <= 40 + KILLS
    run(check_objects(tmp_path, 40))


async def check_objects(folder: Path, images: int) -> None:
    table = open_dataset(str(folder / "objects_2.lance"), None)
    ids = table.to_table(columns=["id"])["id"].to_pylist()
    assert len(ids) == len(set(ids))
    async with opened_as(folder, NEW, DETECTOR) as index:
        for n in range(images):
            vectors = [await index.object_vector(image_id(url_of(n)), place) for place in (0, 1)]
            expected = [object_vector(url_of(n), place) for place in (0, 1)]
            assert np.array_equal(np.stack(vectors), np.stack(expected))  # type: ignore[arg-type]
