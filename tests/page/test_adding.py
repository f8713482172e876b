"""Adding on the page: files, folders, addresses; progress, failures, and trying again."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from demo.scenes.scenes import draw_scene
from demo.server import PictureServer, as_jpeg
from demo.show.tour import Api
from tests.page.chromium import Watched
from tests.page.seen import bring, overflows

SEEDS = iter(range(9_100_000, 9_200_000))


@pytest.fixture
def page(window: Watched) -> Page:
    return window.open("?view=add")


def jpeg() -> bytes:
    """A picture that no other test has seen."""
    return as_jpeg(draw_scene(next(SEEDS)).picture)


def add(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^Add [0-9]")).click()
    expect(page.locator("#add-stop")).to_be_hidden()


def newest(api: Api, count: int) -> list[dict[str, object]]:
    answer = api.session.get(f"{api.url}/images", params={"limit": count}, timeout=60)
    images: list[dict[str, object]] = answer.json()["images"]
    return images


def test_a_folder(page: Page, api: Api, tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    (folder / "sea").mkdir(parents=True)
    for name in ("a.jpg", "sea/b.jpg"):
        (folder / name).write_bytes(jpeg())
    (folder / "notes.txt").write_text("no picture")
    with page.expect_file_chooser() as choice:
        page.get_by_role("button", name="Choose a folder").click()
    choice.value.set_files(folder)
    expect(page.locator("#chosen")).to_have_text("2 pictures chosen. 1 file left out: no pictures.")
    add(page)
    expect(page.locator("#add-shown")).to_have_text("2 of 2 pictures added.")
    files = {one["metadata"]["file"] for one in newest(api, 2)}  # type: ignore[index]
    assert files == {"a.jpg", "sea/b.jpg"}


def test_files_with_metadata(page: Page, api: Api, tmp_path: Path) -> None:
    file = tmp_path / "mine.jpg"
    file.write_bytes(jpeg())
    bring(page, "drop", file)
    for row, (key, value) in enumerate({"shop": "mine", "price": "12.5", "colors": "a, b"}.items()):
        page.get_by_role("button", name="Add a key").click()
        page.get_by_label("Key", exact=True).nth(row).fill(key)
        page.get_by_label("Value", exact=True).nth(row).fill(value)
    # The table knows these keys, and what they hold.
    expect(page.get_by_label("Type").nth(1)).to_be_disabled()
    add(page)
    [image] = newest(api, 1)
    wanted = {"file": "mine.jpg", "shop": "mine", "price": 12.5, "colors": ["a", "b"]}
    assert image["metadata"] == wanted


def test_a_key_that_is_written_before_the_tables_keys_are_known(window: Watched) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    window.page.route("**/index/columns", hold)
    with window.page.expect_request("**/index/columns"):
        page = window.open("?view=add")
    page.get_by_role("button", name="Add a key").click()
    page.get_by_label("Key", exact=True).fill("price")
    expect(page.get_by_label("Type")).to_be_enabled()
    held.pop().continue_()
    expect(page.get_by_label("Type")).to_be_disabled()
    expect(page.get_by_label("Type")).to_have_value("float")


def test_a_value_of_the_wrong_type_is_told_before_anything_is_sent(page: Page) -> None:
    page.get_by_label("Addresses of pictures").fill("http://127.0.0.1:1/x.jpg")
    page.get_by_role("button", name="Add a key").click()
    page.get_by_label("Key", exact=True).fill("price")
    page.get_by_label("Value", exact=True).fill("cheap")
    expect(page.get_by_label("Type")).to_be_disabled()  # the table's keys are known
    page.get_by_role("button", name="Add 1 picture").click()
    expect(page.locator("#add-notice")).to_have_text("price must be a number.")


def test_addresses_that_fail_are_told_and_tried_again(
    window: Watched, page: Page, pictures: PictureServer
) -> None:
    window.expected = {400}
    good, late = f"good-{next(SEEDS)}.jpg", f"late-{next(SEEDS)}.jpg"
    pictures.add_file(good, jpeg())
    lines = [pictures.url + good, pictures.url + late, "no address"]
    page.get_by_label("Addresses of pictures").fill("\n".join(lines))
    add(page)
    expect(page.locator("#add-shown")).to_have_text("1 of 3 pictures added, 2 failed.")
    failures = page.locator("#add-failure-list li")
    expect(failures.filter(has_text=late)).to_contain_text("404")
    expect(failures.filter(has_text="no address")).to_contain_text("URL")
    assert not overflows(page)

    pictures.add_file(late, jpeg())
    page.get_by_role("button", name="Try the failed ones again").click()
    expect(page.locator("#add-shown")).to_have_text("2 of 3 pictures added, 1 failed.")
    expect(failures).to_have_count(1)


def test_a_full_service_is_waited_for(window: Watched, page: Page, tmp_path: Path) -> None:
    """Refused once, each of them; what comes then is the service's own answer."""
    window.expected = {429}
    refused: list[str] = []

    def once_full(route: Route) -> None:
        if len(refused) < 3:
            refused.append(route.request.url)
            route.fulfill(status=429, headers={"Retry-After": "1"}, json={"message": "full"})
        else:
            route.continue_()

    page.route("**/post_image_to_index", once_full)
    files = [tmp_path / f"{number}.jpg" for number in range(5)]
    for file in files:
        file.write_bytes(jpeg())
    bring(page, "drop", *files)
    add(page)
    expect(page.locator("#add-shown")).to_have_text("5 of 5 pictures added.")
    assert len(refused) == 3


def test_it_can_be_stopped_and_gone_on_with(page: Page, tmp_path: Path) -> None:
    def hold(_: Route) -> None:
        """Never answer."""

    page.route("**/post_image_to_index", hold)
    files = [tmp_path / f"{number}.jpg" for number in range(6)]
    for file in files:
        file.write_bytes(jpeg())
    bring(page, "drop", *files)
    page.get_by_role("button", name="Add 6 pictures").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#add-shown")).to_have_text("0 of 6 pictures added. Stopped.")
    page.unroute("**/post_image_to_index")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#add-shown")).to_have_text("6 of 6 pictures added.")
