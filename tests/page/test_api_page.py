"""The API's page: Swagger UI of the version that is named, silent, asking no other host."""

import re

from playwright.sync_api import expect

from api.routes.page import FOLDER
from demo.show.tour import Shown
from tests.page.conftest import Open

SWAGGER = FOLDER / "swagger-ui"


def test_it_shows_each_route_and_tries_one(watch: Open, scenes: list[Shown]) -> None:
    page = watch().open("docs")
    expect(page.locator(".opblock")).not_to_have_count(0)
    beat = page.locator("#operations-Service_APIs-heartbeat")
    beat.get_by_text("/heartbeat").click()
    beat.get_by_role("button", name="Try it out").click()
    beat.get_by_role("button", name="Execute").click()
    expect(beat.locator(".live-responses-table")).to_contain_text("Api is running")
    add = page.locator(".opblock").filter(has=page.get_by_text("/post_image_to_index", exact=True))
    add.locator(".opblock-summary-control").click()
    expect(add.locator(".opblock-body")).to_contain_text("metadata")
    page.locator("section.models").get_by_text("AddRequest", exact=True).first.click()


def test_it_is_of_the_version_that_is_named() -> None:
    [named] = re.findall(r"# Swagger UI ([0-9.]+)", (SWAGGER / "README.md").read_text())
    bundle = (SWAGGER / "swagger-ui-bundle.js").read_text()
    assert re.findall(r'PACKAGE_VERSION:"([^"]+)"', bundle) == [named]
    assert "sourceMappingURL" not in bundle + (SWAGGER / "swagger-ui.css").read_text()
