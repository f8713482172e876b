"""`image-search check`: says what is wrong, and mends it when asked to."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from image_search.cli.main import main
from tests.store.support import image, opened


def run(*options: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["check", *options])
    return done.exit_code, done.output


def test_damage_is_named_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def make() -> None:
        async with opened(tmp_path) as index:
            for n in range(3):
                await index.upsert(image(n))

    asyncio.run(make())
    monkeypatch.setenv("IMAGE_SEARCH_STORE_URI", str(tmp_path))
    status, said = run()
    assert (status, "3 images" in said) == (0, True)
    lost = next((tmp_path / "images.lance" / "data").iterdir())
    lost.unlink()
    status, said = run()
    assert status == 1
    for part in (f"images.lance/data/{lost.name}", "1 of 3 images", "--repair"):
        assert part in said
    status, said = run("--repair")
    assert (status, "2 images are left" in said) == (0, True)
    assert run()[0] == 0


def test_where_there_is_no_index_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_STORE_URI", str(tmp_path / "none"))
    status, said = run()
    assert status == 1
    assert "no folder of an index" in said
    assert "Traceback" not in said
