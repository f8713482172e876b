"""`image-search reembed` as a person calls it: real pictures, real model, real kill."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

from api.pipeline.boxes import RECIPE, padded
from cli.offline.commands import reembed
from demo.scenes.scenes import draw_scene
from demo.scenes.seeds import SHOW_SEEDS
from demo.server import as_jpeg
from image_search.cli.main import main
from images.decode.prepare import clip_pixels, pixel_digest
from images.schemas import LabelledBox, PixelBox
from images.settings import DecodeSettings
from runners.settings import ModelSettings
from store.index import ImageIndex
from store.offline.reembed import Reembedding
from store.schemas import (
    Detector,
    FloatVector,
    ModelIdentity,
    NewImage,
    NewObjects,
    ObjectBox,
    SearchQuery,
    UpkeepReport,
    image_id,
)
from store.settings import StoreSettings
from store.table.connection import connect
from store.table.disk.location import Location
from store.table.names import schema_of, table_names
from store.table.open import made_by
from store.upkeep.status import write_report
from tests.cli.servers import CountingServer
from tests.images.decode.decoding import decode
from tests.store.support import IDENTITY, opened, run, vector

PICTURES = 60
MISSING = (11, 37)


@pytest.fixture
def server() -> Iterator[CountingServer]:
    with CountingServer(delay_s=0.1) as running:
        yield running


@pytest.fixture
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("IMAGE_SEARCH_"):
            monkeypatch.delenv(name)
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)


def environment(folder: Path) -> dict[str, str]:
    return {
        "IMAGE_SEARCH_MODELS": "demo",
        "IMAGE_SEARCH_DEVICE": "cpu",
        "IMAGE_SEARCH_RUNTIME": "torch",
        "IMAGE_SEARCH_THREADS": "1",
        "IMAGE_SEARCH_STORE_URI": str(folder / "index"),
        "IMAGE_SEARCH_ALLOW_NETWORKS": "127.0.0.1/32",
        # So few that it takes seconds.
        "IMAGE_SEARCH_DOWNLOAD_THREADS": "2",
    }


def invoked(*options: str) -> tuple[int, str]:
    """Runs the command in this process, where torch is imported once for all."""
    done = CliRunner().invoke(main, ["reembed", *options])
    return done.exit_code, done.output


async def table_of(folder: Path, urls: list[str]) -> None:
    """An index of another model, whose vectors say nothing."""
    async with opened(folder) as index:
        for n, url in enumerate(urls):
            await index.upsert(NewImage(url, vector(n), {"n": n}, pixels=f"digest {n % 5}"))


async def rows_of(folder: Path, table: str) -> list[str]:
    connection = await connect(StoreSettings(store_uri=str(folder)))
    if await schema_of(connection, table) is None:
        return []
    found = await (await connection.open_table(table)).query().select(["url"]).to_arrow()
    urls: list[str] = found["url"].to_pylist()
    return urls


@pytest.mark.usefixtures("_clean_environment")
def test_killed_and_started_again_it_downloads_nothing_twice(
    tmp_path: Path, server: CountingServer
) -> None:
    folder, listed = tmp_path / "index", tmp_path / "failures.jsonl"
    pictures = [as_jpeg(draw_scene(seed).picture) for seed in SHOW_SEEDS[:PICTURES]]
    server.files = {f"{n}.jpg": each for n, each in enumerate(pictures) if n not in MISSING}
    urls = [f"{server.url}{n}.jpg" for n in range(PICTURES)]
    run(table_of(folder, urls))

    command = [sys.executable, "-m", "image_search.cli.main", "reembed", "--batch-size", "8"]
    server.stays = PICTURES // 2  # it cannot end before it is killed
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as first:
        while not run(rows_of(folder, "images_2")) and first.poll() is None:
            time.sleep(0.1)
        first.kill()
    assert first.returncode == -9
    server.stays = None
    done = run(rows_of(folder, "images_2"))
    assert 0 < len(done) < PICTURES
    asked_before = server.asked.copy()

    status, said = invoked("--failures", str(listed))
    assert status == 1
    assert f"2 of {PICTURES} images could not be embedded" in said
    assert "--leave-out-failed" in said
    failures = [json.loads(line) for line in listed.read_text().splitlines()]
    assert sorted(each["url"] for each in failures) == sorted(urls[n] for n in MISSING)
    assert {each["reason"] for each in failures} == {
        "could not fetch the image: the server answered 404 instead of 200"
    }
    assert all(server.asked[url] == 1 for url in done)
    assert server.asked.total() == asked_before.total() + PICTURES - len(done)

    asked_before = server.asked.copy()
    status, said = invoked("--leave-out-failed")
    assert status == 0
    assert "58 images are in the index of the new model (left out: 2)" in said
    assert "Kept, to go back to: the table of the model ViT-Test" in said
    assert server.asked - asked_before == {urls[n]: 1 for n in MISSING}
    run(check_index(folder, urls, pictures))


async def check_index(folder: Path, urls: list[str], pictures: list[bytes]) -> None:
    embedded, identity = embed(pictures[:1])
    index = await ImageIndex.open(StoreSettings(store_uri=str(folder)), identity)
    try:
        assert await index.count() == PICTURES - len(MISSING)
        (hit,) = await index.search(SearchQuery(vector=embedded[0], limit=1))
        assert (hit.url, hit.metadata) == (urls[0], {"n": 0})
        assert hit.score is not None
        assert hit.score > 0.999
        again = await index.upsert(NewImage("another", embedded[0], pixels="digest 0"))
        assert again.duplicate_of == image_id(urls[0])
    finally:
        await index.close()


def embed(
    pictures: list[bytes], parts: Sequence[PixelBox] = ()
) -> tuple[FloatVector, ModelIdentity]:
    """The demo model's vectors, by the same library calls that the service makes.

    Of whole pictures, or of parts of the first.
    """
    from runners.clip.recipe import load_clip

    settings = ModelSettings(models="demo", device="cpu", runtime="torch", threads=1)
    model = load_clip(settings)
    info = model.info
    prepare: Any = (info.image_size, info.interpolation, info.resize_mode, info.fill_color)
    decoded = [decode(each, DecodeSettings().limits) for each in pictures]
    prepared = [clip_pixels(each, *prepare) for each in decoded]
    if parts:
        squash: Any = (info.image_size, info.interpolation, "squash", 0)
        prepared = [clip_pixels(decoded[0].crop(part), *squash) for part in parts]
    vectors = model.encode_images(np.stack(prepared))
    return vectors, ModelIdentity(info.model, info.pretrained, info.dim)


@pytest.mark.usefixtures("_clean_environment")
def test_an_upload_is_read_from_its_file(tmp_path: Path) -> None:
    folder, listed = tmp_path / "index", tmp_path / "failures.jsonl"
    picture = as_jpeg(draw_scene(SHOW_SEEDS[0]).picture)

    async def uploaded() -> None:
        async with opened(folder) as index:
            file = await index.keep_original(picture)
            await index.upsert(NewImage("upload:kept", vector(0), file=file))
            await index.upsert(NewImage("upload:not kept", vector(1)))

    run(uploaded())
    status, _ = invoked("--failures", str(listed), "--leave-out-failed")
    assert status == 0
    (failure,) = map(json.loads, listed.read_text().splitlines())
    assert failure["url"] == "upload:not kept"
    assert failure["reason"].endswith("upload it again")
    embedded, identity = embed([picture])

    async def check() -> None:
        index = await ImageIndex.open(StoreSettings(store_uri=str(folder)), identity)
        (hit,) = await index.search(SearchQuery(vector=embedded[0]))
        assert hit.url == "upload:kept"
        assert hit.score == pytest.approx(1, abs=1e-5)
        await index.close()

    run(check())


@pytest.mark.usefixtures("_clean_environment")
def test_objects_are_cut_out_again_by_their_boxes(tmp_path: Path, server: CountingServer) -> None:
    folder, picture = tmp_path / "index", draw_scene(SHOW_SEEDS[0]).picture
    server.files = {"a.jpg": as_jpeg(picture), "b.jpg": as_jpeg(picture)}
    pixels = decode(server.files["a.jpg"], DecodeSettings().limits)
    edges = [(0.0, 0.0, 0.5, 0.5), (0.25, 0.5, 0.75, 1.0)]
    found = NewObjects(
        pixels.size,
        tuple(ObjectBox("thing", 0.5, each) for each in edges),
        0,
        np.stack([vector(1), vector(2)]),
    )

    async def added() -> None:
        async with opened(folder, Detector("any", RECIPE)) as index:
            for name, digest in (("a", pixel_digest(pixels)), ("b", "of another picture")):
                url = f"{server.url}{name}.jpg"
                await index.upsert(NewImage(url, vector(0), pixels=digest, objects=found))

    run(added())
    status, said = invoked("--batch-size", "2")
    assert status == 0
    assert "1 of them are without their objects" in said
    width, height = size = pixels.size
    parts = [
        padded(LabelledBox((x1 * width, y1 * height, x2 * width, y2 * height), 0.5, 0, ""), size)
        for x1, y1, x2, y2 in edges
    ]
    crops, identity = embed([server.files["a.jpg"]], parts)

    async def check() -> None:
        settings = StoreSettings(store_uri=str(folder))
        index = await ImageIndex.open(settings, identity, detector=Detector("any", RECIPE))
        own = image_id(f"{server.url}a.jpg")
        vectors = [await index.object_vector(own, n) for n in (0, 1)]
        assert all(each is not None for each in vectors)
        assert np.allclose(np.stack(vectors), crops, atol=1e-5)  # type: ignore[arg-type]
        assert await index.objects(image_id(f"{server.url}b.jpg")) is None
        assert await index.count() == 2
        await index.close()

    run(check())


@pytest.mark.usefixtures("_clean_environment")
def test_a_network_that_is_refused_is_said_in_one_line(
    tmp_path: Path, server: CountingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_ALLOW_NETWORKS", "")
    run(table_of(tmp_path / "index", [f"{server.url}1.jpg"]))
    status, said = invoked("--retries", "0")
    assert status == 1
    assert said.splitlines()[-1] == (
        "Error: not one of the images could be embedded, and nothing was switched;"
        " the last one: could not fetch the image: the host could not be reached"
    )
    assert not server.asked


@pytest.mark.usefixtures("_clean_environment")
class TestRefused:
    """Before any model is loaded."""

    def test_without_an_index(self, tmp_path: Path) -> None:
        folder = tmp_path / "index"
        said = f"Error: there is no index yet at {folder}: the service makes one as it starts\n"
        assert invoked() == (1, said)
        assert not folder.exists()
        folder.mkdir()
        assert invoked() == (1, said)
        assert not list(folder.iterdir())

    def test_a_file_in_place_of_the_index(self, tmp_path: Path) -> None:
        file = tmp_path / "index"
        file.write_text("no index")
        assert invoked() == (
            1,
            f"Error: IMAGE_SEARCH_STORE_URI must name a folder, but {file} is a file\n",
        )

    def test_an_index_that_cannot_be_read_with_its_cause(self, tmp_path: Path) -> None:
        run(table_of(tmp_path / "index", ["https://example.org/x"]))
        # The folder of the locks is a file: whoever runs this, nothing can be locked.
        shutil.rmtree(tmp_path / "index" / ".locks")
        (tmp_path / "index" / ".locks").touch()
        status, said = invoked()
        assert (status, said.count("\n")) == (1, 1)
        assert said.startswith("Error: the index could not be read or written (")
        assert ".locks" in said

    def test_a_misspelt_setting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("IMAGE_SEARCH_CLIP_MODL", "x")
        assert invoked() == (
            1,
            "Error: IMAGE_SEARCH_CLIP_MODL is no setting; did you mean IMAGE_SEARCH_CLIP_MODEL?\n",
        )

    def test_weights_that_are_not_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run(table_of(tmp_path / "index", ["https://example.org/x"]))
        monkeypatch.setenv("IMAGE_SEARCH_MODELS", "pretrained")
        monkeypatch.setenv("IMAGE_SEARCH_CLIP_PRETRAINED", str(tmp_path / "no.pt"))
        status, said = invoked()
        assert status == 1
        assert "there is no file no.pt there" in said

    def test_a_second_one_at_the_same_time(self, tmp_path: Path) -> None:
        run(table_of(tmp_path / "index", ["https://example.org/x"]))
        lock = Location(str(tmp_path / "index")).lock("reembed")
        with lock.held_if_free() as free:
            assert free
            assert invoked() == (
                1,
                "Error: another `image-search reembed` is at work on this index\n",
            )


@pytest.mark.usefixtures("_clean_environment")
def test_without_a_name_there_is_nothing_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IMAGE_SEARCH_MODELS")
    run(table_of(tmp_path / "index", ["https://example.org/x"]))
    status, said = invoked()
    assert status == 0
    assert said.startswith(f"Nothing to do: the index is of the model {IDENTITY}.")
    assert "IMAGE_SEARCH_CLIP_MODEL and IMAGE_SEARCH_CLIP_PRETRAINED name another one." in said


@pytest.mark.usefixtures("_clean_environment")
def test_with_the_model_of_the_index_there_is_nothing_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    _, identity = embed([as_jpeg(draw_scene(1).picture)])

    async def moved_by_hand() -> None:
        await table_of(folder, ["https://example.org/x"])

        async def embedder(wanted: Any, done: Any) -> None:
            from store.offline.embedding import Embedded

            async for each in wanted:
                values = np.eye(identity.dim, dtype=np.float32)[0]
                await done(Embedded(each.id, values))

        class Deaf:
            def begin(self, total: int, done: int) -> None: ...
            def advance(self, images: int) -> None: ...
            def failed(self, url: str, reason: str) -> None: ...

        async with Reembedding.opened(StoreSettings(store_uri=str(folder))) as work:
            await work.run(identity, embedder, Deaf(), leave_out_failed=False)

    async def tables() -> dict[str, ModelIdentity]:
        connection = await connect(StoreSettings(store_uri=str(folder)))
        names = await table_names(connection)
        return {name: made_by(await schema_of(connection, name)) for name in names}

    run(moved_by_hand())
    status, said = invoked()
    assert status == 0
    assert said.startswith(f"Nothing to do: the index is of the model {identity}.\nKept")
    assert run(tables()) == {"images_2": identity, "images": IDENTITY}
    for table in ("images", "images_2"):
        write_report(str(folder), table, UpkeepReport(datetime.now(UTC), 0.1, "ok", [], None))
    status, said = invoked("--delete-old")
    assert {one.name for one in folder.iterdir()} == {
        ".locks", "changes", "images_2.lance", "images_2.upkeep.json"
    }  # fmt: skip
    assert (status, said.splitlines()[-1]) == (0, "Tables of earlier models deleted: 1.")
    assert run(tables()) == {"images_2": identity}
    assert invoked()[0] == 0


def test_every_option_is_in_the_docs_with_its_default_and_help() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reembed.md").read_text()
    rows = dict(re.findall(r"^\| `(--[a-z-]+)(?: FILE)?` \| ([^|]*) \|", page, re.MULTILINE))
    options = [each for each in reembed.params if isinstance(each, click.Option)]
    assert rows == {each.opts[0]: _default(each) for each in options}


def _default(option: click.Option) -> str:
    if option.is_flag:
        return "off"
    return str(option.default) if isinstance(option.default, int) else "-"
