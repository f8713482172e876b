"""How do searches, adds, recall, memory and disk grow with the rows in the table?

For each number of rows a table is laid down in one commit, its indexes are built, and the store
alone is asked in a process of its own: searches by vector with and without filters, adds of one
client and of 64 with searches meanwhile, deletes; then lone searches of the whole service::

    uv run python -m bench growth                              # 1,000 to 100,000 rows
    uv run python -m bench growth --rows 1000000               # ten minutes, 6 GB of disk
    uv run --group bench python -m bench growth --rows 100000 --faiss

Every case must find 0.98 of what an exact search finds; 64 clients must add 20 times the rows per
second of one that waits for each commit; a search meanwhile may take twice as long (p50).
"""

import tempfile
import time
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from pathlib import Path

from bench.report import Cell, Limit, Report, ratio
from bench.service.models import PREFIX, SIZES, numbers, service_settings
from bench.service.processes import API_WORKER, processes_of, resident_mib
from bench.service.running import served
from bench.service.table import fill
from bench.table.searches import Found, searches

LEAST_RECALL, LEAST_SPEEDUP, MOST_SLOWDOWN = 0.98, 20.0, 2.0
_SIDES = ("640", "1280")


def ask_service(settings: dict[str, str], store: Path, runs: int) -> Found:
    """Lone searches of the whole service on a table, and the memory of its API worker."""
    with served(settings, _SIDES, store=store) as service:
        text, picture = (service.load(r, 1, requests=runs).sent.ms(50) for r in ("text", "search"))
        rss = resident_mib(processes_of(service.root)[API_WORKER])
    return {
        "service: lone search by text, p50 ms": text,
        "service: lone search by picture, p50 ms": picture,
        "service: API worker's RSS MiB": rss,
    }


def tell(report: Report, found: dict[int, Found], *, faiss: bool) -> None:
    figures = ["recall", "p50", "p99"]
    figures += ["flat p50", "hnsw recall", "hnsw p50"] if faiss else []
    rows: list[tuple[Cell, ...]] = [
        (count, case, *(one[each] for each in figures))
        for count, table in found.items()
        for case, one in table["cases"].items()
    ]
    columns = ["rows", "case", "recall@10", "p50 ms", "p99 ms"]
    columns += ["faiss exact p50 ms", "HNSW recall@10", "HNSW p50 ms"] if faiss else []
    report.table(columns, rows, "searches of the store alone, one at a time")
    names = dict.fromkeys(name for each in found.values() for name in each if name != "cases")
    tables = [(name, *(each[name] for each in found.values())) for name in names]
    report.table(["the store alone", *(f"{count:,} rows" for count in found)], tables)


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--rows", type=numbers, default=(1_000, 10_000, 100_000))
    parser.add_argument("--runs", type=int, default=200, help="searches of each case")
    parser.add_argument("--faiss", action="store_true", help="beside faiss, in the group `bench`")
    parser.add_argument("--service", action=BooleanOptionalAction, default=True)
    parser.add_argument("--models", choices=SIZES, default="full")


def run(given: Namespace, report: Report) -> list[Limit]:
    settings = service_settings(given.models)
    found: dict[int, Found] = {}
    for count in given.rows:
        with tempfile.TemporaryDirectory() as name:
            table, began = {**settings, f"{PREFIX}STORE_URI": name}, time.perf_counter()
            fill(table, count)
            filled_s = time.perf_counter() - began
            found[count] = searches(table, count, given.runs, faiss=given.faiss)
            found[count]["laid down and indexed, s"] = filled_s
            if given.service:
                found[count] |= ask_service(settings, Path(name), given.runs // 5)
    tell(report, found, faiss=given.faiss)
    limits = []
    for count, each in found.items():
        rows = f"{count:,} rows"
        for case, one in each["cases"].items():
            limits.append(Limit(f"recall@10, {rows}, {case}", one["recall"], least=LEAST_RECALL))
        speedup = each["adds/s of 64 clients"] * each["add p50 ms"] / 1e3
        limits.append(Limit(f"adds of 64 clients to one, {rows}", speedup, least=LEAST_SPEEDUP))
        slower = ratio(each["search meanwhile p50 ms"], each["search with that tail p50 ms"])
        limits.append(
            Limit(f"search meanwhile to at rest after, {rows}", slower, most=MOST_SLOWDOWN)
        )
    return limits
