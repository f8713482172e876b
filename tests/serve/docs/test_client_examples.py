"""The examples of docs/clients.md and docs/python.md, run as they stand there."""

import re
import subprocess
from pathlib import Path
from typing import Any

import playwright
import pytest

from demo.process import PROJECT, ServiceProcess
from demo.scenes.scenes import draw_scene
from demo.scenes.seeds import SHOW_SEEDS
from demo.server import PictureServer
from tests.serve.docs.pythons import examples
from tests.serve.docs.test_readme import PICTURES, QUERY, SERVICE

PAGE = (PROJECT / "docs" / "clients.md").read_text()
NODE = Path(playwright.__file__).parent / "driver" / "node"
"""The Node.js that Playwright brings along."""
OWN = "example.jpg"
"""Not the README's picture: its examples are the only ones to add that."""


def _example(language: str, service: ServiceProcess, pictures: PictureServer) -> str:
    """The page's one example in a language, for this service and these pictures."""
    picture = pictures.add(OWN, draw_scene(SHOW_SEEDS[-2]).picture)
    [code] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(code).replace(SERVICE, service.url).replace(PICTURES + QUERY, picture)


def test_the_javascript_example(
    service: ServiceProcess, pictures: PictureServer, tmp_path: Path
) -> None:
    script = tmp_path / "search.mjs"
    script.write_text(_example("js", service, pictures))
    done = subprocess.run(
        [str(NODE), str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    *hits, uploaded = done.stdout.splitlines()
    assert f"1.000 {pictures.url}{OWN}" in hits
    assert re.fullmatch("upload:[0-9a-f]{64} image/jpeg", uploaded)


def test_the_example_with_bentoml(service: ServiceProcess, pictures: PictureServer) -> None:
    names: dict[str, Any] = {}
    exec(_example("python", service, pictures), names)  # the page's own lines
    assert names["found"]
    assert names["added"]["id"] in {hit["id"] for hit in names["like"]}
    assert names["objects"]
    assert names["jpeg"].startswith(b"\xff\xd8")


def test_the_examples_of_the_python_client(
    service: ServiceProcess,
    pictures: PictureServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pictures.add(QUERY, draw_scene(SHOW_SEEDS[-3]).picture)
    monkeypatch.chdir(tmp_path)
    blocks = [one.code for one in examples(service.url, pictures.url) if one.language == "python"]
    assert len(blocks) == 5
    for code in blocks:
        exec(code, {})  # the page's own lines
    assert (tmp_path / "small.jpg").read_bytes().startswith(b"\xff\xd8")
