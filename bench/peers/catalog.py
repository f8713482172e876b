"""The services that are compared, and what each is asked.

A peer is set beside that task of ours which is nearest to what it can do. Where ours does more,
`does` says so; the ratio is then what a user gets for it, not a like for like.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from bench.load.http import post
from bench.load.traffic import photo_url
from bench.peers.checkpoint import FOLDER, TORCH, for_peers
from bench.peers.environments import environment, same_as_ours
from bench.peers.process import PeerProcess
from bench.report import cores
from bench.service.models import model_environment
from bench.service.running import started

Task = Literal["index", "search by picture", "search by text", "detect"]
TASKS: tuple[Task, ...] = ("index", "search by picture", "search by text", "detect")
PICTURES = 64
"""So many URLs are added, again and again; every index has as many rows."""
OURS = "this service"
_HERE = Path(__file__).parent
_WORDS = ("red bus", "two people", "street in the morning", "man with a tie", "blue")


class Running(Protocol):
    """A server that listens on `port` of loopback."""

    port: int
    process: Any


@dataclass(frozen=True)
class Peer:
    """A service to be measured.

    Attributes:
        name: in tables and on the command line.
        version: what runs.
        does: what it does for a request, by the task of ours that it is set beside.
        request: the bytes of a request, by task, the file server's URL and a number.
        start: runs it until the block ends; raises PeerError.
        is_plain: a variant of the plain service; only the fastest of them counts.
    """

    name: str
    version: str
    does: Mapping[Task, str]
    request: Callable[[Task, str, int], bytes]
    start: Callable[[], AbstractContextManager[Running]]
    is_plain: bool = False


def text(number: int) -> str:
    """A query in words, never the same twice."""
    return f"a photograph of a {_WORDS[number % len(_WORDS)]}, number {number}"


def _contract(task: Task, files: str, number: int) -> bytes:
    url = photo_url(files, number % PICTURES)
    if task == "index":
        return post("post_image_to_index", {"url": url, "metadata": {"number": number % PICTURES}})
    if task == "detect":
        return post("run_object_detection", {"url": url})
    wanted = {"metadata": text(number)} if task == "search by text" else {"url": url}
    return post("search_simmilar_images", wanted)


@contextmanager
def _ours() -> Iterator[Running]:
    with (
        tempfile.TemporaryDirectory() as folder,
        started(model_environment("full"), Path(folder)) as service,
    ):
        yield service


ours = Peer(
    OURS,
    "as it is here",
    {
        "index": "guarded fetch, embed, durable upsert",
        "search by picture": "guarded fetch, embed, search",
        "search by text": "embed, vector and full-text search, fused",
        "detect": "guarded fetch, detect, draw, JPEG",
    },
    _contract,
    _ours,
)


@contextmanager
def _peer(
    name: str, packages: tuple[str, ...], command: list[str], added: dict[str, str]
) -> Iterator[Running]:
    """A peer of an environment of its own, in a folder of its own; programs stand in that one."""
    programs = environment(name, packages)
    with tempfile.TemporaryDirectory() as folder:
        added = {"HOME": folder, **added}  # nothing of a peer is to lie about in the user's
        with PeerProcess(
            [str(programs / command[0]), *command[1:]], added, Path(folder) / "log"
        ) as process:
            yield process


def _plain(at_once: int, threads: int) -> Callable[[], AbstractContextManager[Running]]:
    def start() -> AbstractContextManager[Running]:
        models = model_environment("full")
        alike = ("open-clip-torch", "lancedb", "ultralytics", "requests", "pillow")
        packages = ("fastapi==0.163.2", "uvicorn[standard]==0.54.0", *same_as_ours(*alike))
        return _peer(
            "plain",
            packages,
            ["python", str(_HERE / "plain.py"), "{port}"],
            {
                "PLAIN_AT_ONCE": str(at_once),
                "PLAIN_THREADS": str(threads),
                "PLAIN_CLIP": models["IMAGE_SEARCH_CLIP_PRETRAINED"],
                "PLAIN_YOLO": models["IMAGE_SEARCH_YOLO_WEIGHTS"],
                "PLAIN_TABLE": "table",
            },
        )

    return start


def _plain_peer(name: str, at_once: int, threads: int) -> Peer:
    return Peer(
        name,
        "fastapi 0.163.2, uvicorn 0.54.0",
        {
            "index": "fetch, embed, LanceDB merge_insert",
            "search by picture": "fetch, embed, LanceDB search",
            "search by text": "embed, LanceDB search",
            "detect": "fetch, predict, plot, JPEG",
        },
        _contract,
        _plain(at_once, threads),
        is_plain=True,
    )


def _infinity_request(task: Task, files: str, number: int) -> bytes:
    if task == "search by text":
        return post("embeddings", {"model": "clip", "input": [text(number)]})
    urls = [photo_url(files, number % PICTURES)]
    return post("embeddings", {"model": "clip", "input": urls, "modality": "image"})


def _start_infinity() -> AbstractContextManager[Running]:
    options = {
        "model-id": str(for_peers(FOLDER)),
        "served-model-name": "clip",
        "engine": "torch",
        "device": "cpu",
        "dtype": "float32",
        "host": "127.0.0.1",
        "port": "{port}",
    }
    return _peer(
        "infinity",
        ("infinity-emb[torch,server,vision]==0.0.78", "aiohttp>=3.11"),
        ["infinity_emb", "v2", *(f"--{name}={value}" for name, value in options.items())],
        # It refuses loopback otherwise. (No entry at all would bring its own list back.)
        {"INFINITY_MEDIA_URL_BLACKLIST": "10.0.0.0/8"},
    )


def _clip_server_request(task: Task, files: str, number: int) -> bytes:
    wanted = {"uri": photo_url(files, number % PICTURES)}
    if task == "search by text":
        wanted = {"text": text(number)}
    return post("post", {"data": [wanted], "execEndpoint": "/"})


def _start_clip_server() -> AbstractContextManager[Running]:
    return _peer(
        "clip-as-service",
        ("clip-server==0.8.3", "pydantic<2", "setuptools<81"),  # of its time
        ["python", str(_HERE / "launchers/clip_server_flow.py"), str(for_peers(TORCH)), "{port}"],
        {"NO_VERSION_CHECK": "1", "JINA_OPTOUT_TELEMETRY": "1"},
    )


def _clip_retrieval_request(task: Task, files: str, number: int) -> bytes:
    wanted = {"image_url": photo_url(files, number % PICTURES)}
    if task == "search by text":
        wanted = {"text": text(number)}
    rest = {"modality": "image", "num_images": 10, "indice_name": "bench"}
    return post("knn-service", {**wanted, **rest})


def _start_clip_retrieval() -> AbstractContextManager[Running]:
    launcher = str(_HERE / "launchers/clip_retrieval_back.py")
    weights = model_environment("full")["IMAGE_SEARCH_CLIP_PRETRAINED"]
    return _peer(
        "clip-retrieval",
        ("clip-retrieval==2.45.0", "setuptools<81"),
        ["python", launcher, weights, str(PICTURES), "{port}"],
        {},
    )


_EMBEDS: Mapping[Task, str] = {
    "index": "fetch, embed; stores nothing",
    "search by text": "embed; searches nothing",
}
PEERS = (
    _plain_peer("plain", 0, 0),
    _plain_peer("plain-locked", 1, cores()),
    _plain_peer("plain-apart", cores(), 1),
    Peer("infinity", "infinity-emb 0.0.78", _EMBEDS, _infinity_request, _start_infinity),
    Peer("clip-as-service", "clip-server 0.8.3", _EMBEDS, _clip_server_request, _start_clip_server),
    Peer(
        "clip-retrieval",
        "clip-retrieval 2.45.0",
        {
            "search by picture": "fetch, embed, faiss in memory; takes no adds",
            "search by text": "embed, faiss in memory; takes no adds",
        },
        _clip_retrieval_request,
        _start_clip_retrieval,
    ),
)
