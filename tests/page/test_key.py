"""A locked service: who opens it in a browser is asked for the key, and others are refused."""

import re

import requests
from playwright.sync_api import Page, expect

from api.routes.page import OPEN_FILES, PAGES
from demo.process import ServiceProcess
from demo.show.tour import Shown
from tests.page.chromium import Watched
from tests.page.conftest import KEY, READ_KEY, Open
from tests.page.seen import ids, overflows, settled

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def unlock(page: Page, key: str) -> None:
    page.get_by_label("API key", exact=True).fill(key)
    page.get_by_role("button", name="Unlock").click()


def locked(watch: Open, size: str = "desktop") -> Watched:
    window = watch(size, key="")
    window.expected = {401}
    return window


def test_the_key_opens_it_until_it_is_forgotten(watch: Open, scenes: list[Shown]) -> None:
    window = locked(watch, "phone")
    page = window.open()
    expect(page.get_by_role("dialog")).to_contain_text("needs an API key")
    for _ in range(3):
        page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_visible()
    unlock(page, "a wrong key, with an ü")
    expect(page.get_by_role("dialog")).to_contain_text("does not take this key")
    unlock(page, KEY)
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert not overflows(page)
    # An img sends no header, so that the pictures are fetched.
    picture = page.locator("#grid img").first
    expect(picture).to_have_attribute("src", re.compile("^blob:"))
    assert picture.evaluate("(one) => one.decode().then(() => one.naturalWidth)") > 0
    assert all(KEY not in address for address in window.asked)

    page.reload()
    expect(page.locator(".card").first).to_be_visible()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("button", name="Lock").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.evaluate("sessionStorage.length + localStorage.length") == 0


def test_the_page_of_the_api_has_the_key_of_the_tab(watch: Open, scenes: list[Shown]) -> None:
    page = locked(watch).open("docs")
    page.get_by_role("link", name="Unlock it").click()
    unlock(page, KEY)
    expect(page.locator(".card").first).to_be_visible()
    page.get_by_role("link", name="API").click()
    expect(page.get_by_text("/search_similar_images")).to_be_visible()


def test_a_key_to_read_searches_and_is_told_what_it_may_not(
    watch: Open, scenes: list[Shown]
) -> None:
    window = watch(key=READ_KEY)
    page = window.open()
    expect(page.locator(".card").first).to_be_visible()
    page.get_by_label("Words").fill("a blue star")
    page.get_by_role("button", name="Search", exact=True).click()
    settled(page)
    assert ids(page)
    window.expected = {403}
    page = window.open("?view=add")
    page.locator("#addresses").fill("\n".join(one.url for one in scenes[:30]))
    page.get_by_role("button", name="Add 30 pictures").click()
    expect(page.locator("#add-stop")).to_be_hidden()
    expect(page.locator("#add-failure-list li").first).to_contain_text("'write' is needed")
    # The others are not even tried.
    assert page.locator("#add-failure-list li").count() <= 4
    expect(page.locator("#add-shown")).to_contain_text("0 of 30 pictures added")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_browsers_get_the_pages_and_others_json(service: ServiceProcess) -> None:
    for path in PAGES:
        page = requests.get(service.url + path, headers=HTML, timeout=60)
        assert (page.status_code, page.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert page.text.startswith("<!DOCTYPE html>")
        policy = page.headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "http" not in policy
        refused = requests.get(service.url + path, timeout=60)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
    for path in ("/heartbeat", "/docs.json", "/page/nothing.js", "/static_content/x", "/images"):
        answer = requests.get(service.url + path, headers=HTML, timeout=60)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


def test_the_files_of_the_pages_are_open_and_fresh(service: ServiceProcess) -> None:
    for path in sorted(OPEN_FILES):
        answer = requests.get(service.url + path, timeout=60)
        assert answer.status_code == 200
        assert requests.post(service.url + path, timeout=60).status_code == 401
        if path.startswith("/page/"):
            assert answer.headers["Cache-Control"] == "no-cache"
            known = {"If-None-Match": answer.headers["ETag"]}
            assert requests.get(service.url + path, headers=known, timeout=60).status_code == 304
