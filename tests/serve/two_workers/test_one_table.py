"""Two API workers on one table: either sees what the other acknowledged, and nothing is lost."""

import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from demo.process import ServiceProcess
from demo.server import PictureServer
from store.schemas import image_id
from tests.running import SCENES
from tests.serve.two_workers.conftest import AUTHORIZED

ANEW = {**AUTHORIZED, "Connection": "close"}
CLIENTS = 12
ROUNDS = 5
KEYS = 6


def ask(service: ServiceProcess, method: str, path: str, body: Any = None) -> Any:
    """On a connection of its own, so that the system picks a worker anew."""
    answer = requests.request(method, f"{service.url}/{path}", json=body, headers=ANEW, timeout=120)
    assert answer.status_code == 200, answer.text
    return answer.json()


def at_once(work: Any, count: int) -> list[Any]:
    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(work, range(count)))


def served(service: ServiceProcess) -> Counter[str]:
    """Requests answered by each API worker, by its number in the log."""
    lines = map(json.loads, service.log.read_text(errors="replace").splitlines())
    answers = (line["process"] for line in lines if line["logger"] == "bentoml.access")
    return Counter(process for process in answers if "ImageSearch" in process)


def test_one_reads_ones_own_writes(watched: ServiceProcess, pictures: PictureServer) -> None:
    """Each client adds, reads, changes, reads, deletes and misses, on ever new connections."""

    def live(client: int) -> None:
        for turn in range(ROUNDS):
            url = f"{pictures.url}{client}.jpg?own={client}-{turn}"
            path = f"images/{image_id(url)}"
            metadata = {"client": client, "turn": turn}
            body = {"url": url, "metadata": metadata}
            assert ask(watched, "POST", "post_image_to_index", body)["created"] is True
            for _ in range(2):
                assert ask(watched, "GET", path)["metadata"] == metadata
            found = ask(watched, "POST", "search_simmilar_images", {"metadata": metadata})
            assert [one["url"] for one in found["results"]] == [url]
            ask(watched, "PATCH", path, {"metadata": {"turn": -1}})
            assert ask(watched, "GET", path)["metadata"] == {"client": client, "turn": -1}
            assert ask(watched, "DELETE", path)["deleted"] == 1
            again = requests.get(f"{watched.url}/{path}", headers=ANEW, timeout=60)
            assert again.status_code == 404

    at_once(live, CLIENTS)
    counts = served(watched)
    assert len(counts) == 2
    assert min(counts.values()) > 0.1 * sum(counts.values())


def test_a_dropped_key_is_gone_everywhere_at_once(
    watched: ServiceProcess, pictures: PictureServer
) -> None:
    """One client adds and drops a key, of another type each time, and asks ever new connections."""
    url = pictures.url + "2.jpg?dropped"
    for turn, value in enumerate([1, "text", True, ["list"]] * 2):
        body = {"url": url, "metadata": {"dropped": value, "turn": turn}}
        own = ask(watched, "POST", "post_image_to_index", body)["id"]
        for _ in range(3):
            found = ask(watched, "POST", "search_simmilar_images", {"metadata": {"dropped": value}})
            assert [one["id"] for one in found["results"]] == [own]
        assert ask(watched, "DELETE", "index/columns/dropped")["count"] == 1
        for _ in range(3):
            assert ask(watched, "GET", f"images/{own}")["metadata"] == {"turn": turn}
            refused = requests.post(
                f"{watched.url}/search_simmilar_images",
                json={"metadata": {"dropped": value}},
                headers=ANEW,
                timeout=60,
            )
            assert refused.json()["code"] == "unknown_key"


def test_concurrent_changes_of_one_image_are_all_kept(
    watched: ServiceProcess, pictures: PictureServer
) -> None:
    """Each client sets a key of its own on the same image, again and again."""
    url = pictures.url + "1.jpg?shared"
    shared = ask(watched, "POST", "post_image_to_index", {"url": url})["id"]

    def change(number: int) -> None:
        key = f"key {number % KEYS}"
        ask(watched, "PATCH", f"images/{shared}", {"metadata": {key: number}})

    at_once(change, KEYS)
    assert ask(watched, "GET", f"images/{shared}")["metadata"] == {
        f"key {n}": n for n in range(KEYS)
    }
    at_once(change, 10 * KEYS)
    metadata = ask(watched, "GET", f"images/{shared}")["metadata"]
    assert {key: value % KEYS for key, value in metadata.items()} == {
        f"key {n}": n for n in range(KEYS)
    }


def test_adding_the_same_urls_makes_each_once(
    watched: ServiceProcess, pictures: PictureServer
) -> None:
    before = ask(watched, "GET", "index")["rows"]

    def add(number: int) -> bool:
        url = f"{pictures.url}{number % SCENES}.jpg?same"
        return bool(ask(watched, "POST", "post_image_to_index", {"url": url})["created"])

    assert sum(at_once(add, 5 * SCENES)) == SCENES
    assert ask(watched, "GET", "index")["rows"] == before + SCENES
    page = ask(watched, "GET", "images?limit=1000")
    ids = [one["id"] for one in page["images"]]
    assert len(ids) == len(set(ids)) == page["total"]


def test_the_same_pixels_get_in_once(watched: ServiceProcess, pictures: PictureServer) -> None:
    """Copies at many urls at once, through both workers, all to be skipped but one."""

    def add(number: int) -> Any:
        url = f"{pictures.url}23.jpg?copy={number}"
        return ask(watched, "POST", "post_image_to_index", {"url": url, "on_duplicate": "skip"})

    ask(watched, "POST", "delete_images", {"ids": [image_id(pictures.url + "23.jpg?same")]})
    answers = at_once(add, 2 * CLIENTS)
    assert sum(one["created"] for one in answers) == 1
    assert len({one["id"] for one in answers}) == 1


def test_both_workers_have_one_metric(watched: ServiceProcess) -> None:
    metrics = requests.get(f"{watched.url}/metrics", headers=AUTHORIZED, timeout=60).text
    rows = re.findall(r"^image_search_index_rows (\S+)$", metrics, re.MULTILINE)
    queued = re.findall(r"^image_search_index_queued (\S+)$", metrics, re.MULTILINE)
    assert (len(rows), len(queued)) == (1, 1)  # one value for both, not one for each process
