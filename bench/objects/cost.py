"""What do objects cost: an add, beside one process that detects and embeds, and who adds nearby?

Mosaics of drawn scenes, each with a URL and pixels of its own, are added to a service with the demo
models. The limit is one process that decodes each, detects the objects in it and embeds it and all
of them in full batches, in the fastest way that is found (`bench.speed.limit`), beside each load.
As that looks at the whole of a picture alone, so does the service, with IMAGE_SEARCH_OBJECTS_TILES
of 0; what looking at the parts, too, costs is told. Then searches at a rate, alone and while
pictures of 300 objects are added, one after the other::

    uv run python -m bench objects-cost           # about ten minutes

Adds must reach 0.85 of the limit, and the searches' p99 must not grow by more than a quarter. That
nothing is lost where objects are off is for `versus --project`, with a checkout before them.
"""

import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import mean

from bench.load.fileserver import FileServer
from bench.load.generator import Load, Sent
from bench.objects.axes import Kind
from bench.report import Cell, Limit, Report, median, percentile, ratio
from bench.service.models import PREFIX, service_settings
from bench.service.running import Service, started
from bench.speed.limit import Limits
from demo.scenes.mosaics import mosaic

LEAST, MOST_P99 = 0.85, 1.25
_MOSAICS, _SCENES, _SEED = 64, 4, 61_000_000
_CROWD = Kind(1536, across=18, count=300, share=0.045)
_CROWDS = 4
_CLIENTS = 32
_WARM_UP_S = 5.0


@contextmanager
def _serving(files: Mapping[str, Path], names: str, **settings: str) -> Iterator[Service]:
    """A service of the demo models that indexes objects, and a file server with these pictures."""
    own = {f"{PREFIX}{name}": value for name, value in {"OBJECTS": "on", **settings}.items()}
    with tempfile.TemporaryDirectory() as folder, FileServer(files) as server:
        every = {**service_settings("demo"), **own}
        with started(every, Path(folder)) as process:
            yield Service(process, server, tuple(each for each in files if names in each))


def _drawn(folder: Path) -> dict[str, Path]:
    files = {}
    for n in range(_MOSAICS):
        files[f"mosaic-{n}.jpg"] = mosaic(_SEED + _SCENES * n).file
    for n in range(_CROWDS):
        files[f"crowd-{n}.jpg"] = _CROWD.draw(_SEED + n).file
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return {name: folder / name for name in files}


def _of_limit(files: Mapping[str, Path], given: Namespace, report: Report) -> Limit:
    """Adds beside one process that does the same."""
    mosaics = [path for name, path in files.items() if "mosaic" in name]
    settings, shares, rates = service_settings("demo"), [], []
    with closing(Limits([mosaics], settings)) as limits:
        limits.find("objects")
        with _serving(files, "mosaic", OBJECTS_TILES="0") as service:
            service.load("add", 4, _WARM_UP_S)
            before = limits.measure("objects")
            for _ in range(given.rounds):
                load = service.load("add", _CLIENTS, given.seconds)
                after = limits.measure("objects")
                rates.append(load.sent.rate)
                shares.append(ratio(load.sent.rate, mean((before, after))))
                before = after
        found = limits.rates["objects"]
        how = limits.found["objects"].words
    with _serving(files, "mosaic") as service:
        service.load("add", 4, _WARM_UP_S)
        tiled = service.load("add", _CLIENTS, given.seconds).sent.rate
    with _serving(files, "mosaic", OBJECTS="off") as service:
        service.load("add", 4, _WARM_UP_S)
        off = service.load("add", _CLIENTS, given.seconds).sent.rate
    rows: list[tuple[Cell, ...]] = [
        ("one process, " + how, median(found), min(found), max(found)),
        ("adds of the service", median(rates), min(rates), max(rates)),
        ("looking at four parts, too", tiled, None, None),
        ("without objects", off, None, None),
    ]
    report.table(["pictures/s", "median", "least", "most"], rows, "mosaics of four scenes")
    return Limit("adds with objects, to the limit", median(shares), least=LEAST)


def _beside_crowds(files: Mapping[str, Path], given: Namespace, report: Report) -> Limit:
    """Searches at a rate, alone and beside pictures of many objects, in turn."""
    alone: list[float] = []
    beside: list[float] = []
    added = 0
    with _serving(files, "mosaic", OBJECTS_MAX="100") as service, ThreadPoolExecutor(2) as threads:
        service.load("add", 4, _WARM_UP_S)
        service.load("search", 4, _WARM_UP_S)
        crowds = Service(service.process, service.files, tuple(n for n in files if "crowd" in n))

        def searches() -> Sent:
            source = service.fresh("search")
            load = Load(service.process.port, source, given.seconds, rate=given.rate)
            return service.measure(load).sent

        for _ in range(given.rounds):
            alone += [each.done - each.due for each in searches().good]
            others = threads.submit(crowds.load, "add", 1, given.seconds)
            beside += [each.done - each.due for each in searches().good]
            added += len(others.result().sent.good)
    rows: list[tuple[Cell, ...]] = [
        (name, len(own), *(1e3 * percentile(own, p) for p in (50, 99)))
        for name, own in (("alone", alone), ("beside", beside))
    ]
    title = f"searches at {given.rate:g} a second; {added} pictures of {_CROWD.count} objects"
    report.table(["searches", "answers", "p50 ms", "p99 ms"], rows, title)
    share = ratio(percentile(beside, 99), percentile(alone, 99))
    return Limit("p99 beside a picture of many objects, to alone", share, most=MOST_P99)


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--beside", action="store_true", help="searches beside many objects alone")
    parser.add_argument("--rate", type=float, default=10, help="searches a second")


def run(given: Namespace, report: Report) -> list[Limit]:
    with tempfile.TemporaryDirectory() as name:
        files = _drawn(Path(name))
        parts = [_beside_crowds] if given.beside else [_of_limit, _beside_crowds]
        return [part(files, given, report) for part in parts]
