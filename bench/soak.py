"""Mixed traffic for a long time, while processes die, pictures are gone and the disk fills.

The real service, on a small disk of its own, asked by clients that know what the index must hold.
Faults come on a schedule; after each it is measured how long it takes until all is well again. At
the end every image is looked up::

    uv run python -m bench.soak --minutes 20

Exits with 1 if anything acknowledged was lost or is there twice, an answer was wrong or of a status
that is not documented, a request hung, the service did not recover, or it grew.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from bench.ending import end_on_signals
from bench.fileserver import FileServer
from bench.processes import (
    API_WORKER,
    DECODER,
    DETECTOR,
    EMBEDDER,
    Taken,
    named,
    taken,
)
from bench.report import Report
from bench.soak_clients import CALM, Client, Diary, Place, failure_of
from bench.soak_faults import API_KILLED, Fault, disk_full, file_server_stops, kills, small_disk
from bench.traffic import ALLOWED, photo_url
from bench.verdict import Limit, judged, percentile, ratio
from bench.weights import SIZES, model_environment
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


@dataclass
class Soak:
    """A running service, its clients and what is noted of it."""

    place: Place
    diary: Diary = field(default_factory=Diary)
    recoveries: list[tuple[str, float]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clients = [Client(self.place, number, self.diary) for number in range(CLIENTS)]

    async def well(self) -> bool:
        """Whether an add, a search and a detection are answered as they should be."""
        photo = {"url": photo_url(self.place.files, 0)}
        for route in ("post_image_to_index", "search_simmilar_images", "run_object_detection"):
            try:
                async with self.place.session.post(
                    f"{self.place.service}/{route}",
                    json=photo,
                    timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                ) as answer:
                    await answer.read()
                    if answer.status != 200:
                        return False
            except (aiohttp.ClientError, TimeoutError):
                return False
        return True

    async def suffer(self, fault: Fault) -> None:
        """Let a fault happen, and wait until all is well again."""
        self.diary.begin(fault.phase)
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
            self.diary.phase = CALM

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
        """Every image of the index, by url."""
        found: dict[str, list[dict[str, Any]]] = {}
        offset, total = 0, 1
        while offset < total:
            path = f"{self.place.service}/images?limit=500&offset={offset}"
            async with self.place.session.get(path) as answer:
                page = await answer.json()
            for image in page["images"]:
                found.setdefault(image["url"], []).append(image)
            offset, total = offset + 500, page["total"]
        return found


def compare(diary: Diary, stored: dict[str, list[dict[str, Any]]]) -> Counter[str]:
    """What of the index contradicts what was acknowledged."""
    found: Counter[str] = Counter(lost=0, doubled=0, **{"came back": 0, "another state": 0})
    for url, states in diary.possible.items():
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


def tell_answers(report: Report, diary: Diary) -> None:
    """Prints answers by phase, status and code."""
    counts = Counter(
        (heard.phase, "bad" if heard.route == "bad" else "good", heard.status, heard.code)
        for heard in diary.heard
    )
    report.table(
        ["phase", "request", "status", "code", "answers"],
        [
            (phase, asked, str(status or "none"), code, count)
            for (phase, asked, status, code), count in sorted(counts.items())
        ],
    )
    routes = sorted({heard.route for heard in diary.heard})
    rows = []
    for route in routes:
        took = [h.seconds * 1e3 for h in diary.heard if h.route == route and h.phase == CALM]
        answers = sum(heard.route == route for heard in diary.heard)
        rows.append((route, answers, percentile(took, 50), percentile(took, 99)))
    report.table(["request", "answers", "p50 ms, calm", "p99 ms, calm"], rows)


def tell_recoveries(report: Report, soak: Soak) -> None:
    """Prints how long it took after each fault until all was well."""
    phases = sorted({phase for phase, _ in soak.recoveries})
    rows = []
    for phase in phases:
        took = [seconds for each, seconds in soak.recoveries if each == phase]
        rows.append((phase, len(took), percentile(took, 50), max(took)))
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
    """What each process of a service holds."""
    found = {}
    for name, process in named(root).items():
        with contextlib.suppress(psutil.Error):  # it ended meanwhile
            found[name] = taken(process)
    return found


async def measure(
    service: ServiceProcess, files: FileServer, disk: Path | None, wanted: Any, report: Report
) -> bool:
    """Soaks, prints, and tells whether every limit was kept."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        soak = Soak(Place(session, service.url, files.url, TIMEOUT_S))
        root = service.process.pid if service.process else 0
        faults = [
            kills(root, EMBEDDER, "embedder killed"),
            file_server_stops(files, LASTS_S),
            kills(root, DETECTOR, "detector killed"),
            kills(root, DECODER, "decoder killed"),
            *([disk_full(disk, LASTS_S)] if disk else []),
            kills(root, API_WORKER, API_KILLED),
        ]
        await soak.traffic(min(20.0, wanted.minutes * 15), wanted.rate, ())
        before = taken_by_all(root)
        began = time.monotonic()
        await soak.traffic(wanted.minutes * 60, wanted.rate, faults)
        seconds = time.monotonic() - began
        await asyncio.sleep(SETTLE_S)
        after = taken_by_all(root)
        found = compare(soak.diary, await soak.stored())
    tell_answers(report, soak.diary)
    tell_recoveries(report, soak)
    tell_processes(report, before, after)
    tell_sums(report, soak.diary, seconds)
    limits = [Limit(what, count, most=0) for what, count in found.items()]
    return judged(report, [*limits, *limits_of(soak), *limits_of_growth(before, after)])


def tell_sums(report: Report, diary: Diary, seconds: float) -> None:
    """Prints how much was asked, acknowledged and looked up, and each kind of failure."""
    for what, count in (failures(diary) + diary.wrong).most_common():
        report.say(f"WRONG: {count} times: {what}")
    acknowledged = ", ".join(f"{count} {what}" for what, count in diary.acknowledged.items())
    report.say(
        f"{len(diary.heard)} requests in {seconds:.0f} s; acknowledged: {acknowledged};"
        f" {len(diary.possible)} images looked up,"
        f" {sum(len(states) > 1 for states in diary.possible.values())} of them in doubt\n"
    )


def failures(diary: Diary) -> Counter[str]:
    """Answers that no service should give, by kind."""
    return Counter(filter(None, (failure_of(heard, API_KILLED) for heard in diary.heard)))


def limits_of(soak: Soak) -> list[Limit]:
    """The limits of what was heard."""
    longest = max((took for _, took in soak.recoveries), default=0.0)
    return [
        Limit("failures", failures(soak.diary).total(), most=0),
        Limit("wrong answers", soak.diary.wrong.total(), most=0),
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


def main() -> None:
    """Runs and exits with 1 if a limit was not kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=8, help="requests per second")
    parser.add_argument("--models", choices=SIZES, default="full")
    parser.add_argument("--no-disk-full", action="store_true", help="mount no small disk")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--log", type=Path, help="keep what the service prints")
    wanted = parser.parse_args()
    end_on_signals()
    report = Report(f"Soak: {wanted.models} models, {wanted.minutes:g} min")
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        table = folder / "disk"
        table.mkdir()
        disk = None if wanted.no_disk_full else held.enter_context(small_disk(table, DISK_MIB))
        if disk is None and not wanted.no_disk_full:
            report.say("the disk is not filled: a small one may not be mounted here\n")
        files = held.enter_context(FileServer(host="0.0.0.0"))  # noqa: S104
        settings = {
            **model_environment(wanted.models),
            "IMAGE_SEARCH_STORE_URI": str(table / "index"),
            "IMAGE_SEARCH_STORE_KEEP_VERSIONS_MINUTES": "10",
            "IMAGE_SEARCH_ALLOW_NETWORKS": ALLOWED,
        }
        log = wanted.log or folder / "log"
        service = held.enter_context(ServiceProcess(settings, log))
        kept = asyncio.run(measure(service, files, disk, wanted, report))
    if wanted.json:
        report.json(wanted.json)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
