"""The shop's page of docs/shop.html, as it stands there, on another origin than the service's."""

import json
import re
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from demo.process import PROJECT, ServiceProcess
from demo.server import PictureServer
from demo.show.tour import Api, index, put_up
from tests.page.chromium import SIZES, Watched, context
from tests.page.search.test_search import Keep, ids_of
from tests.page.seen import overflows
from tests.running import environment

SCENES = 80
PAGE = 24
SERVICE = "http://127.0.0.1:3000"
LEAST_LINES, MOST_LINES = 60, 110


class Quiet(SimpleHTTPRequestHandler):
    """A handler of files that keeps no log."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the shop's web server serves."""
    return tmp_path_factory.mktemp("shop")


@pytest.fixture(scope="module")
def shop(folder: Path) -> Iterator[str]:
    """The origin of the shop's web server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def api(shop: str, folder: Path, pictures: PictureServer) -> Iterator[Api]:
    """The service that lets the shop's page in, with scenes."""
    settings = environment(folder, IMAGE_SEARCH_API_KEYS="", IMAGE_SEARCH_CORS_ORIGINS=shop)
    with ServiceProcess(settings, folder / "log") as running:
        made = Api(running.url)
        assert len(list(index(made, put_up(pictures, SCENES)))) == SCENES
        text = (PROJECT / "docs" / "shop.html").read_text()
        assert text.count(SERVICE) == 1
        (folder / "shop.html").write_text(text.replace(SERVICE, running.url))
        yield made


@pytest.fixture(params=sorted(SIZES))
def page(browser: Browser, shop: str, api: Api, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page in a window of a size, silent to the end."""
    window = Watched(context(browser, request.param).new_page(), shop, api.url)
    yield window.open("shop.html")
    window.page.context.close()
    window.check()


def found(api: Api, **asked: Any) -> list[str]:
    """What the service itself answers."""
    return ids_of(api.post("search_similar_images", {"limit": 1000, **asked}).json()["results"])


def shown(page: Page) -> list[str]:
    sources = page.locator("#hits img").evaluate_all("(all) => all.map((one) => one.src)")
    return [source.split("/")[-2] for source in sources]


def expect_shown(page: Page, expected: list[str]) -> None:
    """Wait for the first page of these images, and nothing else."""
    first = page.locator("#hits img").first
    expect(first).to_have_attribute("src", re.compile(f"/{expected[0]}/"))
    least = min(PAGE, len(expected))
    expect(page.locator("#hits img").nth(least - 1)).to_be_attached()
    there = shown(page)
    assert there == expected[: len(there)]


def test_it_is_one_file_of_a_hundred_lines() -> None:
    text = (PROJECT / "docs" / "shop.html").read_text()
    assert LEAST_LINES <= len(text.splitlines()) <= MOST_LINES
    assert "src=" not in text.partition("<script")[0]


def test_all_of_it_by_scrolling(page: Page, api: Api, keep: Keep) -> None:
    everything = {"metadata": {"$created_at": {"$exists": True}}}
    expect(page.locator("#told")).to_have_text(re.compile(rf"^\d+\+ of {SCENES}$"))
    picture = page.locator("#hits img").first
    assert picture.evaluate("(one) => one.decode().then(() => one.naturalWidth)") > 0
    keep(page, f"shop-{page.viewport_size['width'] if page.viewport_size else 0}")
    assert not overflows(page)
    told = page.locator("#told")
    while (text := told.inner_text()) != f"{SCENES} of {SCENES}":
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        expect(told).not_to_have_text(text)
    assert shown(page) == found(api, **everything)
    page.get_by_label("Sort").select_option("-price")
    expect_shown(page, found(api, **everything, sort="-price"))
    problems = Axe().run(page).response["violations"]
    serious = [one for one in problems if one["impact"] in {"serious", "critical"}]
    assert serious == [], json.dumps(serious)[:4000]


def test_words_filters_and_numbers(page: Page, api: Api) -> None:
    page.get_by_role("searchbox").fill("a star")
    page.get_by_role("searchbox").press("Enter")
    fitting = found(api, text="a star", cutoff="auto")
    expect_shown(page, fitting)
    page.get_by_label("old mill").check()
    page.get_by_label("pink").check()
    both = {"$and": [{"shop": {"$in": ["old mill"]}}, {"colors": {"$contains": "pink"}}]}
    fitting = found(api, text="a star", cutoff="auto", metadata=both)
    expect_shown(page, fitting)
    answer = api.post("search_similar_images", {"metadata": both, "total": True, "limit": 1})
    expect(page.locator("#told")).to_have_text(f"{len(fitting)} of {answer.json()['total']}")
    pink = {"metadata": {"colors": {"$contains": "pink"}}, "facets": ["shop"], "limit": 1}
    [facet] = api.post("search_similar_images", pink).json()["facets"]
    for one in facet["values"]:
        label = page.locator("fieldset label", has_text=one["value"])
        expect(label.locator("small")).to_have_text(str(one["count"]))
    page.get_by_role("searchbox").fill("")
    page.get_by_role("searchbox").press("Enter")
    fitting = found(api, metadata=both)
    expect_shown(page, fitting)


def test_one_of_each(page: Page, api: Api) -> None:
    page.get_by_label("One per shop").check()
    everything = {"$created_at": {"$exists": True}}
    asked = {"metadata": everything, "group_by": "shop", "limit": 100}
    groups = api.post("search_similar_images", asked).json()["results"]
    expect_shown(page, ids_of(groups))
    first = groups[0]
    page.get_by_role("button", name=f"{first['group_size'] - 1} more").first.click()
    wanted = {"shop": first["metadata"]["shop"]}
    expect_shown(page, found(api, metadata=wanted))
    expect(page.get_by_label(first["metadata"]["shop"])).to_be_checked()
    expect(page.get_by_label("One per shop")).not_to_be_checked()
