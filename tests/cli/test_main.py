"""The command, as a person calls it."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from image_search.cli.main import main


def test_help_names_the_commands() -> None:
    done = CliRunner().invoke(main, ["--help"])
    assert done.exit_code == 0
    assert "demo" in done.output


def test_a_senseless_option_is_refused() -> None:
    done = CliRunner().invoke(main, ["demo", "--scenes", "3"])
    assert done.exit_code == 2
    assert "--scenes" in done.output


@pytest.fixture
def _taken_port() -> Iterator[None]:
    """Somebody else listens on the usual port."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", 3000))
        except OSError:
            pass  # somebody else really does
        else:
            listener.listen()
        yield


@pytest.mark.usefixtures("_taken_port")
def test_the_demo_shows_everything(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "image_search.cli.main", "demo", "--exit", "--scenes", "60"]
    done = subprocess.run(
        [*command, "--output", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    for part in ("60/60", "Like this picture", "By text", "By filter", "Detection", "ended"):
        assert part in done.stdout
    for name in ("searches.png", "detection.jpg"):
        with Image.open(tmp_path / "out" / name) as picture:
            assert min(picture.size) > 100
