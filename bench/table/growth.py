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

from bench.report import Cell, Limit, Report, median, ratio
from bench.service.models import PREFIX, SIZES, numbers, service_settings
from bench.service.processes import API_WORKER, memory_by_process
from bench.service.running import served
from bench.service.table import fill
from bench.table.searches import Found, searches

LEAST_RECALL, LEAST_SPEEDUP, MOST_SLOWDOWN = 0.98, 20.0, 2.0
_SIDES = ("640", "1280")


NAMES = {
    "fill s": "loaded and indexed, s",
    "hnsw build s": "faiss HNSW built, s",
    "text": "text and vector p50 ms",
    "add p50": "add p50 ms",
    "adds/s": "adds/s of 64 clients",
    "search while adding p50": "search meanwhile p50 ms",
    "search with tail p50": "search with that tail p50 ms",
    "delete p50": "delete p50 ms",
    "upkeep s": "upkeep after that, s",
    "rss": "RSS MiB",
    "disk": "on disk MiB",
    "service text": "service: lone search by text p50 ms",
    "service picture": "service: lone search by picture p50 ms",
    "service rss": "service: API worker's RSS MiB",
}


def ask_service(settings: dict[str, str], store: Path, runs: int) -> Found:
    """Lone searches of the whole service on a table, and the memory of its API worker."""
    with served(settings, _SIDES, store=store) as service:
        text, picture = (median(service.lone_ms(route, runs)) for route in ("text", "search"))
        rss = memory_by_process(service.root)[API_WORKER].rss
    return {"service text": text, "service picture": picture, "service rss": rss}


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
    tables = [
        (words, *(each.get(name) for each in found.values())) for name, words in NAMES.items()
    ]
    report.table(["the store alone", *(f"{count:,} rows" for count in found)], tables)


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--rows", type=numbers, default=(1_000, 10_000, 100_000))
    parser.add_argument("--runs", type=int, default=200, help="searches of each case")
    parser.add_argument("--faiss", action="store_true", help="beside faiss, in the group `bench`")
    parser.add_argument("--service", action=BooleanOptionalAction, default=True)
    parser.add_argument("--models", choices=SIZES, default="full")
    parser.add_argument("--folder", type=Path, help="for the tables; default: temporary files")


def run(given: Namespace, report: Report) -> list[Limit]:
    settings = service_settings(given.models)
    found: dict[int, Found] = {}
    for count in given.rows:
        with tempfile.TemporaryDirectory(dir=given.folder) as name:
            table, began = {**settings, f"{PREFIX}STORE_URI": name}, time.perf_counter()
            fill(table, count)
            filled_s = time.perf_counter() - began
            report.say(f"{count:,} rows: {filled_s:.0f} s to lay down")
            found[count] = searches(table, count, given.runs, faiss=given.faiss)
            found[count]["fill s"] = filled_s
            if given.service:
                found[count] |= ask_service(settings, Path(name), given.runs // 5)
    tell(report, found, faiss=given.faiss)
    limits = []
    for count, table in found.items():
        cases, rows = table["cases"], f"{count:,} rows"
        for case, each in cases.items():
            limits.append(Limit(f"recall@10, {rows}, {case}", each["recall"], least=LEAST_RECALL))
        speedup = table["adds/s"] * table["add p50"] / 1e3
        limits.append(Limit(f"adds of 64 clients to one, {rows}", speedup, least=LEAST_SPEEDUP))
        slowdown = ratio(table["search while adding p50"], cases["no filter"]["p50"])
        limits.append(
            Limit(f"search while adding to at rest, {rows}", slowdown, most=MOST_SLOWDOWN)
        )
    return limits
