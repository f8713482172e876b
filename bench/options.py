"""What can be said on the command line of the benchmarks that run the service."""

import argparse
from pathlib import Path

from bench.photos import sides_of
from bench.weights import SIZES


def service_options(
    doc: str | None, rows: int, runs: int, of: str, sides: str
) -> argparse.Namespace:
    """The options of a command: `models`, `rows`, `runs`, `sides`, `precision`, `json`.

    Args:
        doc: of the command's module; its first line describes it.
        rows: in the table, where nothing else is said.
        runs: likewise.
        of: what the runs are.
        sides: of the photographs, likewise.
    """
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("--models", choices=SIZES, default="full")
    parser.add_argument("--rows", type=int, default=rows, help="in the table from the start")
    parser.add_argument("--runs", type=int, default=runs, help=of)
    parser.add_argument("--sides", type=sides_of, default=sides_of(sides))
    parser.add_argument("--precision", help="of both models")
    parser.add_argument("--json", type=Path, help="write the tables to this file, too")
    return parser.parse_args()
