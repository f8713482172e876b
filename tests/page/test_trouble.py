"""When something goes wrong in the middle: nothing is lost, and nothing wrong is shown."""

import json
import re
import time

from playwright.sync_api import Route, expect

from demo.show.tour import Shown
from tests.page.chromium import Watched
from tests.page.conftest import Open
from tests.page.seen import ids, settled

FULL = {"message": "too many requests at once", "code": "overloaded"}
PASTE = """(selector) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(9)], "cells.png", { type: "image/png" }));
  data.setData("text/plain", "https://example.com/a.jpg");
  const how = { clipboardData: data, bubbles: true, cancelable: true };
  const event = new ClipboardEvent("paste", how);
  document.querySelector(selector).dispatchEvent(event);
  return event.defaultPrevented;
}"""


def full(route: Route) -> None:
    route.fulfill(status=429, json=FULL, headers={"Retry-After": "1"})


def test_a_next_page_that_does_not_come_takes_nothing_away(
    watch: Open, scenes: list[Shown]
) -> None:
    window = watch("phone")
    window.expected = {429}
    page = window.open()
    settled(page)
    before = ids(page)
    page.route("**/images?**", full)
    page.get_by_role("button", name="Show more").press("Enter")
    expect(page.locator("#more-notice")).to_contain_text("too many requests")
    assert ids(page) == before
    page.unroute("**/images?**")
    page.get_by_role("button", name="Show more").press("Enter")
    expect(page.locator("#more-notice")).to_be_empty()
    assert ids(page)[: len(before)] == before
    assert len(ids(page)) > len(before)


def test_a_thumbnail_that_is_refused_comes_later(watch: Open, scenes: list[Shown]) -> None:
    window = watch("phone")
    window.expected = {429}
    refusals: dict[str, list[float]] = {}

    def often_full(route: Route) -> None:
        times = refusals.setdefault(route.request.url, [])
        times.append(time.monotonic())
        if len(times) <= 2:
            full(route)
        else:
            route.continue_()

    window.page.route("**/thumbnail", often_full)
    page = window.open()
    settled(page)
    page.wait_for_function(
        "() => [...document.images].slice(1, 5).every((one) => one.naturalWidth)"
    )
    expect(page.locator("#grid img").first).to_have_attribute("src", re.compile("^blob:"))
    expect(page.locator(".stand-in")).to_have_count(0)
    # Not before the service has said, and not all at once.
    first = next(iter(refusals.values()))
    assert first[2] - first[1] >= 1


def test_without_the_columns_no_filter_is_left_out_unseen(watch: Open, scenes: list[Shown]) -> None:
    window = watch()
    window.expected = {429}
    window.page.route("**/index/columns", full)
    shop = json.dumps({"shop": {"values": ["old mill"]}})
    page = window.open(f"?q=a+star&filter={shop}")
    expect(page.locator(".notice.error")).to_contain_text("too many requests")
    assert not [one for one in window.asked if one.endswith("/search_similar_images")]
    window.page.unroute("**/index/columns")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#found-title")).to_have_text("“a star”")
    expect(page.locator(".card").first).to_be_visible()


def test_a_key_that_is_gone_is_named(window: Watched) -> None:
    page = window.open(f"?filter={json.dumps({'gone': {'values': ['x']}})}")
    expect(page.locator(".notice.error")).to_contain_text("“gone”")
    page.get_by_role("button", name="Clear filters").press("Enter")
    expect(page.locator(".card").first).to_be_visible()


def test_text_that_is_copied_as_a_picture_too_goes_into_a_field(window: Watched) -> None:
    page = window.open()
    settled(page)
    assert page.evaluate(PASTE, "#words") is False
    expect(page.locator("#query-picture")).to_be_hidden()
    window.expected = {400}  # it is no picture
    assert page.evaluate(PASTE, "main") is True
    expect(page.locator("#query-picture")).to_be_visible()
    expect(page.locator(".notice.error")).to_be_visible()
