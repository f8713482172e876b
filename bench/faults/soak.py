"""Is anything lost in mixed traffic for a long time, while processes die and the disk fills?

The real service, on a small disk of its own, asked by clients that know what the table must have.
Model workers, decoders and the API worker are killed, the file server stops, the disk (a small
tmpfs, which needs root) fills up, in turn; after each fault it is measured how long it takes until
all is well again. At the end every image is looked up::

    uv run python -m bench soak --minutes 20

Nothing acknowledged may be lost or doubled, every answer must be right and of a documented status,
no request may hang, the service must be well again within two minutes, and must not grow.
"""

import asyncio
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from itertools import cycle
from pathlib import Path
from typing import Any

import psutil

from bench.faults.soak_clients import CALM, Ledger, SoakClient, failure_of
from bench.faults.soak_faults import API_KILLED, Fault, disk_full, kills, server_stops, small_disk
from bench.load.fileserver import FileServer
from bench.load.generator import OK
from bench.load.http import Client, post, request_bytes
from bench.load.traffic import photo_url
from bench.report import Limit, Report, median, ratio
from bench.service.models import SIZES, model_environment
from bench.service.processes import (
    API_WORKER,
    DECODER,
    DETECTOR,
    EMBEDDER,
    processes_of,
    resident_mib,
)
from bench.service.running import started
from demo.process import ServiceProcess

CLIENTS = 32
TIMEOUT_S, LONGEST_RECOVERY_S = 65.0, 120.0
BETWEEN_FAULTS_S, LASTS_S, SETTLE_S = 30.0, 15.0, 8.0
MOST_GROWTH, MOST_MORE_DESCRIPTORS = 1.25, 64
_DISK_MIB = 1024
_ROUTES = ("post_image_to_index", "search_simmilar_images", "run_object_detection")


Taken = dict[str, tuple[float, int]]
"""MiB and descriptors of each process."""


class Soak:
    """A running service's clients, and how long it took to be well after each fault."""

    def __init__(self, http: Client, files: str) -> None:
        self._http, self._files = http, files
        self.ledger = Ledger()
        self.recoveries: list[tuple[str, float]] = []
        self._clients = [SoakClient(http, files, n, self.ledger) for n in range(CLIENTS)]

    async def traffic(self, seconds: float, rate: float, faults: Sequence[Fault]) -> None:
        """Clients and faults for so long."""
        ended = asyncio.Event()
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as tasks:
            for client in self._clients:
                tasks.create_task(client.run(CLIENTS / rate, ended))
            for fault in cycle(faults):
                await asyncio.sleep(min(BETWEEN_FAULTS_S, max(0.0, until - time.monotonic())))
                if time.monotonic() + LASTS_S > until:
                    break
                await self._suffer(fault)
            await asyncio.sleep(max(0.0, until - time.monotonic()))
            ended.set()

    async def stored(self) -> dict[str, list[dict[str, Any]]]:
        """Every image of the table, by url."""
        found: dict[str, list[dict[str, Any]]] = {}
        offset, total = 0, 1
        while offset < total:
            path = f"images?limit=500&offset={offset}"
            page = (await self._http.ask(request_bytes("GET", path))).json()
            for image in page["images"]:
                found.setdefault(image["url"], []).append(image)
            offset, total = offset + 500, page["total"]
        return found

    async def _suffer(self, fault: Fault) -> None:
        """Let a fault happen, and wait until all is well again."""
        self.ledger.begin(fault.phase)
        if await asyncio.to_thread(fault.begin):
            await asyncio.sleep(fault.lasts_s)
            await asyncio.to_thread(fault.end)
            began, well = time.monotonic(), 0
            while well < 2 and time.monotonic() < began + LONGEST_RECOVERY_S:
                await asyncio.sleep(0.25)
                well = well + 1 if await self._well() else 0
            took = time.monotonic() - began if well == 2 else float("inf")
            self.recoveries.append((fault.phase, took))
        self.ledger.phase = CALM

    async def _well(self) -> bool:
        photo = {"url": photo_url(self._files, 0)}
        replies = [await self._http.ask(post(route, photo)) for route in _ROUTES]
        return all(reply.status == OK for reply in replies)


def compare(ledger: Ledger, stored: dict[str, list[dict[str, Any]]]) -> Counter[str]:
    """What of the table contradicts what was acknowledged."""
    found: Counter[str] = Counter(lost=0, doubled=0, **{"came back": 0, "another state": 0})
    for url, states in ledger.possible.items():
        images = stored.get(url, [])
        found["doubled"] += len(images) > 1
        state = images[0]["metadata"] if images else None
        if state in states:
            continue
        if state is None:
            found["lost"] += 1
        else:
            found["came back" if states == [None] else "another state"] += 1
    return found


def tell(report: Report, soak: Soak) -> None:
    ledger = soak.ledger
    answers: dict[tuple[str, str, str, str], list[float]] = {}
    for each in ledger.heard:
        key = (each.phase, each.route, str(each.status or "none"), each.code)
        answers.setdefault(key, []).append(each.seconds * 1e3)
    report.table(
        ["phase", "request", "status", "code", "answers", "p50 ms", "most ms"],
        [(*key, len(ms), median(ms), max(ms)) for key, ms in sorted(answers.items())],
    )
    report.table(["fault", "well again after s"], sorted(soak.recoveries))
    for what, count in (failures(ledger) + ledger.wrong).most_common():
        report.say(f"WRONG: {count} times: {what}")
    acknowledged = ", ".join(f"{count} {what}" for what, count in ledger.acknowledged.items())
    in_doubt = sum(len(states) > 1 for states in ledger.possible.values())
    looked_up = f"{len(ledger.possible)} images looked up, {in_doubt} of them in doubt"
    report.say(f"{len(ledger.heard)} requests; acknowledged: {acknowledged}; {looked_up}\n")


def taken_by_all(root: int) -> Taken:
    found = {}
    for name, process in processes_of(root).items():
        with suppress(psutil.Error):  # it ended meanwhile
            found[name] = (resident_mib(process), _descriptors(process))
    return found


def _descriptors(process: psutil.Process) -> int:
    """0 where they are shown to root only: the service's processes are not dumpable."""
    try:
        return int(process.num_fds())
    except psutil.AccessDenied:
        return 0


def failures(ledger: Ledger) -> Counter[str]:
    """Answers that no service should give, by kind."""
    return Counter(filter(None, (failure_of(heard, API_KILLED) for heard in ledger.heard)))


def limits(soak: Soak, before: Taken, after: Taken) -> list[Limit]:
    longest = max((took for _, took in soak.recoveries), default=0.0)
    mib = [sum(rss for rss, _ in each.values()) for each in (before, after)]
    more = max(after[name][1] - before[name][1] for name in before.keys() & after.keys())
    return [
        Limit("failures", failures(soak.ledger).total(), most=0),
        Limit("wrong answers", soak.ledger.wrong.total(), most=0),
        Limit("longest recovery, s", longest, most=LONGEST_RECOVERY_S),
        Limit("memory, end to start", ratio(mib[1], mib[0]), most=MOST_GROWTH),
        Limit("descriptors more, worst process", more, most=MOST_MORE_DESCRIPTORS),
    ]


async def measure(
    service: ServiceProcess, files: FileServer, disk: Path | None, given: Namespace, report: Report
) -> list[Limit]:
    root = service.process.pid if service.process else 0
    http = Client(service.port, CLIENTS + 1, TIMEOUT_S)
    soak = Soak(http, files.url)
    faults = [
        kills(root, EMBEDDER, "embedder killed"),
        server_stops(files, LASTS_S),
        kills(root, DETECTOR, "detector killed"),
        kills(root, DECODER, "decoder killed"),
        *([disk_full(disk, LASTS_S)] if disk else []),
        kills(root, API_WORKER, API_KILLED),
    ]
    await soak.traffic(min(20.0, given.minutes * 15), given.rate, ())
    before = taken_by_all(root)
    await soak.traffic(given.minutes * 60, given.rate, faults)
    await asyncio.sleep(SETTLE_S)
    after = taken_by_all(root)
    found = compare(soak.ledger, await soak.stored())
    http.close()
    tell(report, soak)
    return [
        *(Limit(what, count, most=0) for what, count in found.items()),
        *limits(soak, before, after),
    ]


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=8, help="requests per second")
    parser.add_argument("--models", choices=SIZES, default="full")
    parser.add_argument("--no-disk-full", action="store_true", help="mount no small disk")


def run(given: Namespace, report: Report) -> list[Limit]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        table = folder / "disk"
        table.mkdir()
        disk = None if given.no_disk_full else stack.enter_context(small_disk(table, _DISK_MIB))
        if disk is None:
            report.say("the disk is not filled\n")
        files = stack.enter_context(FileServer())
        settings = model_environment(given.models)
        settings |= {"IMAGE_SEARCH_STORE_KEEP_VERSIONS_MINUTES": "10"}
        service = stack.enter_context(started(settings, folder, store=table / "index"))
        return asyncio.run(measure(service, files, disk, given, report))
