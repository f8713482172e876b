"""The site's pages: each has its place, links lead on within the site, and dead ones are told."""

import re
from pathlib import Path

import pytest
import yaml

from release.links import dead_links
from release.pages import REFERENCE, assemble

PROJECT = Path(__file__).resolve().parents[2]


def _named(nav: object) -> list[str]:
    """The pages of a navigation, in its order."""
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    assert isinstance(parts, list | type({}.values()))
    return [page for part in parts for page in _named(part)]


def test_every_page_has_one_place_in_the_navigation() -> None:
    settings = yaml.safe_load((PROJECT / "release" / "mkdocs.yml").read_text())
    pages = {page.name for page in (PROJECT / "docs").glob("*.md")}
    assert sorted(_named(settings["nav"])) == sorted(
        {*pages, "index.md", "changelog.md", REFERENCE}
    )


def test_links_of_the_pages_stay_within_the_site(tmp_path: Path) -> None:
    assemble(PROJECT, tmp_path, b"{}")
    for page in tmp_path.glob("*.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text()):
            assert (tmp_path / target).exists(), f"{page.name}: {target}"
    kubernetes = (tmp_path / "kubernetes.md").read_text()
    assert "with the reason for each (`tests/deploy/checkov.yaml`)" in kubernetes
    assert "](filters.md)" in (tmp_path / "index.md").read_text()
    assert "](../" not in kubernetes


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('<a href="../b/#here">b</a><a href="https://example.org">b</a><img src="../x.png">', []),
        ('<a href="../c/">c</a>', ["a/index.html: ../c/ leads nowhere"]),
        ('<a href="../b/#there">b</a>', ["a/index.html: ../b/#there leads to no place in b/index"]),
        ('<script src="https://cdn.example/x.js">', ["a/index.html: loads https://cdn.example/x"]),
        ('<a href="../../outside.html">b</a>', ["a/index.html: ../../outside.html leads nowhere"]),
    ],
)
def test_a_dead_link_is_told(tmp_path: Path, body: str, told: list[str]) -> None:
    site = tmp_path / "site"
    for name, html in {"a": body, "b": '<h2 id="here">b</h2>'}.items():
        (site / name).mkdir(parents=True)
        (site / name / "index.html").write_text(f"<html><body>{html}</body></html>")
    (site / "x.png").write_bytes(b"")
    (tmp_path / "outside.html").write_text("")
    found = dead_links(site)
    assert len(found) == len(told)
    assert all(line.startswith(start) for line, start in zip(found, told, strict=True))
