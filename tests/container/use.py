"""What a user does with a container, and what becomes of it when it is killed meanwhile."""

import threading
import time
from collections.abc import Iterator

from demo.scenes.scenes import Scene, draw_scene
from demo.scenes.seeds import SHOW_SEEDS
from demo.server import as_jpeg
from image_search import Client, Image, ImageSearchError
from tests.container import service
from tests.container.engine import check, docker, say

_SCENES = 12
_KILL_AFTER = 60


def scenes() -> Iterator[tuple[Scene, bytes]]:
    """Drawn scenes and their files."""
    for seed in SHOW_SEEDS[:_SCENES]:
        scene = draw_scene(seed)
        yield scene, as_jpeg(scene.picture)


def index_search_detect(client: Client) -> int:
    """Add pictures, find them, detect in one; how many there are."""
    files = [data for _, data in scenes()]
    added = [client.add(image=data, metadata={"n": n}) for n, data in enumerate(files)]
    check(len({one.id for one in added}) == _SCENES, f"{_SCENES} pictures added")
    hits = client.search(image=files[3], limit=3)
    check(
        hits[0].id == added[3].id and (hits[0].score or 0) > 0.999, "a picture finds itself first"
    )
    check(client.search("a red circle", limit=3), "a text finds pictures")
    check(client.find(filter={"n": {"$gte": 10}}, total=True).total == 2, "a filter finds two")
    found = client.detect(image=files[0]).detections
    check(found, f"{len(found)} objects detected: {', '.join(one.class_name for one in found)}")
    check(client.annotate(image=files[0])[:3] == b"\xff\xd8\xff", "they are drawn into a JPEG")
    return _SCENES


def killed_under_writes(key: str) -> None:
    """SIGKILL of the first process while four write: nothing that was acknowledged is missing."""
    acknowledged, sent = _written_until_killed(key)
    began = time.monotonic()
    service.wait_ready()
    say(f"  ready again {time.monotonic() - began:.1f} s after the kill")
    with service.client(key) as client:
        there = {image.id for image in _all(client)}
    lost = acknowledged - there
    check(not lost, f"{len(acknowledged)} of {sent} acknowledged before SIGKILL, {len(lost)} lost")
    check(service.restarts() >= 1, "the restart policy started it again")


def _written_until_killed(key: str) -> tuple[set[str], int]:
    acknowledged: set[str] = set()
    enough, over = threading.Event(), threading.Event()
    data, sent = next(scenes())[1], [0] * 4

    def write(writer: int) -> None:
        with service.client(key, attempts=1) as client:
            while not over.is_set():
                id = f"w{writer}-{sent[writer]}"
                sent[writer] += 1
                try:
                    client.add(image=data, id=id)
                except ImageSearchError:
                    over.wait(0.05)
                    continue
                acknowledged.add(id)
                if len(acknowledged) >= _KILL_AFTER:
                    enough.set()

    threads = [threading.Thread(target=write, args=(n,)) for n in range(len(sent))]
    for one in threads:
        one.start()
    enough.wait(300)
    service.kill_process("bentoml serve")
    over.set()
    for one in threads:
        one.join()
    return acknowledged, sum(sent)


def _all(client: Client) -> Iterator[Image]:
    offset = 0
    while page := client.list(limit=1000, offset=offset).images:
        yield from page
        offset += len(page)


def worker_dies() -> None:
    """A dead worker ends the container, which the restart policy starts again."""
    before, began = service.restarts(), time.monotonic()
    service.kill_process("ClipEmbedder")
    while service.restarts() == before and time.monotonic() < began + 120:
        time.sleep(0.1)
    check(service.restarts() > before, f"ended {time.monotonic() - began:.1f} s after a worker did")
    service.wait_ready()


def stopped_and_started(key: str) -> None:
    """`docker stop` and `docker start`: what was there is there."""
    with service.client(key) as client:
        before = client.status().rows
    seconds, status = service.stop()
    check(status == 0, f"`docker stop` took {seconds:.1f} s, exit 0")
    docker("start", service.NAME)
    began = time.monotonic()
    service.wait_ready()
    with service.client(key) as client:
        after = client.status().rows
    check(after == before, f"ready {time.monotonic() - began:.1f} s after, with {after} images")
