"""Deleting pictures and changing their metadata on the page, one or many, and taking it back."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from demo.process import ServiceProcess
from demo.scenes.scenes import draw_scene
from demo.server import PictureServer
from demo.show.tour import Api, Shown, index, put_up
from tests.page.chromium import SIZES, Watched, context
from tests.page.conftest import READ_KEY, WRITE_KEY, Open
from tests.page.search.test_search import Keep
from tests.page.seen import ids, overflows, settled
from tests.running import environment

SEEDS = iter(range(9_500_000, 9_600_000))
Added = Callable[..., list[str]]


@pytest.fixture
def added(api: Api, pictures: PictureServer) -> Iterator[Added]:
    """Adds pictures, which are the newest then; they go with the test."""
    made: list[str] = []

    def add(*metadata: Any) -> list[str]:
        fresh = []
        for each in metadata:
            seed = next(SEEDS)
            url = pictures.add(f"{seed}.jpg", draw_scene(seed).picture)
            request = {"url": url, "metadata": each}
            fresh.append(str(api.post("post_image_to_index", request).json()["id"]))
        made.extend(fresh)
        return fresh[::-1]

    yield add
    api.post("delete_images", {"ids": made})


def stored(api: Api, image_id: str) -> Any:
    """An image's metadata; absent where there is no such image."""
    answer = api.session.get(f"{api.url}/images/{image_id}", timeout=60)
    return answer.json()["metadata"] if answer.ok else "gone"


def tile(page: Page, image_id: str) -> Any:
    return page.locator(f".card[data-id='{image_id}'] .tile")


def toast(page: Page) -> Any:
    return page.locator("#toast")


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


def test_what_a_key_may_not_is_told_or_asked_first(watch: Open, api: Api, added: Added) -> None:
    first, second = added({"shop": "mine"}, {"shop": "mine"})
    for key in (READ_KEY, WRITE_KEY):
        window = watch(key=key)
        window.expected = {403}  # neither may see the log
        page = window.open()
        settled(page)
        tile(page, first).click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        asked = page.get_by_role("dialog")
        expect(asked).to_contain_text("It cannot be undone from here")
        asked.get_by_role("button", name="Cancel").click()
        expect(asked).to_be_hidden()
        assert stored(api, first) == {"shop": "mine"}
        tile(page, first).click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        told = "'write' is needed" if key == READ_KEY else "1 picture deleted."
        expect(toast(page)).to_contain_text(told)
        expect(toast(page).get_by_role("button", name="Undo")).to_have_count(0)
    assert (stored(api, first), stored(api, second)) == ("gone", {"shop": "mine"})


@pytest.fixture(scope="module")
def unlocked(
    tmp_path_factory: pytest.TempPathFactory, pictures: PictureServer
) -> Iterator[ServiceProcess]:
    """A service without keys, with a few pictures."""
    folder = tmp_path_factory.mktemp("unlocked")
    settings = environment(folder, IMAGE_SEARCH_API_KEYS="")
    with ServiceProcess(settings, folder / "log") as running:
        list(index(Api(running.url), put_up(pictures, 6)))
        yield running


@pytest.mark.parametrize("size", sorted(SIZES))
def test_without_keys_others_changes_are_asked_about(
    browser: Browser, unlocked: ServiceProcess, size: str, scenes: list[Shown]
) -> None:
    window = Watched(context(browser, size).new_page(), unlocked.url)
    page, api = window.open(), Api(unlocked.url)
    before = ids(page)
    for is_alone in (True, False):
        tile(page, before[0]).click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(toast(page)).to_contain_text("1 picture deleted.")
        assert ids(page) == before[1:]
        if not is_alone:
            api.session.patch(
                f"{api.url}/images/{before[1]}", json={"metadata": {"shop": "other"}}, timeout=60
            )
        toast(page).get_by_role("button", name="Undo").click()
        if not is_alone:
            expect(toast(page)).to_contain_text("1 change made since would be undone, too.")
            assert stored(api, before[0]) == "gone"
            toast(page).get_by_role("button", name="Undo all").click()
        expect(toast(page)).to_contain_text("Brought back.")
        assert stored(api, before[0]) != "gone"
        assert ids(page) == before
    assert stored(api, before[1])["shop"] != "other"
    page.context.close()
    window.check()
