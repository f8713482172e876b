"""Detection on the page: boxes over the picture, and the list of the objects."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from demo.show.tour import Api, Shown
from tests.page.chromium import Watched
from tests.page.conftest import picture_file
from tests.page.search.test_search import Keep
from tests.page.seen import bring, overflows

MOST_OBJECTS = 4


@pytest.fixture
def scene(scenes: list[Shown]) -> Shown:
    """One with as many objects as there can be."""
    return next(one for one in scenes if len(one.scene.objects) == MOST_OBJECTS)


def detected(api: Api, url: str) -> list[dict[str, Any]]:
    answer = api.post("run_object_detection", {"url": url, "format": "json"}).json()
    detections: list[dict[str, Any]] = answer["detections"]
    return detections


def boxes(page: Page) -> list[list[float]]:
    """The frames, in pixels of the picture."""
    names = ("x", "y", "width", "height")
    frames = [one for one in page.locator(".frame").all() if one.is_visible()]
    return [[float(one.get_attribute(name) or "") for name in names] for one in frames]


def test_an_address(window: Watched, api: Api, scene: Shown, keep: Keep) -> None:
    page = window.open("?view=detect")
    page.get_by_label("Address of a picture", exact=True).fill(scene.url)
    page.get_by_role("button", name="Detect", exact=True).click()
    found = detected(api, scene.url)
    expect(page.locator("#detect-status")).to_have_text(f"{len(found)} objects found.")
    assert page.locator("#objects bdi").all_inner_texts() == [one["class_name"] for one in found]
    for (x, y, width, height), one in zip(boxes(page), found, strict=True):
        assert [x, y, x + width, y + height] == pytest.approx(one["xyxy"], abs=0.01)
    keep(page, f"detection-{page.viewport_size['width'] if page.viewport_size else 0}")
    assert not overflows(page)
    page.reload()
    expect(page.locator("#objects li")).to_have_count(len(found))


def test_a_file_and_its_confidence(window: Watched, api: Api, scene: Shown, tmp_path: Path) -> None:
    page = window.open("?view=detect")
    bring(page, "drop", picture_file(scene, tmp_path))
    found = detected(api, scene.url)
    expect(page.locator("#objects li")).to_have_count(len(found))
    surest = max(int(100 * one["confidence"]) for one in found)
    page.locator("#confidence").fill(str(surest))
    sure = [one for one in found if 100 * one["confidence"] >= surest]
    assert len(boxes(page)) == len(sure)
    assert page.locator("#objects li:visible").count() == len(sure)
    page.locator("#confidence").fill("100")
    expect(page.locator("#detect-status")).to_have_text("No object is that sure.")


def test_the_list_and_the_boxes_show_each_other(window: Watched, scene: Shown) -> None:
    page = window.open(f"?view=detect&url={scene.url}")
    page.get_by_role("list", name="Objects").get_by_role("button").nth(1).focus()
    expect(page.locator(".box.lit .frame")).to_have_count(1)
    lit = page.locator(".frame").nth(1).locator("..")
    expect(lit).to_have_class("box lit")
    page.locator(".frame").nth(0).hover()
    expect(page.locator("#objects li").nth(0)).to_have_class("lit")


def test_from_the_details_of_an_upload(
    window: Watched, api: Api, scene: Shown, tmp_path: Path
) -> None:
    """The service keeps its file."""
    file = picture_file(scene, tmp_path)
    url = f"{api.url}/post_image_to_index"
    api.session.post(url, files={"image": file.read_bytes()}, timeout=60).raise_for_status()
    page = window.open()
    page.locator(".tile").first.click()
    page.get_by_role("button", name="Detect objects").click()
    expect(page.locator("#objects li")).to_have_count(len(detected(api, scene.url)))


def test_what_cannot_be_had(window: Watched) -> None:
    window.expected = {400}
    page = window.open("?view=detect&url=http://127.0.0.1:1/x.jpg")
    expect(page.locator("#detect-notice")).to_contain_text("could not")
