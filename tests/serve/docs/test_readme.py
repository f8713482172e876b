"""The examples of README.md and docs/api.md, run as they stand there against the real service."""

import json
import os
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from demo.process import PROJECT, ServiceProcess
from demo.scenes.scenes import draw_scene
from demo.scenes.seeds import SHOW_SEEDS
from demo.server import PictureServer
from store.metadata.values import format_timestamp
from store.schemas import image_id

README = (PROJECT / "README.md").read_text()
API = (PROJECT / "docs" / "api.md").read_text()
CONSOLES = re.findall(r"```console\n(.*?)```", README + API, re.DOTALL)
EXAMPLE = re.compile(r"^\$ (curl (?:.*\\\n)*.*)\n((?:[^$\n].*\n)?)", re.MULTILINE)
EXAMPLES = [example for console in CONSOLES for example in EXAMPLE.findall(console)]
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SERVICE, PICTURES = "http://127.0.0.1:3000", "http://127.0.0.1:3080/"
QUERY = "query.jpg"
FILLED = {"colors": ["pink"], "price": 6.5, "shop": "old mill"}
MOMENT = "2026-12-01T12:00:00Z"
# What depends on the other rows and on the age of the table.
VARYING = {
    "metadata",
    "columns",
    "near_duplicates",
    "upkeep",
    "estimated_recall",
    "created",
    "next",
}


@pytest.fixture(scope="module", autouse=True)
def _shown(pictures: PictureServer) -> None:
    pictures.add(QUERY, draw_scene(SHOW_SEEDS[-1]).picture)


def _shape(value: Any) -> Any:
    """What an answer is made of, without what varies."""
    if isinstance(value, dict):
        return {key: _shape(one) for key, one in value.items() if key not in VARYING}
    if isinstance(value, list):
        return [_shape(value[0])] if value else []
    return type(value).__name__


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 25
    assert len(PYTHON) == 1


def test_the_curl_examples_answer_as_shown(
    service: ServiceProcess, pictures: PictureServer, tmp_path: Path
) -> None:
    filled = {"url": pictures.url + "0.jpg", "metadata": FILLED}
    _run(f"curl -s {SERVICE}/post_image_to_index", filled, service, pictures, tmp_path)
    for command, shown in EXAMPLES:
        printed = _run(command, None, service, pictures, tmp_path)
        if shown and "unknown_key" not in shown:
            assert _shape(json.loads(printed)) == _shape(json.loads(shown)), command
    for name in ("found.jpg", "small.jpg"):
        assert (tmp_path / name).read_bytes().startswith(b"\xff\xd8")


def _meant(service: ServiceProcess, pictures: PictureServer) -> dict[str, str]:
    """What stands in the pages, and what it is here."""
    return {
        image_id(PICTURES + QUERY): image_id(pictures.url + QUERY),
        SERVICE: service.url,
        PICTURES: pictures.url,
        MOMENT: format_timestamp(datetime.now(UTC)),
    }


def _run(
    command: str, body: Any, service: ServiceProcess, pictures: PictureServer, folder: Path
) -> str:
    for shown, meant in _meant(service, pictures).items():
        command = command.replace(shown, meant)
    words = shlex.split(command.replace("\\\n", " "))
    if body is not None:
        words += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def test_the_python_example_runs(service: ServiceProcess, pictures: PictureServer) -> None:
    code = PYTHON[0].replace(SERVICE, service.url).replace(PICTURES, pictures.url)
    names: dict[str, Any] = {}
    exec(code, names)  # the README's own lines
    assert names["found"]
    # The same picture was uploaded by an example before, and is as near.
    assert names["added"].id in {one.id for one in names["like"]}
    assert names["same"]
    assert names["objects"]
    assert names["jpeg"].startswith(b"\xff\xd8")
    assert names["code"] == "http_status"


def test_the_command_lines_run(
    service: ServiceProcess, pictures: PictureServer, tmp_path: Path
) -> None:
    chapter = README.split("## From the command line")[1].split("```")[1]
    [table] = re.findall(r"^printf .*$", chapter, re.MULTILINE)
    subprocess.run(table.replace(PICTURES, pictures.url), shell=True, cwd=tmp_path, check=True)
    lines = re.findall(r"^uv run image-search (.*)$", chapter, re.MULTILINE)
    assert len(lines) == 4
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "IMAGE_SEARCH_SERVER": service.url}
    for line in lines:
        words = shlex.split(line.replace(PICTURES, pictures.url))
        done = subprocess.run(
            [sys.executable, "-m", "image_search.cli.main", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout
    assert (tmp_path / "found.jpg").read_bytes().startswith(b"\xff\xd8")
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")
