"""What tells the version agrees, and what does not is found."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from release.versions import disagreements

PROJECT = Path(__file__).resolve().parents[2]
FILES = ("CHANGELOG.md", "pyproject.toml", "uv.lock", "client/pyproject.toml", "docs", "deploy")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project's own files, for a release of today."""
    (tmp_path / "client").mkdir()
    for name in FILES:
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, tmp_path / name)
        else:
            shutil.copy(PROJECT / name, tmp_path / name)
    change(tmp_path / "CHANGELOG.md", r"^(## \S+) - \S+$", r"\1 - 2026-12-01")
    return tmp_path


def change(path: Path, pattern: str, to: str) -> None:
    changed, times = re.subn(pattern, to, path.read_text(), count=1, flags=re.MULTILINE)
    assert times == 1, f"{pattern} is not in {path}"
    path.write_text(changed)


def test_the_project_agrees_with_itself() -> None:
    assert disagreements(PROJECT) == []


def test_what_has_its_day_may_be_released(project: Path) -> None:
    assert disagreements(project, final=True) == []


@pytest.mark.parametrize(
    ("file", "pattern", "to", "told"),
    [
        ("client/pyproject.toml", r'^version = ".*"', 'version = "9.9.9"', "9.9.9, not"),
        ("deploy/helm/Chart.yaml", "^version: .*", "version: 9.9.9", "Chart.yaml: version: 9.9.9"),
        ("deploy/helm/Chart.yaml", "^appVersion: .*", 'appVersion: "9.9.9"', "appVersion: 9.9.9"),
        ("docs/containers.md", r"-t image-search:[\d.]+", "-t image-search:9.9.9", "tag: 9.9.9"),
        ("docs/upgrade.md", r"^## To .*", "## To 9.9.9", "9.9.9 is not in CHANGELOG.md"),
        ("docs/upgrade.md", r"^## To .*", "Nothing", "upgrade.md: no chapter `## To"),
        ("CHANGELOG.md", r"^(## \S+) - .*", r"\1 - 2026-13-01", "2026-13-01: neither a day nor"),
        ("CHANGELOG.md", r"^(## \S+) - .*", r"\1 - unreleased", "write the day"),
        ("CHANGELOG.md", r"^## .*", "## 9.9.9 - 2026-12-01", "the newest chapter is 9.9.9"),
        (
            "uv.lock",
            r'(name = "image-search-client"\nversion = ).*',
            r'\1"9.9.9"',
            "uv.lock: version of image-search-client: 9.9.9",
        ),
    ],
)
def test_what_disagrees_is_told(project: Path, file: str, pattern: str, to: str, told: str) -> None:
    change(project / file, pattern, to)
    assert any(told in line for line in disagreements(project, final=True))


def test_the_command_ends_with_what_is_wrong() -> None:
    words = [sys.executable, "-m", "release", "check"]
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
