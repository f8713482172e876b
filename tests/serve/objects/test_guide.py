"""The command lines of docs/ that are about objects, run as they stand there."""

from pathlib import Path

from demo.process import ServiceProcess
from demo.scenes.mosaics import mosaic
from demo.server import PictureServer
from image_search import Client
from tests.serve.docs.test_guides import OBJECTS, commands_of, run


def test_the_guide_runs(finding: ServiceProcess, pictures: PictureServer, tmp_path: Path) -> None:
    file = mosaic(9_800_000).file
    (tmp_path / "query.jpg").write_bytes(file)
    pictures.add_file("guide.jpg", file)
    with Client(finding.url) as client:
        client.add(f"{pictures.url}guide.jpg")
    about = [each for each in commands_of("command-line.md") if OBJECTS in each]
    commands = commands_of("objects.md") + about
    # To begin with another detector: test_detectors.py does it, on an index of its own.
    commands = [each for each in commands if not each.endswith("--begin")]
    assert len(commands) > 3
    for command in commands:
        assert run(command, finding, tmp_path)
