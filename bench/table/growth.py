"""How do searches, adds, recall, memory and disk grow with the rows in the table?

For each number of rows a table is laid down in one commit, its indexes are built, and the store
alone is asked in a process of its own: searches by vector with and without filters, adds of one
client and of 64 with searches meanwhile::

    uv run python -m bench growth                              # 1,000 to 100,000 rows
    uv run python -m bench growth --rows 1000000               # ten minutes, 6 GB of disk

Every case must find 0.98 of what an exact search finds; 64 clients must add 20 times the rows per
second of one that waits for each commit; a search meanwhile may take twice as long (p50).
"""

import tempfile
import time
from argparse import ArgumentParser, Namespace

from bench.report import Cell, Limit, Report, ratio
from bench.service.models import PREFIX, SIZES, numbers, service_settings
from bench.service.table import fill
from bench.table.searches import Found, searches

LEAST_RECALL, LEAST_SPEEDUP, MOST_SLOWDOWN = 0.98, 20.0, 2.0


def tell(report: Report, found: dict[int, Found]) -> None:
    rows: list[tuple[Cell, ...]] = [
        (count, case, one["recall"], one["p50"], one["p99"])
        for count, table in found.items()
        for case, one in table["cases"].items()
    ]
    columns = ["rows", "case", "recall@10", "p50 ms", "p99 ms"]
    report.table(columns, rows, "searches of the store alone, one at a time")
    names = dict.fromkeys(name for each in found.values() for name in each if name != "cases")
    tables = [(name, *(each[name] for each in found.values())) for name in names]
    report.table(["the store alone", *(f"{count:,} rows" for count in found)], tables)


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--rows", type=numbers, default=(1_000, 10_000, 100_000))
    parser.add_argument("--runs", type=int, default=200, help="searches of each case")
    parser.add_argument("--models", choices=SIZES, default="full")


def run(given: Namespace, report: Report) -> list[Limit]:
    settings = service_settings(given.models)
    found: dict[int, Found] = {}
    for count in given.rows:
        with tempfile.TemporaryDirectory() as name:
            table, began = {**settings, f"{PREFIX}STORE_URI": name}, time.perf_counter()
            fill(table, count)
            filled_s = time.perf_counter() - began
            found[count] = searches(table, count, given.runs)
            found[count]["laid down and indexed, s"] = filled_s
    tell(report, found)
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
