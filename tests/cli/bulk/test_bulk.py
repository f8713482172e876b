"""Rows to a table: embedded as an add does it, committed once, whatever is killed between."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from api.settings import Settings
from cli.bulk.commits import Commits, opened_index
from cli.bulk.plan import Plan, State
from cli.bulk.planning import make_plan
from cli.bulk.worker import ShardWorker
from demo.scenes.scenes import draw_scene
from demo.server import PictureServer
from image_search.cli.tables.rows import Row, Source
from store.schemas import Author, image_id
from tests.running import environment

USER = Author("user", None, "request")
_, MISSING, NO_URL, CONFLICT = range(4)


@pytest.fixture(name="files")
def _files() -> Iterator[PictureServer]:
    with PictureServer() as server:
        server.add("picture.jpg", draw_scene(11).picture)
        yield server


def _rows(files: str) -> list[Row]:
    return [
        Row(1, f"{files}picture.jpg", {"n": 1}),
        Row(2, f"{files}missing.jpg", {"n": 2}),
        Row(3, "", {"n": 3}),
        Row(4, f"{files}picture.jpg?4", {"n": "no number"}),
    ]


def test_a_shard_goes_in_once_whatever_is_killed(
    tmp_path: Path, files: PictureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(tmp_path, IMAGE_SEARCH_OBJECTS="on").items():
        monkeypatch.setenv(name, value)
    settings, state = Settings.from_environment(), State(tmp_path / "state")
    state.folder.mkdir()

    async def embed() -> Plan:
        worker = ShardWorker(settings)
        begin = Plan("run", {}, worker.model, worker.detector, datetime.now(UTC), 8)
        plan = make_plan(state, Source(iter(_rows(files.url)), 4), begin, lambda _: None)
        try:
            await worker.embed(state, plan, 0)
        finally:
            worker.close()
        return plan

    async def commit(plan: Plan) -> dict[str, Any]:
        async with opened_index(settings, plan.model, plan.detector) as index:
            staged = state.mark(0, "staged")
            assert staged is not None
            file = state.staged_file(0, staged["file"])
            data = file.read_bytes()
            commits = Commits(index, state, plan, 32, print)
            first = await commits.commit(0)
            assert not file.exists()
            own = image_id(f"{files.url}picture.jpg")
            of = await index.objects(own)
            assert of is not None
            assert of.boxes
            assert await index.picture(own, "thumbnails") is not None
            await index.patch(own, {"n": 7}, USER)
            # The process is killed after the commit and before its mark.
            file.write_bytes(data)
            again = await commits.commit(0)
            assert (again["written"], again["left"]) == (0, 1)
            assert (await index.images(10)).total == 1
            found = await index.get(own)
            assert found is not None
            assert found.metadata == {"n": 7}
            return first

    plan = asyncio.run(embed())
    told = asyncio.run(commit(plan))
    assert told["written"] == 1
    failed = {one["number"]: one["failure"] for one in state.failures(plan)}
    assert failed.keys() == {MISSING, NO_URL, CONFLICT}
    codes = [failed[n]["code"] for n in (MISSING, NO_URL, CONFLICT)]
    assert codes == ["http_status", "no_url", "metadata_conflict"]
    assert failed[CONFLICT]["row"] == {
        "url": f"{files.url}picture.jpg?4",
        "metadata": {"n": "no number"},
    }


def _bulk(tmp_path: Path, source: Path, *more: str) -> tuple[int, dict[str, Any]]:
    words = ["bulk", str(source), "--ray", "local", "--state", str(tmp_path / "state")]
    words += ["--shard-rows", "8", "--failures", str(tmp_path / "failures.jsonl"), "--json", *more]
    command = [sys.executable, "-m", "image_search.cli.main", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    return done.returncode, json.loads(done.stdout or json.dumps({"error": done.stderr}))


def test_the_command_on_this_machine(
    tmp_path: Path, files: PictureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: uv sync --extra bulk")
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    source = tmp_path / "rows.jsonl"
    urls = [f"{files.url}picture.jpg?{n}" for n in range(20)] + [f"{files.url}late.jpg"]
    source.write_text("".join(json.dumps({"url": url, "n": 1}) + "\n" for url in urls))
    code, told = _bulk(tmp_path, source)
    assert "error" not in told, told
    assert (code, told["written"], told["failed"], told["shards"]) == (1, 20, 1, 3)
    [failure] = (tmp_path / "failures.jsonl").read_text().splitlines()
    assert json.loads(failure)["code"] == "http_status"
    files.add("late.jpg", draw_scene(12).picture)
    code, told = _bulk(tmp_path, source, "--retry-failed")
    assert (code, told["written"], told["failed"]) == (0, 1, 0)
    code, told = _bulk(tmp_path, source)
    assert (code, told["written"]) == (0, 0)
    for option in (["--exif"], ["--on-duplicate", "skip"]):
        code, told = _bulk(tmp_path, source, *option)
        assert code == 1
        assert "is of other sources or options" in told["error"]


def test_what_ray_prints_is_not_before_the_answer(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: uv sync --extra bulk")
    from cli.bulk.cluster import answer_alone

    with answer_alone():
        os.write(1, b"a node is lost\n")
    os.write(1, b"{}\n")
    assert capfd.readouterr() == ("{}\n", "a node is lost\n")
