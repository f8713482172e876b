"""A Bento holds every file that the service is made of, those of nested folders too."""

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
# What travels as it stands in git; the Bento's own files (its lock, its Dockerfile) are beside it.
TRAVELS = ("api/", "demo/", "images/", "page/", "runners/", "store/", "service.py", "LICENSE")
# To train the demo models again one needs the repository.
STAYS = {"demo/training/yolo.yaml"}


def test_a_built_bento_has_every_file_of_the_service(tmp_path: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *TRAVELS],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    subprocess.run(
        [sys.executable, "-m", "bentoml", "build", "--output", "tag"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        env=_home(tmp_path),
        timeout=240,
    )
    (source,) = (tmp_path / "bentos").glob("*/*/src")
    built = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    expected = {name for name in tracked if (PROJECT / name).exists()} - STAYS
    assert {name for name in built if name.startswith(TRAVELS)} == expected


def _home(folder: Path) -> dict[str, str]:

    return os.environ | {"BENTOML_HOME": str(folder), "IMAGE_SEARCH_MODELS": "demo"}
