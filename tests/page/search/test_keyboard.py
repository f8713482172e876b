"""Searching and looking through what was found by the keyboard alone."""

from playwright.sync_api import Locator, expect

from tests.page.chromium import Watched
from tests.page.seen import ids, settled, to_the_end


def test_the_keyboard_is_enough(window: Watched) -> None:
    page = window.open()
    settled(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("a red heart")
    page.keyboard.press("Enter")
    expect(page.locator("#found-title")).to_have_text("“a red heart”")
    settled(page)
    fitting = len(ids(page))
    rest = page.get_by_role("button", name="Show the rest")
    for _ in range(60):
        page.keyboard.press("Tab")
        if rest.evaluate("(one) => one === document.activeElement"):
            break
    page.keyboard.press("Enter")
    tiles = page.locator(".tile")
    expect(tiles.nth(fitting)).to_be_focused()
    to_the_end(page)  # else more would come where the keys lead to the last
    tiles.nth(fitting).focus()
    page.keyboard.press("Home")
    tops = [one["y"] for one in map(Locator.bounding_box, tiles.all()) if one]
    columns = tops.count(tops[0])
    # Tab reaches the pictures once; from there the arrows go on.
    for key, place in (
        ("ArrowRight", 1),
        ("ArrowDown", 1 + columns),
        ("ArrowLeft", columns),
        ("ArrowUp", 0),
        ("ArrowUp", 0),
        ("End", len(tops) - 1),
        ("ArrowRight", len(tops) - 1),
        ("Home", 0),
    ):
        page.keyboard.press(key)
        expect(tiles.nth(place)).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    expect(page.locator(".card").nth(1).get_by_role("button", name="More like")).to_be_focused()
    page.keyboard.press("Tab")
    assert not page.evaluate("document.querySelector('#grid').contains(document.activeElement)")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    expect(tiles.nth(1)).to_be_focused()
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(tiles.nth(1)).to_be_focused()
