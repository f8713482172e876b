"""Opening: what is made, what is refused, what an import costs."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import lancedb
import pytest

from store.errors import (
    InvalidRowError,
    ModelMismatchError,
    StoreClosedError,
    StoreDamagedError,
    StoreError,
    StoreMovedError,
    StoreOpenError,
)
from store.index import ImageIndex
from store.offline.repair import examine
from store.schemas import ModelIdentity, NewImage, SearchQuery, image_id
from store.settings import StoreSettings
from store.table.open import check_table
from tests.store.support import DIM, IDENTITY, image, opened, run, url_of, vector


@pytest.mark.parametrize(
    "other",
    [
        replace(IDENTITY, model="ViT-L-14"),
        replace(IDENTITY, pretrained="sha256:00"),
        replace(IDENTITY, dim=DIM + 1),
    ],
)
def test_a_table_refuses_another_model_and_names_both(tmp_path: Path, other: ModelIdentity) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1, {"a": 1}))
        with pytest.raises(ModelMismatchError) as caught:
            await ImageIndex.open(StoreSettings(store_uri=str(tmp_path)), other)
        assert str(IDENTITY) in str(caught.value)
        assert str(other) in str(caught.value)
        assert str(tmp_path) not in str(caught.value)
        async with opened(tmp_path) as index:
            assert await index.count() == 1

    run(check())


def test_a_table_of_another_program_is_refused(tmp_path: Path) -> None:
    async def check() -> None:
        connection = await lancedb.connect_async(tmp_path)
        await connection.create_table("images", [{"id": "a"}])
        with pytest.raises(StoreOpenError, match="not this program's"):
            await ImageIndex.open(StoreSettings(store_uri=str(tmp_path)), IDENTITY)

    run(check())


def test_a_place_that_is_no_folder_is_refused_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreOpenError) as caught:
        run(ImageIndex.open(StoreSettings(store_uri=str(tmp_path / "file" / "x")), IDENTITY))
    assert str(tmp_path) not in str(caught.value)
    assert caught.value.detail


@pytest.mark.parametrize(
    ("looks", "opening"),
    [
        ("store.table.open.current_table", lambda at: ImageIndex.open(at, IDENTITY)),
        ("store.table.open.current_table", check_table),
        ("store.offline.repair.current_table", examine),
    ],
)
def test_a_panic_in_the_engine_is_an_error_of_the_store(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    looks: str,
    opening: Callable[[StoreSettings], Coroutine[Any, Any, object]],
) -> None:
    class PanicException(BaseException):
        pass

    async def panics(connection: object) -> None:
        raise PanicException("index out of bounds")

    async def make_table() -> None:
        async with opened(tmp_path):
            pass

    run(make_table())
    monkeypatch.setattr(looks, panics)
    with pytest.raises(StoreOpenError) as caught:
        run(opening(StoreSettings(store_uri=str(tmp_path))))
    assert "out of bounds" not in str(caught.value)
    assert "out of bounds" in caught.value.detail


def test_after_close_everything_is_refused_clearly(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            pass
        await index.close()
        for attempt in (
            index.upsert(image(1)),
            index.delete(["x"]),
            index.get("x"),
            index.search(SearchQuery()),
            index.count(),
        ):
            with pytest.raises(StoreClosedError):
                await attempt

    run(check())


def test_get_and_delete_take_any_text_for_an_id(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1))
            for text in ("", "'", "x' OR 1=1 --", "\\", "\x00", "\ud800"):
                assert await index.get(text) is None
                assert await index.delete([text]) == 0
            assert await index.delete([]) == 0
            assert await index.delete([image_id(url_of(1)), "x"]) == 1
            assert await index.count() == 0

    run(check())


@pytest.mark.parametrize(
    "bad",
    [
        NewImage("", vector(1)),
        NewImage("https://example.org/\ud800", vector(1)),
        NewImage("u", vector(1)[:-1]),
        NewImage("u", vector(1) * 2),
        NewImage("u", vector(1) * 0),
        NewImage("u", vector(1) * float("nan")),
        NewImage("u", vector(1) * float("inf")),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_rows_that_cannot_be_searched_are_refused(tmp_path: Path, bad: NewImage) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            with pytest.raises(InvalidRowError):
                await index.upsert(bad)
            assert await index.count() == 0

    run(check())


def test_importing_the_store_does_not_import_lancedb() -> None:
    code = "import sys, store.index; sys.exit('lancedb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_first_start_is_checked_without_lancedb(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from store.table.open import check_table;"
        "from store.settings import StoreSettings;"
        "asyncio.run(check_table(StoreSettings(store_uri=sys.argv[1])));"
        "sys.exit('lancedb' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "new")]
    assert subprocess.run(command, check=False).returncode == 0


@pytest.mark.parametrize(
    ("successor", "error"), [("images_2.lance", StoreMovedError), ("other", StoreDamagedError)]
)
def test_a_table_that_was_deleted_under_it_says_so(
    tmp_path: Path, successor: str, error: type[StoreError]
) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1))
            shutil.rmtree(tmp_path / "images.lance")
            (tmp_path / successor).mkdir()
            for ask in (index.count, partial(index.images, 3), partial(index.upsert, image(2))):
                with pytest.raises(error):
                    await ask()

    run(check())
