"""How do latency, recall, memory and disk grow with the rows in the table?

For each number of rows a table is laid down in one commit, its indexes are built, and the store
alone is asked in a process of its own: searches by vector with and without filters, adds, deletes;
then lone searches of the whole service. Every case must find 0.98 of what an exact search finds::

    uv run python -m bench growth                              # 1,000 to 100,000 rows
    uv run python -m bench growth --rows 1000000               # ten minutes, 6 GB of disk
    uv run --group bench python -m bench growth --rows 100000 --faiss
"""

import tempfile
import time
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from pathlib import Path

from bench.report import Cell, Limit, Report, percentile
from bench.service.models import PREFIX, SIZES, numbers, service_settings
from bench.service.processes import API_WORKER, memory_by_process
from bench.service.running import served
from bench.service.table import fill
from bench.table.searches import CASES, Found, searches

LEAST_RECALL = 0.98
_SIDES = ("640", "1280")


def tell_searches(report: Report, found: dict[int, Found], *, faiss: bool) -> None:
    """Print latency and recall by rows and case."""
    columns = ["rows", "case", "recall@10", "p50 ms", "p99 ms"]
    peers = ["faiss exact p50 ms", "HNSW recall@10", "HNSW p50 ms"] if faiss else []
    rows: list[tuple[Cell, ...]] = []
    for count, each in found.items():
        for case, one in each["cases"].items():
            cells: list[Cell] = [count, case, one["recall"], one["p50"], one["p99"]]
            if faiss:
                cells += [one["flat"]["p50"], one["hnsw"]["recall"], one["hnsw"]["p50"]]
            rows.append(tuple(cells))
    report.table([*columns, *peers], rows, "searches of the store alone, one at a time")


def tell_tables(report: Report, found: dict[int, Found]) -> None:
    """Print everything else about the tables."""
    names = {
        "fill s": "loaded and indexed, s",
        "hnsw build s": "faiss HNSW built, s",
        "text": "text and vector p50 ms",
        "add p50": "add p50 ms",
        "adds/s": "adds/s of 64",
        "search with tail p50": "search with that tail p50 ms",
        "delete p50": "delete p50 ms",
        "upkeep s": "upkeep after that, s",
        "rss": "RSS MiB",
        "disk": "on disk MiB",
    }
    rows: list[tuple[Cell, ...]] = [
        (words, *(each.get(name) for each in found.values())) for name, words in names.items()
    ]
    report.table(["the store alone", *(f"{count:,} rows" for count in found)], rows)


def lone_searches(settings: dict[str, str], store: Path, runs: int) -> tuple[Cell, ...]:
    """Lone searches of the whole service on a table, and the memory of its API worker."""
    with served(settings, _SIDES, store=store) as service:
        took = [service.lone_ms(route, runs) for route in ("text", "search")]
        memory = memory_by_process(service.root)[API_WORKER]
    latency = (percentile(each, percent) for each in took for percent in (50, 99))
    return (*latency, memory.rss, memory.uss)


def add_options(parser: ArgumentParser) -> None:
    """Rows, runs, and what is measured."""
    parser.add_argument("--rows", type=numbers, default=(1_000, 10_000, 100_000))
    parser.add_argument("--runs", type=int, default=200, help="searches of each case")
    parser.add_argument("--faiss", action="store_true", help="beside faiss, in the group `bench`")
    parser.add_argument("--service", action=BooleanOptionalAction, default=True)
    parser.add_argument("--models", choices=SIZES, default="full")
    parser.add_argument("--folder", type=Path, help="for the tables; default: temporary files")


def run(given: Namespace, report: Report) -> list[Limit]:
    """Measure and print."""
    settings = service_settings(given.models)
    found: dict[int, Found] = {}
    whole: list[tuple[Cell, ...]] = []
    for count in given.rows:
        with tempfile.TemporaryDirectory(dir=given.folder) as name:
            table = {**settings, f"{PREFIX}STORE_URI": name}
            began = time.perf_counter()
            fill(table, count)
            filled_s = time.perf_counter() - began
            found[count] = {
                "fill s": filled_s,
                **searches(table, count, given.runs, faiss=given.faiss),
            }
            report.say(f"{count:,} rows: {filled_s:.0f} s to lay down")
            if given.service:
                whole.append((count, *lone_searches(settings, Path(name), given.runs // 5)))
    tell_searches(report, found, faiss=given.faiss)
    tell_tables(report, found)
    if whole:
        columns = ["rows", "by text p50 ms", "p99 ms", "by picture p50 ms", "p99 ms "]
        report.table([*columns, "API's RSS MiB", "USS MiB"], whole, "the service, lone searches")
    return [
        Limit(f"recall@10, {count:,} rows, {case}", found[count]["cases"][case]["recall"],
              least=LEAST_RECALL)
        for count in found
        for case in CASES
    ]  # fmt: skip
