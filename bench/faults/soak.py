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
import contextlib
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from bench.faults.soak_clients import CALM, Ledger, SoakClient, failure_of
from bench.faults.soak_faults import (
    API_KILLED,
    Fault,
    disk_full,
    file_server_stops,
    kills,
    small_disk,
)
from bench.load.fileserver import FileServer
from bench.load.generator import OK
from bench.load.http import Client, post, request_bytes
from bench.load.traffic import photo_url
from bench.report import Limit, Report, median, percentile, ratio
from bench.service.models import SIZES, model_environment
from bench.service.processes import API_WORKER, DECODER, DETECTOR, EMBEDDER, processes_of
from bench.service.running import started
from demo.process import ServiceProcess

DISK_MIB = 1024
TIMEOUT_S = 65.0
LONGEST_RECOVERY_S = 120.0
BETWEEN_FAULTS_S = 30.0
LASTS_S = 15.0
MOST_GROWTH = 1.25
MOST_MORE_DESCRIPTORS = 64
SETTLE_S = 8.0
CLIENTS = 32


class Taken(NamedTuple):
    """What a process takes of the machine."""

    rss_mib: float
    descriptors: int
    threads: int


@dataclass
class Soak:
    """A running service, its clients and what is noted of it."""

    http: Client
    files: str
    ledger: Ledger = field(default_factory=Ledger)
    recoveries: list[tuple[str, float]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        numbers = range(CLIENTS)
        self.clients = [SoakClient(self.http, self.files, n, self.ledger) for n in numbers]

    async def well(self) -> bool:
        """Whether an add, a search and a detection are answered as they should be."""
        photo = {"url": photo_url(self.files, 0)}
        for route in ("post_image_to_index", "search_simmilar_images", "run_object_detection"):
            if (await self.http.ask(post(route, photo))).status != OK:
                return False
        return True

    async def suffer(self, fault: Fault) -> None:
        """Let a fault happen, and wait until all is well again."""
        self.ledger.begin(fault.phase)
        try:
            if not await asyncio.to_thread(fault.begin):
                self.skipped.append(fault.phase)
                return
            began = time.monotonic()
            if fault.lasts_s:
                await asyncio.sleep(fault.lasts_s)
                await asyncio.to_thread(fault.end)
                began = time.monotonic()
            await asyncio.sleep(0.5)
            well = 0
            while well < 2 and time.monotonic() < began + LONGEST_RECOVERY_S:
                well = well + 1 if await self.well() else 0
                await asyncio.sleep(0.25)
            took = time.monotonic() - began if well == 2 else float("inf")
            self.recoveries.append((fault.phase, took))
        finally:
            self.ledger.phase = CALM

    async def traffic(self, seconds: float, rate: float, faults: Sequence[Fault]) -> None:
        """Clients and faults for so long."""
        ended = asyncio.Event()
        clients = [
            asyncio.create_task(client.run(CLIENTS / rate, ended)) for client in self.clients
        ]
        until = time.monotonic() + seconds
        for fault in cycle(faults):
            await asyncio.sleep(min(BETWEEN_FAULTS_S, max(0.0, until - time.monotonic())))
            if time.monotonic() + LASTS_S > until:
                break
            await self.suffer(fault)
        await asyncio.sleep(max(0.0, until - time.monotonic()))
        ended.set()
        await asyncio.gather(*clients)

    async def stored(self) -> dict[str, list[dict[str, Any]]]:
        """Every image of the table, by url."""
        found: dict[str, list[dict[str, Any]]] = {}
        offset, total = 0, 1
        while offset < total:
            path = f"images?limit=500&offset={offset}"
            page = (await self.http.ask(request_bytes("GET", path))).json()
            for image in page["images"]:
                found.setdefault(image["url"], []).append(image)
            offset, total = offset + 500, page["total"]
        return found


def compare(ledger: Ledger, stored: dict[str, list[dict[str, Any]]]) -> Counter[str]:
    """What of the index contradicts what was acknowledged."""
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


def tell_answers(report: Report, ledger: Ledger) -> None:
    """Prints answers by phase, status and code."""
    counts = Counter(
        (heard.phase, "bad" if heard.route == "bad" else "good", heard.status, heard.code)
        for heard in ledger.heard
    )
    report.table(
        ["phase", "request", "status", "code", "answers"],
        [
            (phase, asked, str(status or "none"), code, count)
            for (phase, asked, status, code), count in sorted(counts.items())
        ],
    )
    routes = sorted({heard.route for heard in ledger.heard})
    rows = []
    for route in routes:
        took = [h.seconds * 1e3 for h in ledger.heard if h.route == route and h.phase == CALM]
        answers = sum(heard.route == route for heard in ledger.heard)
        rows.append((route, answers, median(took), percentile(took, 99)))
    report.table(["request", "answers", "p50 ms, calm", "p99 ms, calm"], rows)


def tell_recoveries(report: Report, soak: Soak) -> None:
    """Prints how long it took after each fault until all was well."""
    phases = sorted({phase for phase, _ in soak.recoveries})
    rows = []
    for phase in phases:
        took = [seconds for each, seconds in soak.recoveries if each == phase]
        rows.append((phase, len(took), median(took), max(took)))
    report.table(["fault", "times", "well again after s, median", "longest"], rows)
    if soak.skipped:
        report.say(f"not done, nothing to break: {', '.join(sorted(set(soak.skipped)))}\n")


def tell_processes(report: Report, before: dict[str, Taken], after: dict[str, Taken]) -> None:
    """Prints what each process held at the start and at the end."""
    rows = []
    for name in [*before, *(name for name in after if name not in before)]:
        cells: list[Any] = [name]
        for each in ("rss_mib", "descriptors", "threads"):
            cells += [
                getattr(held[name], each) if name in held else None for held in (before, after)
            ]
        rows.append(tuple(cells))
    report.table(
        ["process", "MiB start", "end", "descriptors start", "end ", "threads start", "end  "], rows
    )


def taken_by_all(root: int) -> dict[str, Taken]:
    """What each process of a service takes."""
    found = {}
    for name, process in processes_of(root).items():
        with contextlib.suppress(psutil.Error):  # it ended meanwhile
            rss = process.memory_info().rss / 2**20
            found[name] = Taken(rss, process.num_fds(), process.num_threads())
    return found


async def measure(
    service: ServiceProcess, files: FileServer, disk: Path | None, given: Namespace, report: Report
) -> list[Limit]:
    """Soak and print."""
    http = Client(service.port, CLIENTS + 1, TIMEOUT_S)
    soak = Soak(http, files.url)
    root = service.process.pid if service.process else 0
    faults = [
        kills(root, EMBEDDER, "embedder killed"),
        file_server_stops(files, LASTS_S),
        kills(root, DETECTOR, "detector killed"),
        kills(root, DECODER, "decoder killed"),
        *([disk_full(disk, LASTS_S)] if disk else []),
        kills(root, API_WORKER, API_KILLED),
    ]
    await soak.traffic(min(20.0, given.minutes * 15), given.rate, ())
    before, began = taken_by_all(root), time.monotonic()
    await soak.traffic(given.minutes * 60, given.rate, faults)
    seconds = time.monotonic() - began
    await asyncio.sleep(SETTLE_S)
    after = taken_by_all(root)
    found = compare(soak.ledger, await soak.stored())
    http.close()
    tell_answers(report, soak.ledger)
    tell_recoveries(report, soak)
    tell_processes(report, before, after)
    tell_sums(report, soak.ledger, seconds)
    limits = [Limit(what, count, most=0) for what, count in found.items()]
    return [*limits, *limits_of(soak), *limits_of_growth(before, after)]


def tell_sums(report: Report, ledger: Ledger, seconds: float) -> None:
    """Prints how much was asked, acknowledged and looked up, and each kind of failure."""
    for what, count in (failures(ledger) + ledger.wrong).most_common():
        report.say(f"WRONG: {count} times: {what}")
    acknowledged = ", ".join(f"{count} {what}" for what, count in ledger.acknowledged.items())
    report.say(
        f"{len(ledger.heard)} requests in {seconds:.0f} s; acknowledged: {acknowledged};"
        f" {len(ledger.possible)} images looked up,"
        f" {sum(len(states) > 1 for states in ledger.possible.values())} of them in doubt\n"
    )


def failures(ledger: Ledger) -> Counter[str]:
    """Answers that no service should give, by kind."""
    return Counter(filter(None, (failure_of(heard, API_KILLED) for heard in ledger.heard)))


def limits_of(soak: Soak) -> list[Limit]:
    """The limits of what was heard."""
    longest = max((took for _, took in soak.recoveries), default=0.0)
    return [
        Limit("failures", failures(soak.ledger).total(), most=0),
        Limit("wrong answers", soak.ledger.wrong.total(), most=0),
        Limit("longest recovery, s", longest, most=LONGEST_RECOVERY_S),
    ]


def limits_of_growth(before: dict[str, Taken], after: dict[str, Taken]) -> list[Limit]:
    """The limits of what the processes hold."""
    mib = [sum(held.rss_mib for held in each.values()) for each in (before, after)]
    more = [after[name].descriptors - before[name].descriptors for name in before if name in after]
    return [
        Limit("memory, end to start", ratio(mib[1], mib[0]), most=MOST_GROWTH),
        Limit("descriptors more, worst process", max(more), most=MOST_MORE_DESCRIPTORS),
    ]


def add_options(parser: ArgumentParser) -> None:
    """Minutes, rate and models."""
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=8, help="requests per second")
    parser.add_argument("--models", choices=SIZES, default="full")
    parser.add_argument("--no-disk-full", action="store_true", help="mount no small disk")
    parser.add_argument("--log", type=Path, help="file for what the service prints")


def run(given: Namespace, report: Report) -> list[Limit]:
    """Soak and print."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        table = folder / "disk"
        table.mkdir()
        disk = None if given.no_disk_full else stack.enter_context(small_disk(table, DISK_MIB))
        if disk is None and not given.no_disk_full:
            report.say("the disk is not filled: a small one may not be mounted here\n")
        files = stack.enter_context(FileServer())
        settings = {
            **model_environment(given.models),
            "IMAGE_SEARCH_STORE_KEEP_VERSIONS_MINUTES": "10",
        }
        service = stack.enter_context(
            started(settings, folder, store=table / "index", log=given.log)
        )
        return asyncio.run(measure(service, files, disk, given, report))
