"""What the demo asks the service, through its public routes, and what comes back."""

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import requests

from demo.scenes.scenes import Scene, draw_scene
from demo.scenes.seeds import SHOW_SEEDS
from demo.server import PictureServer

IN_FLIGHT = 16


@dataclass(frozen=True)
class Shown:
    """A scene and the URL that it is served at."""

    url: str
    scene: Scene


@dataclass(frozen=True)
class Found:
    """A search: what was asked, in words and as JSON, and the results as the service sent them."""

    title: str
    request: dict[str, Any]
    results: list[dict[str, Any]]


class Api:
    """The service's routes, as a client calls them.

    Args:
        url: of the service.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=IN_FLIGHT))
        self.session.trust_env = False  # a proxy of the environment is not meant for loopback

    def post(self, route: str, request: dict[str, Any]) -> requests.Response:
        """Post JSON.

        Raises:
            requests.HTTPError: with the service's message where it answers an error.
        """
        response = self.session.post(f"{self.url}/{route}", json=request, timeout=120)
        if not response.ok:
            raise requests.HTTPError(f"{route}: {response.text}", response=response)
        return response


def put_up(server: PictureServer, count: int) -> list[Shown]:
    """Draw scenes and serve them."""
    scenes = {seed: draw_scene(seed) for seed in SHOW_SEEDS[:count]}
    return [
        Shown(server.add(f"{seed}.jpg", scene.picture), scene) for seed, scene in scenes.items()
    ]


def index(api: Api, shown: list[Shown]) -> Iterator[str]:
    """Add every scene to the index, several at a time; gives each id as it is acknowledged."""

    def add(one: Shown) -> str:
        request = {"url": one.url, "metadata": one.scene.metadata}
        return str(api.post("post_image_to_index", request).json()["id"])

    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        yield from pool.map(add, shown)


def searches(api: Api, picture_url: str, known: Collection[str], limit: int = 6) -> list[Found]:
    """The searches of the demo: by a picture, by a text, by a filter, and by two of them.

    Args:
        api: of the service.
        picture_url: of the picture that is searched with.
        known: URLs of the demo's own pictures; others may add more meanwhile, which are left out.
        limit: of the results of each search.
    """
    cheap = {"shop": "harbour market", "price": {"$lt": 30}}
    asked: list[tuple[str, dict[str, Any]]] = [
        ("Like this picture", {"url": picture_url}),
        ("By text: a blue circle", {"metadata": "a blue circle"}),
        ("By filter: harbour market, under 30", {"metadata": cheap}),
        (
            "Like this picture, in the old mill",
            {"url": picture_url, "metadata": {"shop": "old mill"}},
        ),
    ]
    found = []
    for title, question in asked:
        request = {**question, "limit": limit}
        answer = api.post("search_simmilar_images", request).json()
        own = [hit for hit in answer["results"] if hit["url"] in known]
        found.append(Found(title, request, own))
    return found


def detect(api: Api, url: str) -> tuple[bytes, list[dict[str, Any]]]:
    """The annotated picture (JPEG) and the detections as the service sent them."""
    picture = api.post("run_object_detection", {"url": url}).content
    answer = api.post("run_object_detection", {"url": url, "format": "json"}).json()
    return picture, answer["detections"]
