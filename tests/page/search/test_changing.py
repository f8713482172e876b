"""Deleting pictures and changing their metadata on the page, one or many, and taking it back."""

from playwright.sync_api import Route, expect

from demo.show.tour import Api
from tests.page.chromium import Watched
from tests.page.search.conftest import Added, stored, tile, toast
from tests.page.search.test_search import Keep
from tests.page.seen import ids, overflows, settled


def test_one_is_deleted_and_brought_back(window: Watched, api: Api, added: Added) -> None:
    [image] = added({"shop": "mine", "price": 1.5})
    page = window.open()
    before = ids(page)
    tile(page, image).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(toast(page)).to_contain_text("1 picture deleted.")
    assert stored(api, image) == "gone"
    assert ids(page)[: len(before) - 1] == before[1:]
    expect(page.locator(".tile:focus")).to_be_visible()
    toast(page).get_by_role("button", name="Undo").click()
    expect(toast(page)).to_contain_text("1 picture brought back.")
    assert stored(api, image) == {"shop": "mine", "price": 1.5}
    assert ids(page)[: len(before)] == before
    page.reload()
    assert ids(page)[: len(before)] == before


def test_many_are_selected_by_the_keyboard_and_others_changes_stay(
    window: Watched, api: Api, added: Added, keep: Keep
) -> None:
    some = added({"shop": "mine"}, {"shop": "mine"}, {"shop": "yours"}, {"shop": "mine"})
    page = window.open()
    settled(page)
    page.get_by_role("button", name="Select").press("Enter")
    tile(page, some[0]).focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(tile(page, some[2])).to_be_focused()
    page.keyboard.press("Shift+Space")  # from the last one to here
    expect(page.locator("#selected-count")).to_have_text("3 selected")
    expect(tile(page, some[1])).to_have_attribute("aria-pressed", "true")
    keep(page, f"selected-{page.viewport_size['width'] if page.viewport_size else 0}")
    assert not overflows(page)
    page.get_by_role("button", name="Delete").press("Enter")
    expect(toast(page)).to_contain_text("3 pictures deleted.")
    expect(page.locator("#selected-bar")).to_be_hidden()
    assert [stored(api, one) == "gone" for one in some] == [True, True, True, False]
    [later] = added({"shop": "later"})
    toast(page).get_by_role("button", name="Undo").press("Enter")
    expect(toast(page)).to_contain_text("3 pictures brought back.")
    assert [stored(api, one) for one in [later, *some]] == [
        {"shop": "later"},
        {"shop": "mine"},
        {"shop": "yours"},
        {"shop": "mine"},
        {"shop": "mine"},
    ]
    assert set(some) <= set(ids(page))


def test_all_that_was_found_is_deleted_and_brought_back_from_elsewhere(
    window: Watched, api: Api
) -> None:
    page = window.open("?q=a+blue+star")
    before = ids(page)
    page.get_by_role("button", name="Select").click()
    page.get_by_role("button", name="All shown").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.locator("#found-title")).to_have_text("Nothing left")
    assert [stored(api, one) for one in before] == ["gone"] * len(before)
    page.get_by_role("searchbox").fill("a red star")
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator("#found-title")).to_have_text("“a red star”")
    settled(page)
    toast(page).get_by_role("button", name="Undo").click()
    expect(toast(page)).to_contain_text("brought back.")
    settled(page)
    red = api.post("search_similar_images", {"text": "a red star", "cutoff": "auto", "limit": 24})
    assert ids(page) == [one["id"] for one in red.json()["results"]]
    page.go_back()
    expect(page.locator("#found-title")).to_have_text("“a blue star”")
    assert ids(page) == before


def test_escape_ends_selecting(window: Watched) -> None:
    page = window.open()
    settled(page)
    page.get_by_role("button", name="Select").click()
    page.locator(".tile").first.click()
    page.get_by_role("button", name="All shown").click()
    expect(page.locator("#selected-count")).to_have_text(f"{len(ids(page))} selected")
    page.keyboard.press("Escape")
    expect(page.locator("#selected-bar")).to_be_hidden()
    expect(page.locator("[aria-pressed]")).to_have_count(0)
    expect(page.get_by_role("button", name="Select")).to_be_focused()
    page.locator(".tile").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()


def test_selecting_goes_on_when_the_pictures_come_late(window: Watched) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    window.page.route("**/index/columns", hold)
    with window.page.expect_request("**/index/columns"):
        page = window.open("?filter={%22price%22:{%22from%22:%221%22}}")
    page.get_by_role("button", name="Select").click()
    held.pop().continue_()
    page.locator(".tile").first.click()
    expect(page.locator("#selected-count")).to_have_text("1 selected")


def test_metadata_of_one(window: Watched, api: Api, added: Added, keep: Keep) -> None:
    before = {"shop": "mine", "gps": {"lat": 1.5}, "tags": ["a, b", "c"], "$text": "two\nlines"}
    [image] = added(before)
    page = window.open()
    settled(page)
    tile(page, image).click()
    page.get_by_role("button", name="Change metadata").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Text", exact=True)).to_have_value("two\nlines")
    expect(dialog.get_by_label("tags", exact=True)).to_have_value('["a, b","c"]')
    keep(page, f"edit-{page.viewport_size['width'] if page.viewport_size else 0}")
    dialog.get_by_label("gps.lat", exact=True).fill("north")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_contain_text("gps.lat must be a number.")
    dialog.get_by_label("gps.lat", exact=True).fill("2.5")
    dialog.get_by_role("button", name="Remove shop").click()
    dialog.get_by_role("button", name="Add a key").click()
    dialog.get_by_label("Key", exact=True).fill("price")
    dialog.get_by_label("Value", exact=True).fill("7")
    dialog.get_by_role("button", name="Save").click()
    expect(toast(page)).to_contain_text("1 picture changed.")
    changed = {"gps": {"lat": 2.5}, "tags": before["tags"], "$text": "two\nlines", "price": 7.0}
    assert stored(api, image) == changed
    tile(page, image).click()
    expect(page.get_by_role("dialog")).to_contain_text("2.5")
    page.keyboard.press("Escape")
    toast(page).get_by_role("button", name="Undo").click()
    expect(toast(page)).to_contain_text("1 picture as before.")
    assert stored(api, image) == before


def test_metadata_of_many(window: Watched, api: Api, added: Added) -> None:
    before = [{"shop": "mine", "price": 1.0}, "a text", None, {"shop": "mine", "price": 2.0}]
    some = added(*before)
    page = window.open()
    settled(page)
    page.get_by_role("button", name="Select").click()
    for one in some:
        tile(page, one).click()
    page.get_by_role("button", name="Change metadata").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Change 4 pictures")
    expect(dialog.get_by_label("price", exact=True)).to_have_attribute(
        "placeholder", "Several values"
    )
    dialog.get_by_label("shop", exact=True).fill("ours")
    dialog.get_by_role("button", name="Save").click()
    expect(toast(page)).to_contain_text("4 pictures changed.")
    assert [stored(api, one) for one in some[::-1]] == [
        {"shop": "ours", "price": 1.0},
        {"$text": "a text", "shop": "ours"},
        {"shop": "ours"},
        {"shop": "ours", "price": 2.0},
    ]
    toast(page).get_by_role("button", name="Undo").click()
    expect(toast(page)).to_contain_text("4 pictures as before.")
    assert [stored(api, one) for one in some[::-1]] == before
