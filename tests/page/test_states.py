"""Every view, by the eyes of axe, and what the page says when there is nothing, or no service."""

import json
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from demo.show.tour import Api, Shown
from tests.page.chromium import Watched
from tests.page.conftest import Open
from tests.page.search.test_search import Keep
from tests.page.seen import overflows

Show = Callable[[Page, list[Shown]], None]


def _search(page: Page, scenes: list[Shown]) -> None:
    expect(page.locator(".card").first).to_be_visible()


def _details(page: Page, scenes: list[Shown]) -> None:
    page.locator(".tile").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("Added")


def _selecting(page: Page, scenes: list[Shown]) -> None:
    page.get_by_role("button", name="Select").click()
    page.locator(".tile").first.click()
    expect(page.locator("#selected-count")).to_have_text("1 selected")


def _editing(page: Page, scenes: list[Shown]) -> None:
    _selecting(page, scenes)
    page.locator(".tile").nth(1).click()
    page.get_by_role("button", name="Change metadata").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Add a key").click()


def _changed(page: Page, scenes: list[Shown]) -> None:
    page.locator(".tile").first.click()
    page.get_by_role("button", name="Change metadata").click()
    value = page.get_by_role("dialog").get_by_label("background", exact=True)
    value.fill("as before")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#toast")).to_contain_text("1 picture changed.")


def _add(page: Page, scenes: list[Shown]) -> None:
    page.get_by_role("button", name="Add a key").click()
    page.get_by_label("Addresses of pictures").fill("nothing\nno address")
    page.get_by_role("button", name="Add 2 pictures").click()
    expect(page.locator("#add-failures li")).to_have_count(2)


def _detect(page: Page, scenes: list[Shown]) -> None:
    page.get_by_label("Address of a picture", exact=True).fill(scenes[0].url)
    page.get_by_label("Address of a picture", exact=True).press("Enter")
    expect(page.locator("#objects li").first).to_be_visible()


def _health(page: Page, scenes: list[Shown]) -> None:
    expect(page.locator("#health-facts dt").first).to_be_visible()


OLD_MILL = "filter={%22shop%22:{%22values%22:[%22old mill%22]}}"
"""Scenes alone, whatever other tests have added."""

VIEWS: dict[str, tuple[str, Show]] = {
    "search": ("?q=a+star", _search),
    "details": ("", _details),
    "grouped": ("?group=shop&q=a+star", _search),
    "selecting": (f"?{OLD_MILL}&sort=price", _selecting),
    "editing": ("", _editing),
    "changed": (f"?q=a+star&{OLD_MILL}", _changed),
    "add": ("?view=add", _add),
    "detect": ("?view=detect", _detect),
    "health": ("?view=health", _health),
}


# Colours do not depend on the size, nor sizes on the colours: two of the four tell all.
@pytest.mark.parametrize(("size", "dark"), [("desktop", False), ("phone", True)])
@pytest.mark.parametrize("view", VIEWS)
def test_every_view_can_be_used_by_all(
    watch: Open, scenes: list[Shown], keep: Keep, view: str, size: str, dark: bool
) -> None:
    window = watch(size, dark=dark)
    window.expected = {400}
    address, show = VIEWS[view]
    page = window.open(address)
    show(page, scenes)
    keep(page, f"{view}-{size}-{'dark' if dark else 'light'}")
    if view == "changed":
        page.get_by_role("button", name="Undo").click()
        expect(page.locator("#toast")).to_contain_text("1 picture as before.")
    found = Axe().run(page).response["violations"]
    assert found == [], json.dumps([(one["id"], one["nodes"]) for one in found], indent=1)[:4000]
    assert not overflows(page)


def test_targets_on_a_phone_are_large_enough(watch: Open, scenes: list[Shown]) -> None:
    page = watch("phone").open("?q=a+star")
    _search(page, scenes)
    visible = page.locator("button:visible, nav a:visible, summary:visible, .bar input:visible")
    heights = visible.evaluate_all("(all) => all.map((one) => one.getBoundingClientRect().height)")
    assert min(heights) >= 44


def test_health_is_what_the_index_says(window: Watched, api: Api) -> None:
    page = window.open("?view=health")
    index = api.session.get(f"{api.url}/index", timeout=60).json()
    expect(page.locator("#health-status")).to_have_text("The service is ready.")
    facts = page.locator("#health-facts")
    expect(facts).to_contain_text(index["model"]["pretrained"])
    expect(facts).to_contain_text(f"{index['rows']:,}")
    expect(page.locator("#health-columns th")).to_have_count(len(index["columns"]))


def test_an_empty_index_helps_on(window: Watched) -> None:
    """As a service answers that has nothing yet; the one of these tests has."""
    window.page.route("**/images?**", lambda one: one.fulfill(json={"images": [], "total": 0}))
    window.page.route("**/index/columns", lambda one: one.fulfill(json={"columns": []}))
    page = window.open()
    expect(page.locator("#found-title")).to_have_text("No pictures yet")
    page.get_by_role("button", name="Add pictures").click()
    expect(page.get_by_role("heading", name="Add pictures")).to_be_focused()


def test_a_service_that_is_gone_is_told(watch: Open, scenes: list[Shown]) -> None:
    window = watch()
    page = window.open()
    _search(page, scenes)

    def gone(route: Route) -> None:
        route.abort("connectionrefused")

    page.route("**/search_similar_images", gone)
    page.get_by_role("searchbox").fill("a star")
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator(".notice.error")).to_contain_text("cannot be reached")
    page.unroute("**/search_similar_images")
    page.get_by_role("button", name="Try again").click()
    _search(page, scenes)
    assert [one for one in window.said if "ERR_CONNECTION_REFUSED" not in one] == []
    window.said.clear()
