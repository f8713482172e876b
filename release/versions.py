"""The version of a release, in every file that tells it: they must tell the same one."""

import re
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import yaml

_VERSION = r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?"
_CHANGES = re.compile(rf"^## ({_VERSION}) - (\S+)$", re.MULTILINE)
_CHAPTER = re.compile(rf"^## To ({_VERSION})$", re.MULTILINE)
_IMAGE = re.compile(rf"\bimage-search(?:-cpu)?:({_VERSION})")
_UNRELEASED = "unreleased"
_OWN = ("image-search-engine", "image-search-client")


def disagreements(project: Path, *, final: bool = False) -> list[str]:
    """What of a project's files keeps it from being released, a line each; none where all is well.

    Args:
        project: its folder.
        final: whether it is to be released now, so that the changelog has its date.
    """
    version = _toml(project / "pyproject.toml")["project"]["version"]
    told = [*_packages(project), *_chart(project), *_images(project)]
    wrong = [f"{where}: {one}, not {version}" for where, one in told if one != version]
    return wrong + list(_changelog(project, version, final=final)) + list(_upgrade(project))


def _packages(project: Path) -> Iterator[tuple[str, str]]:
    client = _toml(project / "client" / "pyproject.toml")
    yield "client/pyproject.toml: version", client["project"]["version"]
    for package in _toml(project / "uv.lock")["package"]:
        if package["name"] in _OWN:
            yield f"uv.lock: version of {package['name']}", package["version"]


def _chart(project: Path) -> Iterator[tuple[str, str]]:
    chart = yaml.safe_load((project / "deploy" / "helm" / "Chart.yaml").read_text())
    for key in ("version", "appVersion"):
        yield f"deploy/helm/Chart.yaml: {key}", str(chart[key])


def _images(project: Path) -> Iterator[tuple[str, str]]:
    """The images that pages and compose files name."""
    for folder, ending in (("docs", "*.md"), ("deploy", "*.yaml")):
        for path in sorted((project / folder).rglob(ending)):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                for version in _IMAGE.findall(line):
                    yield f"{path.relative_to(project)}:{number}: an image's tag", version


def _changelog(project: Path, version: str, *, final: bool) -> Iterator[str]:
    """The newest chapter is this version's, with a date where it is released."""
    chapters = _CHANGES.findall((project / "CHANGELOG.md").read_text())
    if not chapters or chapters[0][0] != version:
        newest = chapters[0][0] if chapters else "none"
        yield f"CHANGELOG.md: the newest chapter is {newest}, not `## {version} - {_UNRELEASED}`"
        return
    day = chapters[0][1]
    if day == _UNRELEASED:
        if final:
            yield f"CHANGELOG.md: {version} is {_UNRELEASED}: write the day, such as 2026-12-31"
    elif not _is_day(day):
        yield f"CHANGELOG.md: {version} - {day}: neither a day nor {_UNRELEASED}"


def _upgrade(project: Path) -> Iterator[str]:
    """Each chapter of the changelog has one of how to get there, in the same order."""
    changed = [version for version, _ in _CHANGES.findall((project / "CHANGELOG.md").read_text())]
    led = _CHAPTER.findall((project / "docs" / "upgrade.md").read_text())
    yield from (f"docs/upgrade.md: no chapter `## To {one}`" for one in changed if one not in led)
    yield from (
        f"docs/upgrade.md: {one} is not in CHANGELOG.md" for one in led if one not in changed
    )
    if sorted(led) == sorted(changed) and led != changed:
        yield "docs/upgrade.md: the chapters are in another order than CHANGELOG.md's"


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text())
