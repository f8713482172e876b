"""The page as it looks, for the README and for whoever changes it.

    uv run python -m tests.page.screenshots docs/images

Runs the service with the demo models over the demo's pictures, and keeps what a Chromium shows of
it. The letters are those of this machine's own font.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from demo.process import ServiceProcess
from demo.scenes.seeds import SHOW_SEEDS
from demo.server import PictureServer
from demo.show.tour import Api, Shown, index, put_up
from tests.page.chromium import context, launched, save
from tests.page.seen import settled
from tests.running import environment

SCENES = 300
MOST_OBJECTS = 4
SELECTED = '?filter={"shop":{"values":["old mill"]}}&sort=-price'
"""A list under a filter, by price."""


def taken(url: str, scenes: list[Shown], folder: Path) -> None:
    """Take all of them."""
    crowded = next(one for one in scenes if len(one.scene.objects) == MOST_OBJECTS)
    with launched() as browser:
        page = _opened(browser, f"{url}/?view=detect&url={crowded.url}", "desktop")
        expect(page.locator("#objects li").first).to_be_visible()
        save(page, folder, "page-detection")
        page = _opened(browser, f"{url}/?q=a+blue+star", "phone", dark=True)
        _complete(page)
        save(page, folder, "page-phone")
        page = _opened(browser, f"{url}/{SELECTED}", "desktop")
        _select(page)
        save(page, folder, "page-selected")
        page = _opened(browser, f"{url}/?q=a+star&group=shop", "phone")
        _complete(page)
        save(page, folder, "page-groups")


def taken_of_objects(url: str, folder: Path) -> None:
    """Take the README's first one: words, searched among the objects in the pictures."""
    with launched() as browser:
        page = _opened(browser, f"{url}/?q=a+blue+star&in=objects", "desktop")
        _complete(page)
        save(page, folder, "page")


def _select(page: Page) -> None:
    _complete(page)
    page.get_by_role("button", name="Select").click()
    for place in (0, 1, 3):
        page.locator(".tile").nth(place).click()
    page.mouse.move(0, 0)


def _opened(browser: Browser, address: str, size: str, *, dark: bool = False) -> Page:
    page = context(browser, size, dark=dark).new_page()
    page.goto(address)
    return page


def _complete(page: Page) -> None:
    """Wait for the pictures, too."""
    settled(page)
    page.wait_for_load_state("networkidle")


@contextmanager
def _indexed(pictures: PictureServer, **settings: str) -> Iterator[tuple[str, list[Shown]]]:
    """A service with the demo's pictures: its URL, and what they show."""
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        of = environment(place, IMAGE_SEARCH_API_KEYS="", **settings)
        with ServiceProcess(of, place / "log") as service:
            scenes = put_up(pictures, min(SCENES, len(SHOW_SEEDS)))
            for _ in index(Api(service.url), scenes):
                pass
            yield service.url, scenes


def main() -> None:
    """Start everything, take them, stop everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where they go")
    parser.add_argument("--first", action="store_true", help="take the README's first alone")
    given = parser.parse_args()
    with PictureServer() as pictures:
        with _indexed(pictures, IMAGE_SEARCH_OBJECTS="on") as (url, _):
            taken_of_objects(url, given.folder)
        if not given.first:
            with _indexed(pictures) as (url, scenes):
                taken(url, scenes, given.folder)


if __name__ == "__main__":
    main()
