"""How does this service compare with the same models behind FastAPI, written in an evening?

The plain service (`plain_service.py`: FastAPI, requests, open_clip, LanceDB, ultralytics) runs in
an environment of its own, made by uv on first use: by torch in three variants of how its models
share the cores, and with exported models (CLIP by ONNX Runtime, YOLO by ultralytics' OpenVINO).
Infinity only embeds, and does so in place of adds and searches. Architectures, photographs and
requests in flight are the same. All services run, and are asked one after the other, in rounds. The
others keep fewer promises: no guard of what is fetched, no bound on sizes, no full text::

    uv run python -m bench services --precision fp32     # about fifteen minutes

OpenVINO computes in bf16 where the machine has it, as ultralytics asks for nothing else: its
detections are to be compared with `--precision bf16`.

At 32 in flight adds and detections must be twice as many per second as those of the fastest variant
with torch, and no kind of request fewer, or with a higher p99, than those of the best of all.
"""

import tempfile
from argparse import ArgumentParser, Namespace
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from bench.compare import infinity
from bench.compare.environments import environment, running
from bench.load.fileserver import FileServer
from bench.load.generator import Load, Sent, send
from bench.load.photos import photographs, sides_of
from bench.load.traffic import Fresh
from bench.report import Cell, Limit, Report, cores, median, ratio
from bench.service.models import PREFIX, model_environment, service_settings
from bench.service.processes import cpu_seconds
from bench.service.running import started
from demo.process import free_port

TO_TORCH = 2.0
JUDGED = ("add", "detect")
ROUTES = ("add", "search", "text", "detect")
OURS = "this service"
VARIANTS = {
    "torch": ("torch", 0, 0),
    "torch, locked": ("torch", 1, cores()),
    "torch, apart": ("torch", cores(), 1),
    "exported": ("exported", 1, cores()),
}
"""What runs the models, threads in one at once (0 for as many as ask), and of torch (0 for its
default)."""
_PACKAGES = ["fastapi==0.163.2", "uvicorn[standard]==0.54.0", "onnx>=1.20", "onnxruntime>=1.24"]
_ALIKE = ("lancedb", "open-clip-torch", "openvino", "pillow", "requests", "torch", "ultralytics")
_FIRST_ADDS = 64


class Turn(NamedTuple):
    """Answers of one load, and CPU milliseconds of each."""

    sent: Sent
    cpu_ms: float


def plain(runtime: str, at_once: int, threads: int) -> AbstractContextManager[tuple[int, int]]:
    """Port and pid of the plain service, from when it answers until the block ends."""
    port, models = free_port(), model_environment("full")
    programs = environment("plain", [*_PACKAGES, *(f"{name}=={version(name)}" for name in _ALIKE)])
    added = {
        "PLAIN_RUNTIME": runtime,
        "PLAIN_AT_ONCE": str(at_once),
        "PLAIN_THREADS": str(threads),
        "PLAIN_CLIP": models[f"{PREFIX}CLIP_PRETRAINED"],
        "PLAIN_YOLO": models[f"{PREFIX}YOLO_WEIGHTS"],
    }
    script = Path(__file__).with_name("plain_service.py")
    return running([str(programs / "python"), str(script), str(port)], port, "heartbeat", added)


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--clients", type=int, default=32, help="in flight, besides a lone one")
    parser.add_argument("--seconds", type=float, default=6, help="of each turn")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--routes", nargs="+", choices=ROUTES, default=ROUTES)
    parser.add_argument("--precision", default="fp32", help="of both models of this service")
    parser.add_argument("--sides", type=sides_of, default=sides_of("480,640,1280"))


def measure(given: Namespace) -> dict[tuple[str, int, str], list[Turn]]:
    """Turns by route, requests in flight and service."""
    found: dict[tuple[str, int, str], list[Turn]] = defaultdict(list)
    with ExitStack() as stack:
        photos = stack.enter_context(photographs(given.sides))
        files = stack.enter_context(FileServer(photos))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = service_settings("full", given.precision)
        own = stack.enter_context(started(settings, folder))
        servers = {OURS: (own.port, own.process.pid if own.process else 0)}
        for name, variant in VARIANTS.items():
            servers[name] = stack.enter_context(plain(*variant))
        if set(given.routes) & set(infinity.ROUTES):
            servers[infinity.NAME] = stack.enter_context(infinity.infinity())
        first = 0

        def ask(name: str, route: str, clients: int, seconds: float = 0, least: int = 0) -> Turn:
            nonlocal first
            first += 1 << 16
            (port, root), fresh = servers[name], Fresh(route, files.url, tuple(photos), first)
            source = infinity.Embeddings(fresh) if name == infinity.NAME else fresh
            before = cpu_seconds(root)
            sent = send(Load(port, source, seconds, clients, least))
            return Turn(sent, (cpu_seconds(root) - before) / len(sent.answers) * 1e3)

        for name in servers:
            for route in given.routes:
                ask(name, route, 8, least=_FIRST_ADDS)
        for route, clients in [
            (r, n) for r in given.routes for n in (1, given.clients)
        ] * given.rounds:
            for name in servers:
                found[route, clients, name].append(ask(name, route, clients, given.seconds))
    return found


def answered_by(services: Iterable[str], routes: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Services and routes, each of these asked of all services before the next one."""
    for route in routes:
        for name in services:
            if name != infinity.NAME or route in infinity.ROUTES:
                yield name, route


def run(given: Namespace, report: Report) -> list[Limit]:
    found, limits = measure(given), []
    rates = {key: median([turn.sent.rate for turn in turns]) for key, turns in found.items()}
    p99 = {key: median([turn.sent.ms(99) for turn in turns]) for key, turns in found.items()}
    rows: list[tuple[Cell, ...]] = []
    for key, turns in found.items():
        p50, failed = median([t.sent.ms(50) for t in turns]), sum(t.sent.failed for t in turns)
        ours = ratio(rates[(*key[:2], OURS)], rates[key])
        cpu_ms = median([turn.cpu_ms for turn in turns])
        rows.append((*key, rates[key], p50, p99[key], cpu_ms, failed, ours))
    columns = ["route", "in flight", "service", "per s", "p50 ms", "p99 ms", "CPU ms each"]
    report.table([*columns, "failed", "ours to it"], rows, f"medians of {given.rounds} rounds")
    for route in given.routes:
        us = (route, given.clients, OURS)
        others = [key for key in found if key[:2] == us[:2] and key[2] != OURS]
        if route in JUDGED:
            torch = max(rates[key] for key in others if key[2].startswith("torch"))
            limits.append(Limit(f"{route}: per s to torch's best", rates[us] / torch, TO_TORCH))
        best, least = max(rates[key] for key in others), min(p99[key] for key in others)
        limits.append(Limit(f"{route}: per s to the best of all", ratio(rates[us], best), 1.0))
        limits.append(Limit(f"{route}: p99 to the best of all", ratio(p99[us], least), most=1.0))
    failed = sum(
        turn.sent.failed for key, turns in found.items() if key[2] == OURS for turn in turns
    )
    return [*limits, Limit("requests of ours that failed", failed, most=0)]
