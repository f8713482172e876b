"""What each kind of request costs the service, and a refusal: why there is a bound to an overload.

A service that is full admits good and bad requests as they come. At `times` its peak each good one
that it answers goes along with a bad one that it looks into, and with 2 x (times - 1) refusals.
"""

import threading
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import requests

from bench.load.fileserver import FileServer
from bench.load.generator import Load, send
from bench.load.traffic import SLOW_HOSTS, Kind, Repeated, bad, first_adds, good, port_of
from bench.report import Cell, Limit, Report, ratio
from bench.service.models import PREFIX, model_environment
from bench.service.processes import cpu_by_role
from bench.service.running import Service, started
from demo.process import free_port

_CLIENTS, _SECONDS = 4, 5.0
_ROLES = ("API worker", "decoder", "ClipEmbedder", "YoloDetector")


@dataclass(frozen=True)
class Cost:
    """CPU milliseconds of one request by role, and of the load generator."""

    by_role: dict[str, float]
    generator: float
    weight: float

    @property
    def total(self) -> float:
        return sum(self.by_role.values())


def run(given: Namespace, report: Report, times: float) -> list[Limit]:
    with FileServer() as files, TemporaryDirectory() as folder:
        kinds = [*good(files.url), *bad(files.url, free_port())]
        with started(model_environment(given.models), Path(folder)) as process:
            service = Service(process, files, ())
            fill(service)
            costs = {kind.name: cost_of(service, kind) for kind in kinds}
        costs["refused (429)"] = _refusal(files, given)
    rows: list[tuple[Cell, ...]] = [
        (name, cost.total, *(cost.by_role.get(role, 0.0) for role in _ROLES), cost.generator)
        for name, cost in costs.items()
    ]
    report.table(["request", "CPU ms", *_ROLES, "load generator"], rows)
    of_good = _mean([costs[kind.name] for kind in kinds if not kind.codes])
    of_bad = _mean([costs[kind.name] for kind in kinds if kind.codes])
    refused = costs["refused (429)"]
    beside = of_bad + 2 * (times - 1) * (refused.total + refused.generator)
    left = ratio(of_good, of_good + beside)
    report.say(f"a good request takes {of_good:.1f} ms, a bad one {of_bad:.1f} ms, and what comes")
    report.say(
        f"with a good one at {times} times the peak {beside:.1f} ms: {left:.2f} of it is left\n"
    )
    return []


def fill(service: Service) -> None:
    """Add every URL of the mix once, so that nothing is new when it is measured."""
    for body in first_adds(service.files.url):
        url = f"{service.process.url}/post_images_to_index"
        results = requests.post(url, json=body, timeout=120).json()["results"]
        failed = [each for each in results if "id" not in each]
        if failed:
            raise RuntimeError(f"the table could not be filled: {failed[0]}")


def cost_of(service: Service, kind: Kind) -> Cost:
    """What one request of a kind takes, while a few clients send such."""
    before = cpu_by_role(service.root)
    load = Load(service.process.port, Repeated(kind.name, kind.requests), _SECONDS, _CLIENTS)
    sent = send(load)
    after, number = cpu_by_role(service.root), len(sent.answers)
    by_role = {role: (after[role] - before.get(role, 0.0)) / number * 1e3 for role in after}
    return Cost(by_role, sent.cpu_s / number * 1e3, kind.weight)


def _refusal(files: FileServer, given: Namespace) -> Cost:
    """Of a service that takes one request, which lasts."""
    settings = {**model_environment(given.models), f"{PREFIX}MAX_IN_FLIGHT": "1"}
    slow = f"http://{SLOW_HOSTS[0]}:{port_of(files.url)}/slow"
    with TemporaryDirectory() as folder, started(settings, Path(folder)) as process:
        is_over = threading.Event()

        def hold() -> None:
            while not is_over.is_set():
                requests.post(
                    f"{process.url}/search_similar_images", json={"url": slow}, timeout=60
                )

        holding = threading.Thread(target=hold)
        holding.start()
        try:
            return cost_of(Service(process, files, ()), good(files.url)[0])
        finally:
            is_over.set()
            holding.join()


def _mean(costs: list[Cost]) -> float:
    return sum(c.total * c.weight for c in costs) / sum(c.weight for c in costs)
