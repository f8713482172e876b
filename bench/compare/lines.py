"""How many lines and files has each room, in this checkout and in others?

Counts the lines of Python by room, and the modules of the largest folders; with `--project` of
other checkouts beside each other::

    uv run python -m bench lines --project ../other
"""

import subprocess
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath

from bench.report import PROJECT, Cell, Limit, Report, commit

PRODUCT = ("service.py", "api", "store", "images", "runners", "cli", "client", "page")
ROOMS = (*PRODUCT, "demo", "bench", "tests")
_FOLDERS = 12


def python_files(project: Path) -> dict[PurePath, int]:
    """Lines of every Python file that git knows, by path."""
    listed = ["git", "-C", str(project), "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.check_output([*listed, "*.py"], text=True).splitlines()
    paths = [project / name for name in names]
    return {
        path.relative_to(project): len(path.read_text(encoding="utf-8").splitlines())
        for path in paths
        if path.exists()  # may be deleted, but not yet committed
    }


def by_room(files: dict[PurePath, int]) -> Counter[str]:
    lines: Counter[str] = Counter()
    for path, count in files.items():
        lines[path.parts[0]] += count
    lines["product"] = sum(lines[room] for room in PRODUCT)
    return lines


def by_folder(files: dict[PurePath, int]) -> Counter[str]:
    return Counter(str(path.parent) for path in files if path.name != "__init__.py")


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--project", type=Path, action="append", default=[], help="to be counted too"
    )


def run(given: Namespace, report: Report) -> Sequence[Limit]:
    projects = [PROJECT, *(path.resolve() for path in given.project)]
    names = [f"{path.name} {commit(path)}" for path in projects]
    found = [python_files(path) for path in projects]
    lines = [by_room(files) for files in found]
    rows: list[tuple[Cell, ...]] = [
        (room, *(each[room] for each in lines)) for room in (*ROOMS, "product")
    ]
    report.table(["room", *names], rows, "lines of Python; product: all but demo, bench and tests")
    for name, files in zip(names, found, strict=True):
        folders = by_folder(files).most_common(_FOLDERS)
        report.table(["folder", "modules"], folders, f"largest folders of {name}")
    return []
