"""What do 1, 10 and 100 machines with one table in an object store carry, and what bounds them?

The processor time of an add and a search is measured here, by a service with models of full size;
requests to the store are as many as docs/object-store.md tells, which tests hold. What so many
machines make of that is simulated (`bench.sizing.simulation`): adds alone, searches alone, and an
add for each nine searches. Machines with GPUs are asked for by their own times::

    uv run python -m bench sizing
    uv run python -m bench sizing --add-ms 6 --search-ms 4 --cores 8 --request-ms 30
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.faults.costs import cost_of, fill
from bench.load.fileserver import FileServer
from bench.load.traffic import good
from bench.report import Cell, Limit, Report, percentile
from bench.service.models import model_environment
from bench.service.running import Service, started
from bench.sizing.simulation import Costs, Told, simulated

WORK = {"adds": 1.0, "an add for nine searches": 0.1, "searches": 0.0}
"""Share of adds by what clients do."""
USD = {"list": 5e-6, "write": 5e-6, "read": 4e-7}
"""Of a request: Amazon S3 Standard, us-east-1 (https://aws.amazon.com/s3/pricing/, 2026-12-01)."""
BUSY = 0.9
"""Share of the processors from which they are what bounds the work."""
_COLUMNS = [
    *("machines", "work", "adds/s", "searches/s", "processors", "commits/s", "lost/s"),
    *("p50 s", "p99 s", "requests/s", "USD an hour", "bound by"),
]


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--machines", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--request-ms", type=float, nargs="+", default=[30, 100])
    parser.add_argument("--add-ms", type=float, help="processor time; measured unless given")
    parser.add_argument("--search-ms", type=float, help="likewise")
    parser.add_argument("--cores", type=int, default=2, help="of a machine")
    parser.add_argument("--clients", type=int, default=64, help="of a machine, each waiting")
    parser.add_argument("--rows", type=int, default=256, help="IMAGE_SEARCH_STORE_MAX_COMMIT_ROWS")
    parser.add_argument("--seconds", type=float, default=30, help="simulated of each")


def run(given: Namespace, report: Report) -> list[Limit]:
    add_ms, search_ms = given.add_ms, given.search_ms
    if add_ms is None or search_ms is None:
        add_ms, search_ms = _measured()
    report.say(f"processor time: {add_ms:.1f} ms an add, {search_ms:.1f} ms a search by picture\n")
    for request_ms in given.request_ms:
        costs = Costs(
            add_ms / 1e3, search_ms / 1e3, given.cores, request_ms / 1e3, given.clients, given.rows
        )
        rows = [
            row(machines, name, costs, given.seconds)
            for machines in given.machines
            for name in WORK
        ]
        title = f"{given.cores} cores and {given.clients} clients each, {request_ms:g} ms a request"
        report.table(_COLUMNS, rows, title)
    return []


def _measured() -> tuple[float, float]:
    """Processor milliseconds of an add and of a search by picture, the models' included."""
    with FileServer() as files, TemporaryDirectory() as folder:
        kinds = {kind.name: kind for kind in good(files.url)}
        with started(model_environment("full"), Path(folder)) as process:
            service = Service(process, files, ())
            fill(service)
            names = ("add", "search by picture")
            add, search = (cost_of(service, kinds[name]).total for name in names)
    return add, search


def row(machines: int, work: str, costs: Costs, seconds: float) -> list[Cell]:
    """What so many machines do, as a row of the table."""
    told = simulated(machines, costs, WORK[work], seconds=seconds, before=seconds / 2)
    busy = told.busy_s / (seconds * machines * costs.cores)
    requests = {kind: number / seconds for kind, number in told.requests.items()}
    waited = [percentile(told.add_s, share) if told.add_s else None for share in (50, 99)]
    return [
        *(machines, work, len(told.add_s) / seconds, told.searches / seconds, busy),
        *(told.commits / seconds, told.lost / seconds, *waited, sum(requests.values())),
        3600 * sum(USD[kind] * rate for kind, rate in requests.items()),
        bound(told, busy),
    ]


def bound(told: Told, busy: float) -> str:
    """What more of would make it faster."""
    if busy >= BUSY:
        return "processors"
    return "commits" if told.add_s else "the store's answers"
