"""The command `redetect`: finds the objects in images that nobody has looked into."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from image_search import ImageSearchError, NotFoundError, RefusedError
from image_search.cli.engine import engine_module
from image_search.cli.progress import FailureFile, WorkBar
from image_search.cli.query.connection import client_of
from image_search.cli.terminal import failures_option, to_service

if TYPE_CHECKING:
    from image_search import Client, Hit, ImageObjects

_UNSEEN = {"$objects": None}
_PAGE = 200


@click.command()
@to_service
@click.option(
    "--in-flight",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Images that are looked into at the same time.",
)
@failures_option("File for the images that failed, as JSON lines.")
@click.option(
    "--begin",
    is_flag=True,
    help="Go over to the detector of the settings (IMAGE_SEARCH_YOLO_WEIGHTS), before a service is"
    " started with it. Works on the folder IMAGE_SEARCH_STORE_URI, and asks no service.",
)
def redetect(
    server: str, api_key: str | None, in_flight: int, failures: Path | None, begin: bool
) -> None:
    """Find the objects in the images that nobody has looked into, while the service goes on.

    Images that were added without objects, came from an export without them, or were looked into
    with another detector than the service's. Called again, it goes on with those that are left.
    """
    if begin:
        engine_module("cli.offline.redetect", "image-search redetect --begin").begin_redetection()
        return
    counts: Counter[str] = Counter()
    console = Console(stderr=True)
    with (
        client_of(server, api_key) as client,
        FailureFile(failures) as failed,
        WorkBar(console, "Looking into images") as bar,
        ThreadPoolExecutor(in_flight) as threads,
    ):
        bar.begin(client.find(filter=_UNSEEN, limit=1, total=True).total, 0)
        for hit, found in _looked_into(client, threads, in_flight):
            match found.exception():
                case None:
                    counts["images"] += 1
                    counts["objects"] += len(found.result().objects)
                    bar.advance(1)
                case NotFoundError(code="not_found"):  # deleted meanwhile
                    bar.advance(1)
                case RefusedError() as error:
                    counts["failed"] += 1
                    told = {"id": hit.id, "url": hit.url, "code": error.code}
                    failed.add({**told, "reason": str(error)})
                    bar.failed()
                case ImageSearchError() as error:
                    raise error
    click.echo(
        f"{counts['images']:,} images looked into, {counts['objects']:,} objects found,"
        f" {counts['failed']:,} failed."
    )
    if counts["failed"]:
        raise SystemExit(1)


def _looked_into(
    client: "Client", threads: ThreadPoolExecutor, in_flight: int
) -> "Iterator[tuple[Hit, Future[ImageObjects]]]":
    """Each image and what became of it, so many at the same time."""
    hits = _unseen(client)
    running: dict[Future[ImageObjects], Hit] = {}
    while True:
        for hit in islice(hits, in_flight - len(running)):
            running[threads.submit(client.find_objects, hit.id)] = hit
        if not running:
            return
        for done in wait(running, return_when=FIRST_COMPLETED).done:
            yield running.pop(done), done


def _unseen(client: "Client") -> "Iterator[Hit]":
    """The images that nobody has looked into, newest first: each once, whatever comes of it."""
    cursor = None
    while True:
        page = client.find(filter=_UNSEEN, limit=_PAGE, cursor=cursor)
        yield from page.results
        cursor = page.next
        if cursor is None:
            return
