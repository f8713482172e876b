"""`image-search demo`: the whole service, on pictures that it draws, offline."""

import errno
import json
import os
import socket
import tempfile
import time
import webbrowser
from pathlib import Path
from typing import Any

from PIL.Image import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from demo.process import ServiceProcess
from demo.scenes.scenes import draw_scene
from demo.scenes.seeds import SHOW_SEEDS
from demo.server import PictureServer
from demo.show.sheet import contact_sheet
from demo.show.tour import Api, Found, Shown, detect, index, put_up, searches

SERVICE_PORT = 3000
PICTURES_PORT = 3080
_QUERY_SEED = SHOW_SEEDS[-1]
_MOST_OBJECTS = 4


def run_demo(console: Console, output: Path, *, scenes: int, leave: bool, browse: bool) -> None:
    """Run the demo; returns at its end, or on Ctrl+C where it leaves the service running.

    Args:
        console: where it tells what it does.
        output: folder for the annotated picture, the contact sheet and the service's log.
        scenes: how many pictures to index.
        leave: end at once, instead of leaving the service running.
        browse: open the page in the person's browser, where the service is left running.

    Raises:
        ServiceError: the service did not start.
        OSError: the folder cannot be used.
        requests.RequestException: a request failed.
    """
    output.mkdir(parents=True, exist_ok=True)
    if output.stat().st_uid != os.geteuid():  # who could have put links there
        raise PermissionError(errno.EPERM, "the folder belongs to another user", str(output))
    pictures_port, port = _usual_or_free(PICTURES_PORT), _usual_or_free(SERVICE_PORT)
    with (
        PictureServer(pictures_port) as server,
        tempfile.TemporaryDirectory(prefix="image-search-") as folder,
    ):
        service = ServiceProcess(_environment(folder), output / "service.log", port=port)
        console.print("Starting the service with the demo models ...")
        with service:
            _show(console, Api(service.url), server, output, scenes)
            if not leave:
                _wait(console, service.url, server.url, browse=browse)
    console.print("The service has ended.")


def _environment(folder: str) -> dict[str, str]:
    """The demo's own models and table; and leave to fetch from this very machine."""
    return {
        "IMAGE_SEARCH_MODELS": "demo",
        "IMAGE_SEARCH_STORE_URI": str(Path(folder) / "index"),
        "IMAGE_SEARCH_ALLOW_NETWORKS": "127.0.0.1/32",
        "IMAGE_SEARCH_API_KEYS": "",
        "IMAGE_SEARCH_API_KEYS_FILE": "",
        "IMAGE_SEARCH_DEVICE": "cpu",
        "BENTOML_HOME": str(Path(folder) / "bentoml"),
    }


def _usual_or_free(port: int) -> int:
    """The usual port, or 0 (any free one) where something listens there already."""
    with socket.socket() as probe:
        return 0 if probe.connect_ex(("127.0.0.1", port)) == 0 else port


def _show(console: Console, api: Api, server: PictureServer, output: Path, scenes: int) -> None:
    shown = put_up(server, scenes)
    query = server.add("query.jpg", draw_scene(_QUERY_SEED).picture)
    _index(console, api, shown)
    captions = {one.url: one.scene.caption for one in shown}
    found = searches(api, query, captions.keys())
    for one in found:
        _print_search(console, one, captions)
    pictures = {one.url: one.scene.picture for one in shown}
    pictures[query] = draw_scene(_QUERY_SEED).picture
    _save(console, "The search results", contact_sheet(found, pictures), output / "searches.png")
    _detect(console, api, shown, output)


def _index(console: Console, api: Api, shown: list[Shown]) -> None:
    columns = (TextColumn("Indexing pictures"), BarColumn(), MofNCompleteColumn())
    started = time.monotonic()
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task("", total=len(shown))
        for _ in index(api, shown):
            progress.advance(task)
    seconds = time.monotonic() - started
    console.print(f"{len(shown)} pictures fetched, embedded and stored in {seconds:.1f} s.\n")


def _print_search(console: Console, found: Found, captions: dict[str, str]) -> None:
    _print_request(console, found.title, "search_simmilar_images", found.request)
    table = Table()
    for name in ("score", "what the picture shows", "shop", "price", "url"):
        table.add_column(name, justify="right" if name in {"score", "price"} else "left")
    for hit in found.results:
        score = "-" if hit["score"] is None else f"{hit['score']:.3f}"
        metadata: dict[str, Any] = hit["metadata"]
        price = f"{metadata['price']:.2f}"
        table.add_row(score, captions[hit["url"]], metadata["shop"], price, hit["url"])
    console.print(table, "\n")


def _detect(console: Console, api: Api, shown: list[Shown], output: Path) -> None:
    subject = next(one for one in shown if len(one.scene.objects) == _MOST_OBJECTS)
    picture, detections = detect(api, subject.url)
    title = f"Detection in a picture of {subject.scene.caption}"
    _print_request(console, title, "run_object_detection", {"url": subject.url})
    table = Table()
    for name in ("class", "confidence", "left, top, right, bottom (pixels)"):
        table.add_column(name)
    for found in detections:
        box = ", ".join(f"{side:.0f}" for side in found["xyxy"])
        table.add_row(found["class_name"], f"{found['confidence']:.2f}", box)
    console.print(table)
    path = output / "detection.jpg"
    path.write_bytes(picture)
    console.print(f"The annotated picture: {path}\n")


def _print_request(console: Console, title: str, route: str, request: dict[str, Any]) -> None:
    console.print(f"[bold]{title}[/]")
    line = f"POST /{route} {json.dumps(request)}"
    console.print(line, soft_wrap=True, markup=False, highlight=False, style="dim")


def _save(console: Console, what: str, picture: Image, path: Path) -> None:
    picture.save(path)
    console.print(f"{what}: {path}\n")


def _wait(console: Console, url: str, pictures: str, *, browse: bool) -> None:
    header = "-H 'Content-Type: application/json'"
    text = f"""\
Open {url}/ in your browser: search these pictures, add your own, detect objects.

Or try the API ({url}/docs) in another terminal:

curl -s {url}/search_simmilar_images {header} -d '{{"metadata": "a blue star", "limit": 3}}'
curl -s {url}/search_simmilar_images {header} -d '{{"url": "{pictures}query.jpg"}}'
curl -s {url}/run_object_detection {header} -d '{{"url": "{pictures}query.jpg"}}' -o found.jpg

Ctrl+C ends it."""
    console.print(text, soft_wrap=True, markup=False, highlight=False)
    if browse:
        webbrowser.open(f"{url}/")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.print()
