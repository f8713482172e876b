"""One service with a key, one browser, one file server, for all tests of the page.

They last for this folder's tests only: Playwright keeps an event loop running, in which no other
test could run one of its own.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from demo.process import ServiceProcess
from demo.server import PictureServer
from demo.show.tour import Api, Shown, index, put_up
from tests.page.chromium import SIZES, Watched, context, executable, launched, save
from tests.running import environment

# The page waits for a service that may share its cores with other work.
expect.set_options(timeout=30_000)

KEY = "a-key-that-is-long-enough"
READ_KEY = "a-key-to-look-around-with"
WRITE_KEY = "a-key-to-add-and-delete-with"
SCENES = 60
Open = Callable[..., Watched]


@pytest.fixture(scope="package")
def pictures() -> Iterator[PictureServer]:
    """A file server for what the service is to fetch."""
    with PictureServer() as server:
        yield server


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The service, locked: tests without a key see what a stranger does."""
    executable()
    folder = tmp_path_factory.mktemp("page")
    keys = folder / "keys"
    keys.touch(0o600)
    keys.write_text(f"guest read {READ_KEY}\nloader write {WRITE_KEY}\n")
    settings = environment(folder, IMAGE_SEARCH_API_KEYS=KEY, IMAGE_SEARCH_API_KEYS_FILE=str(keys))
    with ServiceProcess(settings, folder / "log") as running:
        yield running


@pytest.fixture(scope="package")
def api(service: ServiceProcess) -> Api:
    """The service's routes, to compare the page with."""
    made = Api(service.url)
    made.session.headers["Authorization"] = f"Bearer {KEY}"
    return made


@pytest.fixture(scope="package")
def scenes(api: Api, pictures: PictureServer) -> list[Shown]:
    """Scenes in the index."""
    shown = put_up(pictures, SCENES)
    assert len(list(index(api, shown))) == SCENES
    return shown


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium."""
    with launched() as running:
        yield running


@pytest.fixture
def watch(browser: Browser, service: ServiceProcess) -> Iterator[Open]:
    """Opens windows, each silent and alone with the service until the test ends."""
    opened: list[Watched] = []

    def window(size: str = "desktop", *, dark: bool = False, key: str = KEY) -> Watched:
        page = context(browser, size, dark=dark, key=key).new_page()
        opened.append(Watched(page, service.url))
        return opened[-1]

    yield window
    for one in opened:
        one.page.context.close()
    for one in opened:
        one.check()


@pytest.fixture(params=sorted(SIZES))
def window(watch: Open, scenes: list[Shown], request: pytest.FixtureRequest) -> Watched:
    """A window of each size, over the filled index."""
    return watch(request.param)


@pytest.fixture
def keep(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[Page, str], None]:
    """Keeps a screenshot, in the folder that TESTS_SCREENSHOTS names if it is set."""
    folder = Path(os.environ.get("TESTS_SCREENSHOTS") or tmp_path)
    return lambda page, name: save(page, folder, name)


@pytest.fixture
def found(api: Api) -> Callable[[dict[str, Any]], list[dict[str, Any]]]:
    """What the service itself answers to a search."""
    return lambda asked: api.post("search_similar_images", asked).json()["results"]


def picture_file(shown: Shown, folder: Path) -> Path:
    """A scene's own file."""
    path = folder / "scene.jpg"
    path.write_bytes(requests.get(shown.url, timeout=60).content)
    return path
