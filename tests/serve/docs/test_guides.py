"""The command lines of docs/, run as they stand there: after each other, as their reader would."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import requests

from demo.process import PROJECT, ServiceProcess
from demo.scenes.scenes import Scene
from demo.server import PictureServer
from store.metadata.values import format_timestamp
from tests.serve.docs.test_readme import SERVICE

BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"^((?:\w+=\S+ )?(?:uv run image-search|curl) (?:.*\\\n)*.*)$", re.MULTILINE)
MOMENT = "2026-05-01T12:00:00Z"
# Of models that no test can download: tests/cli/offline/test_reembed.py and test_convert.py run the
# same with others. A page of another origin has tests/page/test_shop.py, objects, which this
# service does not index, tests/serve/objects/test_guide.py, and Ray tests/cli/bulk.
ELSEWHERE = {"bulk.md", "clients.md", "deployment.md", "objects.md", "reembed.md"}
OBJECTS = "--in objects"


def commands_of(page: str) -> list[str]:
    """What a page of docs/ tells to type into a second terminal, in its order."""
    text = (PROJECT / "docs" / page).read_text()
    return [command for block in BLOCK.findall(text) for command in COMMAND.findall(block)]


@pytest.fixture
def home(tmp_path: Path, service: ServiceProcess, scenes: list[Scene]) -> Path:
    """The reader's: pictures of theirs, and the service's table where the guide has it."""
    (tmp_path / "Pictures" / "2024").mkdir(parents=True)
    for number, scene in enumerate(scenes[:4]):
        scene.picture.save(tmp_path / "Pictures" / "2024" / f"{number}.jpg")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "index").symlink_to(service.log.parent / "index")
    return tmp_path


def run(command: str, service: ServiceProcess, folder: Path) -> str:
    meant = {
        "uv run image-search": f"{sys.executable} -m image_search.cli.main",
        SERVICE: service.url,
        "curl -s ": "curl -sf ",  # a refusal is a failure, too
        MOMENT: format_timestamp(datetime.now(UTC)),
    }
    for shown, one in meant.items():
        command = command.replace(shown, one)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={
            **os.environ,
            "HOME": str(folder),
            "PYTHONPATH": str(PROJECT),
            "IMAGE_SEARCH_SERVER": service.url,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def test_the_first_steps_lead_to_a_result(service: ServiceProcess, home: Path) -> None:
    index, search = commands_of("first-steps.md")
    run(index, service, home)
    found = run(search, service, home).splitlines()
    assert len(found) >= 4, found


def test_the_other_guides_run(
    service: ServiceProcess, home: Path, pictures: PictureServer, scenes: list[Scene]
) -> None:
    sold = {"url": f"{pictures.url}0.jpg?guides", "metadata": scenes[0].metadata}
    requests.post(f"{service.url}/post_image_to_index", json=sold, timeout=60).raise_for_status()
    run(commands_of("first-steps.md")[0], service, home)
    commands = commands_of("command-line.md") + commands_of("store.md")
    for command in (each for each in commands if OBJECTS not in each):
        assert run(command, service, home) or "export" in command
    assert (home / "found.png").read_bytes().startswith(b"\x89PNG")
    rows = requests.get(f"{service.url}/index", timeout=60).json()["rows"]
    assert pq.read_metadata(home / "images.parquet").num_rows == rows > 0


def test_no_guide_is_left_out() -> None:
    told = {page.name for page in (PROJECT / "docs").glob("*.md") if commands_of(page.name)}
    assert told - ELSEWHERE == {"audit.md", "first-steps.md", "command-line.md", "store.md"}
