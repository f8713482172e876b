"""Searching on the page: by words, by pictures, by filters, and what is done with the results."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from demo.show.tour import Api, Shown
from tests.page.chromium import Watched
from tests.page.conftest import Open, picture_file
from tests.page.seen import bring, ids, overflows, scores, settled

Found = Callable[[dict[str, Any]], list[dict[str, Any]]]
Keep = Callable[[Page, str], None]
PAGE = 24


def ids_of(results: list[dict[str, Any]]) -> list[str]:
    return [one["id"] for one in results]


def choose(page: Page, *labels: str) -> None:
    """Tick values of the filters."""
    folded = page.locator("#filters, #filters details")
    folded.evaluate_all("(all) => all.forEach((one) => { one.open = true; })")
    for label in labels:
        page.get_by_label(re.compile(f"^{label}")).check()
        settled(page)


def test_nothing_asked_shows_the_newest(window: Watched) -> None:
    page = window.open()
    assert len(ids(page)) == PAGE
    expect(page.locator("#found-title")).to_contain_text("Newest of")
    assert not overflows(page)
    # Who presses goes on with what comes then; another page may have come by itself before.
    page.get_by_role("button", name="Show more").press("Enter")
    expect(page.locator(".tile:focus")).to_be_visible()
    shown = ids(page)
    place = page.evaluate("[...document.querySelectorAll('.tile')].indexOf(document.activeElement)")
    assert place in {PAGE, 2 * PAGE}
    assert len(set(shown)) == len(shown) > place


def test_words(window: Watched, found: Found, keep: Keep) -> None:
    page = window.open()
    page.get_by_role("searchbox").fill("a blue circle")
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator("#found-title")).to_have_text("“a blue circle”")
    fitting = ids_of(found({"metadata": "a blue circle", "limit": PAGE, "cutoff": "auto"}))
    assert ids(page) == fitting
    assert len(scores(page)) == len(fitting)
    keep(page, f"words-{page.viewport_size['width'] if page.viewport_size else 0}")
    page.reload()
    expect(page.get_by_role("searchbox")).to_have_value("a blue circle")
    assert ids(page) == fitting
    page.go_back()
    expect(page.locator("#found-title")).to_contain_text("Newest of")


def test_the_address_of_a_picture(window: Watched, scenes: list[Shown]) -> None:
    page = window.open()
    page.get_by_role("searchbox").fill(scenes[5].url)
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("#query-picture")).to_contain_text(".jpg")
    assert scores(page)[0] == 1.0
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("#found-title")).to_contain_text("Newest of")


@pytest.mark.parametrize("way", ["picked", "drop", "paste"])
def test_a_file(window: Watched, scenes: list[Shown], api: Api, tmp_path: Path, way: str) -> None:
    page, file = window.open(), picture_file(scenes[7], tmp_path)
    settled(page)
    if way == "picked":
        with page.expect_file_chooser() as choice:
            page.get_by_role("button", name="Search with a picture file").click()
        choice.value.set_files(file)
    else:
        bring(page, way, file)
    expect(page.locator("#query-picture img")).to_be_visible()
    assert scores(page)[0] == 1.0
    page.get_by_role("searchbox").fill("a red star")
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator("#found-title")).to_have_text("Like this picture and “a red star”")
    choose(page, "old mill")
    form = {
        "metadata": '{"shop": {"$in": ["old mill"]}}',
        "text": "a red star",
        "cutoff": "auto",
        "limit": str(PAGE),
    }
    files = {"image": file.read_bytes()}
    route = f"{api.url}/search_similar_images"
    answer = api.session.post(route, data=form, files=files, timeout=60)
    assert ids(page) == ids_of(answer.json()["results"])
    settled(page)
    page.go_back()
    page.go_back()
    expect(page.locator("#found-title")).to_have_text("Like this picture")
    expect(page.locator("#query-picture img")).to_be_visible()
    page.go_back()
    expect(page.locator("#found-title")).to_contain_text("Newest of")


def test_the_camera_of_a_phone(watch: Open, scenes: list[Shown], tmp_path: Path) -> None:
    page = watch("phone").open()
    settled(page)
    with page.expect_file_chooser() as choice:
        page.get_by_role("button", name="Search with the camera").click()
    assert choice.value.element.get_attribute("capture") == "environment"
    choice.value.set_files(picture_file(scenes[9], tmp_path))
    expect(page.locator("#query-picture img")).to_be_visible()
    assert scores(page)[0] == 1.0
    desktop = watch("desktop").open()
    expect(desktop.get_by_role("button", name="Search with a picture file")).to_be_visible()
    expect(desktop.get_by_role("button", name="Search with the camera")).to_be_hidden()


def test_what_is_no_picture(window: Watched, tmp_path: Path) -> None:
    page = window.open()
    settled(page)
    window.expected = {400}
    fake = tmp_path / "fake.jpg"
    fake.write_text("no picture")
    bring(page, "drop", fake)
    expect(page.locator(".notice.error")).to_contain_text("image")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".notice.error")).to_contain_text("image")


def test_filters(window: Watched, found: Found, scenes: list[Shown]) -> None:
    page = window.open()
    settled(page)
    choose(page, "old mill", "corner shop")
    page.get_by_label("price, to").fill("20")
    page.get_by_label("price, to").press("Enter")
    wanted = {"shop": {"$in": ["old mill", "corner shop"]}, "price": {"$lte": 20}}
    matching = ids_of(found({"metadata": wanted, "limit": PAGE}))
    expect(page.locator(".card")).to_have_count(len(matching))
    assert ids(page) == matching
    page.reload()
    expect(page.locator("#filter-count")).to_have_text("2")
    assert ids(page) == matching

    page.get_by_role("searchbox").fill("a star")
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator("#found-title")).to_have_text("“a star”")
    asked: dict[str, Any] = {"text": "a star", "metadata": wanted, "limit": PAGE, "cutoff": "auto"}
    assert ids(page) == ids_of(found(asked))
    page.get_by_role("button", name="Clear filters").press("Enter")
    expect(page.locator("#filter-count")).to_be_empty()
    del asked["metadata"]
    assert ids(page) == ids_of(found(asked))


def test_a_list_holds_any_of_the_values(window: Watched, found: Found) -> None:
    page = window.open()
    settled(page)
    choose(page, "pink", "green")
    either = {"$or": [{"colors": {"$contains": one}} for one in ("pink", "green")]}
    assert sorted(ids(page)) == sorted(ids_of(found({"metadata": either, "limit": PAGE})))


def test_filters_that_nothing_matches(window: Watched) -> None:
    page = window.open()
    settled(page)
    choose(page, "old mill")
    page.get_by_label("price, from").fill("100000")
    page.get_by_label("price, from").press("Enter")
    expect(page.locator("#found-title")).to_have_text("Nothing matches")
    page.get_by_role("button", name="Clear filters").press("Enter")
    expect(page.locator(".card")).to_have_count(PAGE)


def test_details_and_more_like_this(window: Watched, scenes: list[Shown], keep: Keep) -> None:
    page = window.open(f"?url={scenes[3].url}")
    settled(page)
    page.locator(".tile").first.click()
    dialog = page.get_by_role("dialog")
    for value in scenes[3].scene.metadata.values():
        shown = ", ".join(value) if isinstance(value, list) else str(value)
        expect(dialog).to_contain_text(shown)
    expect(dialog.get_by_role("link")).to_have_attribute("href", scenes[3].url)
    expect(dialog).to_contain_text("Added")
    keep(page, f"details-{page.viewport_size['width'] if page.viewport_size else 0}")
    assert not overflows(page)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator(".tile").first).to_be_focused()

    shown_ids = ids(page)
    page.get_by_role("button", name="More like").nth(-1).click()
    expect(page).to_have_url(re.compile(f"id={shown_ids[-1]}"))
    expect(page.locator("#query-picture")).to_contain_text("A picture of the index")
    assert ids(page)[0] == shown_ids[-1]
    assert scores(page)[0] == 1.0
