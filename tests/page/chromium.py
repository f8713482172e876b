"""A real headless Chromium, and what it says while it shows the page."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

NEEDED = "TESTS_NEED_CHROMIUM"
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)
# The browser has errands of its own all the same: no name but loopback leads anywhere.
NO_NAMES = "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
_STATUS = re.compile(r"the server responded with a status of (\d+)")


def executable() -> str:
    """Where Chromium is; skips the test where there is none, unless that must not be."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found:
        return found
    reason = "no Chromium here: CONTRIBUTING.md says how to install it"
    if os.environ.get(NEEDED):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def launched(*more: str, names: str = NO_NAMES) -> Iterator[Browser]:
    """A browser with a fresh profile.

    Args:
        more: arguments of Chromium's.
        names: what they lead to, as rules of Chromium's.
    """
    rules = f"--host-resolver-rules={names}"
    arguments = [*ARGUMENTS, rules, *more, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=arguments)
        yield browser
        browser.close()


def context(browser: Browser, size: str, *, dark: bool = False, key: str = "") -> BrowserContext:
    """A window of a size. With a key every request has it, as behind a proxy that adds it."""
    width, height = SIZES[size]
    made = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        has_touch=size == "phone",
        is_mobile=size == "phone",
        reduced_motion="reduce",
        extra_http_headers={"Authorization": f"Bearer {key}"} if key else {},
    )
    made.set_default_timeout(30_000)
    return made


class Watched:
    """A page whose every word is heard.

    Args:
        page: the page.
        url: of the service; nothing else may be asked.
        others: whom else it may ask.
    """

    def __init__(self, page: Page, url: str, *others: str) -> None:
        self.page = page
        self.url = url
        self.others = others
        self.expected: set[int] = set()
        """Statuses of refused requests that the test is about: Chromium tells of each."""
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self._hear(message.text))
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        page.on("dialog", lambda dialog: self.said.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: self.asked.append(request.url))

    def open(self, address: str = "") -> Page:
        """Go to an address of the page, such as `?view=add`."""
        self.page.goto(f"{self.url}/{address}")
        return self.page

    def check(self) -> None:
        """Nothing was said, and nobody else was asked."""
        assert self.said == [], self.said
        own = (f"{self.url}/", f"blob:{self.url}/", "data:", *(f"{one}/" for one in self.others))
        others = [one for one in self.asked if not one.startswith(own)]
        assert others == [], others

    def _hear(self, text: str) -> None:
        refused = _STATUS.search(text)
        if not (refused and int(refused.group(1)) in self.expected):
            self.said.append(text)


def save(page: Page, folder: Path, name: str) -> None:
    """Keep a screenshot, for a person to look at."""
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png")
