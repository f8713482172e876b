"""Pictures that a test adds, changes and deletes, and what the service has of them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page

from demo.scenes.scenes import draw_scene
from demo.server import PictureServer
from demo.show.tour import Api

SEEDS = iter(range(9_500_000, 9_600_000))
Added = Callable[..., list[str]]


@pytest.fixture
def added(api: Api, pictures: PictureServer) -> Iterator[Added]:
    """Adds pictures, which are the newest then; they go with the test."""
    made: list[str] = []

    def add(*metadata: Any) -> list[str]:
        fresh = []
        for each in metadata:
            seed = next(SEEDS)
            url = pictures.add(f"{seed}.jpg", draw_scene(seed).picture)
            request = {"url": url, "metadata": each}
            fresh.append(str(api.post("post_image_to_index", request).json()["id"]))
        made.extend(fresh)
        return fresh[::-1]

    yield add
    api.post("delete_images", {"ids": made})


def stored(api: Api, image_id: str) -> Any:
    """An image's metadata; absent where there is no such image."""
    answer = api.session.get(f"{api.url}/images/{image_id}", timeout=60)
    return answer.json()["metadata"] if answer.ok else "gone"


def tile(page: Page, image_id: str) -> Locator:
    """An image of the grid."""
    return page.locator(f".card[data-id='{image_id}'] .tile")


def toast(page: Page) -> Locator:
    """What was just done."""
    return page.locator("#toast")
