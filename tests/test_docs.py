"""The documents hold what they say: settings, routes, links."""

import re
from pathlib import Path

import pytest

from api.settings import CLASSES, ENV_PREFIX
from image_search.cli.engine import EngineCommand
from image_search.cli.main import main

PROJECT = Path(__file__).resolve().parent.parent
API = (PROJECT / "docs" / "api.md").read_text()
SETTINGS = (PROJECT / "docs" / "settings.md").read_text()
ROWS = {
    name: default.strip()
    for name, default in re.findall(rf"^\| `{ENV_PREFIX}(\w+)` \|([^|]*)\|", SETTINGS, re.MULTILINE)
}


def _defaults() -> dict[str, str]:
    """Every setting's default as the page writes it: nothing for what is empty."""
    fields = {name: field for one in CLASSES for name, field in one.model_fields.items()}
    return {
        name.upper(): f"`{field.default:g}`"
        if isinstance(field.default, float)
        else (f"`{field.default}`" if field.default not in ("", (), frozenset(), None) else "")
        for name, field in fields.items()
    }


def test_every_setting_is_in_its_page_with_its_default() -> None:
    assert _defaults() == ROWS


def test_every_setting_says_what_it_means() -> None:
    for one in CLASSES:
        assert all(field.description for field in one.model_fields.values())


@pytest.mark.parametrize(
    "route",
    [
        "GET /heartbeat",
        "POST /post_image_to_index",
        "POST /post_images_to_index",
        "POST /search_simmilar_images",
        "GET /images",
        "GET /images/{id}",
        "PATCH /images/{id}",
        "DELETE /images/{id}",
        "POST /delete_images",
        "GET /index",
        "GET /index/export",
        "POST /index/import",
        "GET /index/versions",
        "DELETE /index/columns/{key}",
        "POST /index/restore",
        "POST /run_object_detection",
    ],
)
def test_every_route_has_its_chapter(route: str) -> None:
    assert f"## `{route}`" in API


def test_every_option_of_the_command_line_is_in_its_page() -> None:
    page = "".join((PROJECT / "docs" / n).read_text() for n in ("command-line.md", "bulk.md"))
    for name in (
        "bulk",
        "index",
        "search",
        "detect",
        "get",
        "delete",
        "drop-column",
        "status",
        "export",
        "models",
    ):
        assert re.search(rf"`{name}\b", page), name
        command = main.commands[name]
        real = command.load() if isinstance(command, EngineCommand) else command
        options = {word for option in real.params for word in option.opts}
        missing = {word for word in options if word.startswith("--") and word not in page}
        assert not missing, f"{name}: {missing}"


def test_no_link_inside_the_project_is_dead() -> None:
    for page in (PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_is_a_page_and_not_the_reference() -> None:
    assert len((PROJECT / "README.md").read_text().splitlines()) <= 150
