"""Looking through what was found: order, numbers, to the end, and the whole of it as an address."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from demo.scenes.scenes import draw_scene
from demo.server import PictureServer
from demo.show.tour import Api, Shown
from tests.page.chromium import Watched
from tests.page.conftest import SCENES, Open
from tests.page.search.test_search import Found, choose, ids_of
from tests.page.seen import ids, scores, settled, to_the_end

EVERYTHING = {"$created_at": {"$exists": True}}
OLD_MILL = {"shop": {"$in": ["old mill"]}}


def all_of(api: Api, asked: dict[str, Any]) -> dict[str, Any]:
    """What the service answers to a search, up to a thousand."""
    answer: dict[str, Any] = api.post("search_similar_images", {"limit": 1000, **asked}).json()
    return answer


def counts(page: Page, key: str) -> dict[str, int]:
    """The numbers beside the values of a filter."""
    group = page.locator(f".filter[data-key='{key}']")
    expect(group).to_be_attached()
    group.locator("details").evaluate_all("(all) => all.forEach((one) => { one.open = true; })")
    shown = group.locator("label").evaluate_all(
        "(all) => all.map((one) => [one.children[1].textContent, one.lastChild.textContent])"
    )
    return {name: int(count) for name, count in shown}


def test_a_list_is_sorted_to_its_end(window: Watched, api: Api) -> None:
    page = window.open()
    settled(page)
    page.get_by_label("Sort").select_option("price, highest first")
    expect(page.locator("#found-title")).to_have_text(re.compile("^[0-9,]+ pictures$"))
    expected = all_of(api, {"metadata": EVERYTHING, "sort": "-price"})["results"]
    assert to_the_end(page) == ids_of(expected)
    assert "sort=-price" in page.url
    page.go_back()
    expect(page.get_by_label("Sort")).to_have_value("")
    expect(page.locator("#found-title")).to_contain_text("Newest of")


def test_words_are_sorted_among_what_fits(window: Watched, api: Api) -> None:
    page = window.open("?q=a+red+star&sort=price")
    assert ids(page) == ids_of(all_of(api, {"text": "a red star", "sort": "price"})["results"])
    expect(page.get_by_label("Sort")).to_have_value("price")


def test_the_rest_is_one_press_away(window: Watched, api: Api, found: Found) -> None:
    page = window.open("?q=a+blue+star")
    fitting = ids(page)
    assert fitting == ids_of(all_of(api, {"text": "a blue star", "cutoff": "auto"})["results"])
    total = all_of(api, {"metadata": EVERYTHING, "total": True})["total"]
    expect(page.locator("#found-count")).to_have_text(f"{len(fitting)} of {total} pictures")
    page.get_by_role("button", name="Show the rest").click()
    expect(page.get_by_role("button", name="Show the rest")).to_be_hidden()
    whole = to_the_end(page)
    assert whole == ids_of(all_of(api, {"text": "a blue star"})["results"])
    page.reload()
    settled(page)
    assert ids(page) == whole[: len(ids(page))]
    page.get_by_role("button", name="Only what fits").click()
    expect(page.locator(".card")).to_have_count(len(fitting))


def test_numbers_follow_the_filters(window: Watched, api: Api) -> None:
    page = window.open()
    settled(page)
    everywhere = counts(page, "shop")
    choose(page, "old mill", "pink")
    both = {"$and": [OLD_MILL, {"colors": {"$contains": "pink"}}]}
    expected = all_of(api, {"metadata": both, "facets": ["background", "price"], "total": True})
    told = {one["value"]: one["count"] for one in expected["facets"][0]["values"]}
    expect(page.locator("#found-title")).to_have_text(
        re.compile(f"^Newest of {expected['total']} pictures? that match$")
    )
    settled(page)
    page.wait_for_load_state("networkidle")
    assert {name: count for name, count in counts(page, "background").items() if count} == told
    expect(page.get_by_label("price, from")).to_have_attribute(
        "placeholder", f"{expected['facets'][1]['min']:g}"
    )
    # What else could be chosen of a key is counted without what is chosen of it.
    pink = all_of(api, {"metadata": {"colors": {"$contains": "pink"}}, "facets": ["shop"]})
    shops = {one["value"]: one["count"] for one in pink["facets"][0]["values"]}
    assert {name: count for name, count in counts(page, "shop").items() if count} == shops
    page.get_by_role("button", name="Clear filters").press("Enter")
    settled(page)
    assert counts(page, "shop") == everywhere


def test_a_list_fits_whatever_comes_and_goes(
    watch: Open, scenes: list[Shown], api: Api, pictures: PictureServer
) -> None:
    page = watch("phone").open()
    settled(page)
    listed = api.session.get(f"{api.url}/images", params={"limit": 1000}, timeout=60).json()
    before = [one["id"] for one in listed["images"]]
    url = pictures.add("fresh.jpg", draw_scene(9_410_000).picture)
    for number in range(5):
        api.post("post_image_to_index", {"url": f"{url}?{number}"})
    api.post("delete_images", {"ids": before[:2]})
    shown = to_the_end(page)
    assert shown == before
    api.post("delete_images", {"urls": [f"{url}?{number}" for number in range(5)]})
    for one in (each for each in listed["images"][:2]):
        api.post("post_image_to_index", {"url": one["url"], "metadata": one["metadata"]})


def test_a_ranking_repeats_no_image(watch: Open, scenes: list[Shown]) -> None:
    """As where images are added meanwhile, which moves the others on."""
    window = watch()

    def moved(route: Route) -> None:
        body = json.loads(route.request.post_data or "{}")
        body["offset"] = max(0, body.get("offset", 0) - 4)
        route.continue_(post_data=json.dumps(body))

    window.page.route("**/search_similar_images", moved)
    shown = to_the_end(window.open("?q=a+star&rest"))
    assert len(set(shown)) == len(shown) >= SCENES


def test_an_address_has_all_of_a_search(window: Watched, keep: Callable[[Page, str], None]) -> None:
    page = window.open()
    settled(page)
    page.get_by_role("searchbox").fill("a star")
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator("#found-title")).to_have_text("“a star”")
    choose(page, "old mill", "corner shop")
    page.get_by_label("Sort").select_option("price, lowest first")
    settled(page)
    shown, address = (ids(page), scores(page)), page.url
    keep(page, f"sorted-{page.viewport_size['width'] if page.viewport_size else 0}")
    page.goto("about:blank")
    page.goto(address)
    assert (ids(page), scores(page)) == shown
    for _ in range(4):
        page.go_back()
        settled(page)
    assert page.url == "about:blank" or "sort" not in page.url


@pytest.mark.parametrize("key", ["shop", "count"])
def test_one_of_each_and_the_others_of_it(window: Watched, api: Api, key: str) -> None:
    page = window.open()
    settled(page)
    page.get_by_label("Show", exact=True).select_option(key)
    settled(page)
    groups = all_of(api, {"metadata": EVERYTHING, "group_by": key})["results"]
    assert to_the_end(page) == ids_of(groups)
    page.reload()
    settled(page)
    assert ids(page) == ids_of(groups)[: len(ids(page))]
    page.get_by_label("Sort").select_option("price, lowest first")
    settled(page)
    cheapest = all_of(api, {"metadata": EVERYTHING, "group_by": key, "sort": "price"})["results"]
    first = cheapest[0]
    assert ids(page)[0] == first["id"]
    card = page.locator(".card").first
    card.get_by_role("button", name=f"{first['group_size'] - 1} more").click()
    wanted = {key: first["metadata"][key]}
    expected = ids_of(all_of(api, {"metadata": wanted, "sort": "price"})["results"])
    expect(page.get_by_label("Show", exact=True)).to_have_value("")
    assert to_the_end(page) == expected
    assert len(expected) == first["group_size"]
    page.go_back()
    settled(page)
    assert ids(page)[0] == first["id"]
    expect(page.get_by_label("Show", exact=True)).to_have_value(key)


def test_no_copies(window: Watched, api: Api, pictures: PictureServer, scenes: list[Shown]) -> None:
    url = pictures.add("copied.jpg", draw_scene(9_420_000).picture)
    copies = [api.post("post_image_to_index", {"url": f"{url}?{n}"}).json()["id"] for n in range(3)]
    page = window.open("?q=a+star&rest")
    settled(page)
    page.get_by_label("Show", exact=True).select_option("No copies")
    settled(page)
    shown = to_the_end(page)
    assert shown == ids_of(all_of(api, {"text": "a star", "distinct": "pixels"})["results"])
    assert len(set(shown) & set(copies)) == 1
    api.post("delete_images", {"ids": copies})


def test_back_is_where_one_was(window: Watched) -> None:
    page = window.open()
    shown = to_the_end(page)
    assert len(shown) > 2 * 24
    last = page.locator(".card").nth(len(shown) - 3)
    last.scroll_into_view_if_needed()
    top = last.evaluate("(card) => card.getBoundingClientRect().top")
    is_there = (
        "([place, top]) => Math.abs(document.querySelectorAll('.card')[place]"
        ".getBoundingClientRect().top - top) < 5"
    )
    last.get_by_role("button", name="More like").click()
    expect(page.locator("#query-picture")).to_contain_text("A picture of the index")
    settled(page)
    assert page.evaluate("scrollY") == 0
    page.go_back()
    expect(page.locator(".card")).to_have_count(len(shown))
    assert ids(page) == shown
    page.wait_for_function(is_there, arg=[len(shown) - 3, top])
    page.reload()
    expect(page.locator(".card")).to_have_count(len(shown))
    page.wait_for_function(is_there, arg=[len(shown) - 3, top])
