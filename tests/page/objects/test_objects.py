"""Objects on the page: buttons over a picture, a box that is drawn, classes with counts."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Locator, Page, expect

from demo.process import ServiceProcess
from demo.server import PictureServer
from demo.show.tour import Api, Shown, index, put_up
from tests.page.chromium import Watched, context
from tests.page.search.test_search import Keep
from tests.page.seen import overflows
from tests.running import environment

SCENES = 24
Open = Callable[..., Watched]


@pytest.fixture(scope="module")
def finding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service that indexes objects."""
    folder = tmp_path_factory.mktemp("finding")
    with ServiceProcess(environment(folder, IMAGE_SEARCH_OBJECTS="on"), folder / "log") as running:
        yield running


@pytest.fixture(scope="module")
def shown(finding: ServiceProcess, pictures: PictureServer) -> list[Shown]:
    made = put_up(pictures, SCENES)
    assert len(list(index(Api(finding.url), made))) == SCENES
    return made


@contextmanager
def opened(browser: Browser, finding: ServiceProcess, size: str) -> Iterator[Watched]:
    page = context(browser, size).new_page()
    watched = Watched(page, finding.url)
    yield watched
    page.context.close()
    watched.check()


@pytest.fixture(params=["desktop", "phone"])
def window(
    browser: Browser, finding: ServiceProcess, shown: list[Shown], request: pytest.FixtureRequest
) -> Iterator[Watched]:
    """A window of each size over the index."""
    assert shown
    with opened(browser, finding, request.param) as watched:
        yield watched


@pytest.fixture
def desk(browser: Browser, finding: ServiceProcess, shown: list[Shown]) -> Iterator[Watched]:
    """A large window over the index."""
    assert shown
    with opened(browser, finding, "desktop") as watched:
        yield watched


def objects_of(finding: ServiceProcess, image_id: str) -> list[dict[str, Any]]:
    answer = requests.get(f"{finding.url}/images/{image_id}/objects", timeout=60).json()
    return list(answer["objects"])


def searched(finding: ServiceProcess, **asked: Any) -> list[str]:
    body = {"limit": 24, **asked}
    answer = requests.post(f"{finding.url}/search_similar_images", json=body, timeout=60)
    return [hit["id"] for hit in answer.json()["results"]]


def cards(page: Page) -> Locator:
    return page.locator(".card:visible")


def region_in(page: Page) -> list[float]:
    """The part of a picture that the address names."""
    given = page.evaluate("new URLSearchParams(location.search).get('region')")
    return [float(edge) for edge in given.split(",")]


def expect_shown(page: Page, ids: list[str]) -> None:
    """That the grid shows these images, in this order."""
    expect(page.locator("#grid:not([aria-busy])")).to_be_attached()
    expect(cards(page)).to_have_count(len(ids))
    assert [card.get_attribute("data-id") for card in cards(page).all()] == ids


def test_a_box_over_a_picture_finds_similar_objects(
    window: Watched, finding: ServiceProcess, keep: Keep
) -> None:
    page = window.open("")
    first = cards(page).first
    own = first.get_attribute("data-id") or ""
    first.locator(".tile").click()
    boxes = page.locator("#details .object-box")
    told = objects_of(finding, own)
    expect(boxes).to_have_count(len(told))
    keep(page, "objects-details")
    assert not overflows(page)
    picture = page.locator("#details img").bounding_box()
    box = boxes.nth(0).bounding_box()
    assert picture is not None
    assert box is not None
    size = requests.get(f"{finding.url}/images/{own}/objects", timeout=60).json()
    scale = picture["width"] / size["width"]
    assert box["x"] == pytest.approx(picture["x"] + scale * told[0]["xyxy"][0], abs=3)
    assert box["y"] == pytest.approx(picture["y"] + scale * told[0]["xyxy"][1], abs=3)
    boxes.nth(len(told) - 1).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#found-title")).to_have_text("Like this object")
    last = len(told) - 1
    expect_shown(page, searched(finding, id=own, object=last, search="objects"))
    assert f"object={last}" in page.url
    page.reload()
    expect_shown(page, searched(finding, id=own, object=last, search="objects"))
    page.go_back()
    expect(page.locator("#found-title")).to_contain_text("Newest of")


def test_a_box_is_drawn_on_a_picture_that_is_searched_with(
    window: Watched, finding: ServiceProcess, shown: list[Shown], keep: Keep
) -> None:
    page = window.open("")
    page.get_by_role("searchbox").fill(shown[3].url)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Choose a part").click()
    picture = page.locator("#part img")
    expect(picture).to_be_visible()
    expect(page.locator("#part .object-box")).not_to_have_count(0)
    keep(page, "objects-part")
    dialog = page.locator("#part").bounding_box()
    assert dialog is not None
    assert 0 <= dialog["x"] <= page.evaluate("innerWidth") - dialog["width"]
    frame = picture.bounding_box()
    assert frame is not None
    width, height = shown[3].scene.picture.size
    left, top, right, bottom = shown[3].scene.objects[0].xyxy
    scale = frame["width"] / width
    page.mouse.move(frame["x"] + scale * left, frame["y"] + scale * top)
    page.mouse.down()
    page.mouse.move(frame["x"] + scale * (left + 20), frame["y"] + scale * (top + 20))
    page.mouse.move(frame["x"] + scale * right, frame["y"] + scale * bottom)
    page.mouse.up()
    expect(page.locator("#found-title")).to_have_text("Like this object")
    drawn = [
        float(edge)
        for edge in page.evaluate("new URLSearchParams(location.search).get('region')").split(",")
    ]
    assert drawn == pytest.approx([left, top, right, bottom], abs=2 / scale)
    assert max(drawn[2] / width, drawn[3] / height) <= 1
    expect_shown(page, searched(finding, url=shown[3].url, region=drawn, search="objects"))
    page.get_by_role("button", name="Whole picture").click()
    expect(page.locator("#found-title")).to_have_text("Like this picture")


def test_an_object_of_a_picture_is_chosen_by_the_keyboard(
    desk: Watched, finding: ServiceProcess, shown: list[Shown]
) -> None:
    page = desk.open("")
    page.get_by_role("searchbox").fill(shown[5].url)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Choose a part").press("Enter")
    box = page.locator("#part .object-box").first
    name = box.get_attribute("title") or ""
    box.press("Enter")
    expect(page.locator("#found-title")).to_have_text("Like this object")
    found = searched(finding, url=shown[5].url, region=region_in(page), search="objects")
    expect_shown(page, found)
    surest = objects_of(finding, found[0])
    assert name.split()[0] in {one["class_name"] for one in surest}


def test_classes_are_chips_with_counts(desk: Watched, finding: ServiceProcess) -> None:
    page = desk.open("")
    classes = requests.get(f"{finding.url}/index/columns", timeout=60).json()["classes"]
    if not page.locator("#filter-form").is_visible():
        page.locator("#filters > summary").click()
    group = page.locator(".filter[data-key='$objects']")
    expect(group.locator("legend")).to_have_text("Shows")
    for one in classes[:3]:
        chip = group.locator(".choice", has_text=one["class_name"])
        expect(chip.locator(".count")).to_have_text(str(one["images"]))
    rare = classes[2]
    group.locator(".choice", has_text=rare["class_name"]).click()
    expect(page.locator("#found-title")).to_contain_text(f"{rare['images']} picture")
    node = {"$objects": {"class_name": {"$in": [rare["class_name"]]}}}
    expect_shown(page, searched(finding, metadata=node))


def test_words_are_searched_among_objects(
    desk: Watched, finding: ServiceProcess, keep: Keep
) -> None:
    page = desk.open("")
    expect(page.get_by_label("In", exact=True)).to_be_hidden()
    page.get_by_role("searchbox").fill("a red star")
    page.keyboard.press("Enter")
    page.get_by_label("In", exact=True).select_option("objects")
    expect(page.locator("#found-title")).to_contain_text("a red star")
    expect(page.get_by_label("Sort", exact=True)).to_be_disabled()
    expect_shown(page, searched(finding, text="a red star", search="objects"))
    drawn = cards(page).first.locator("img").get_attribute("src") or ""
    assert re.search(r"/thumbnail\?objects=\d+$", drawn)
    keep(page, "objects-found")
    assert not overflows(page)
