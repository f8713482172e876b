"""The benchmarks: `python -m bench NAME`, one command per question; `--list` names them."""

import argparse
import ast
import importlib
import signal
import sys
from pathlib import Path

from bench.report import PROJECT, Report

COMMANDS = {
    "versus": "bench.compare.versus",
    "throughput": "bench.speed.throughput",
    "latency": "bench.speed.latency",
    "apart": "bench.speed.apart",
    "services": "bench.compare.services",
    "guard": "bench.speed.guard",
    "sandbox": "bench.speed.sandbox",
    "runtimes": "bench.speed.runtimes",
    "starts": "bench.speed.starts",
    "overload": "bench.faults.overload",
    "soak": "bench.faults.soak",
    "kill": "bench.faults.kill",
    "growth": "bench.table.growth",
    "widening": "bench.table.widening",
    "shop": "bench.table.shop",
    "paging": "bench.table.paging",
    "staged": "bench.table.staged",
    "relevance": "bench.relevance.measure",
    "objects": "bench.objects.quality",
    "objects-cost": "bench.objects.cost",
    "objects-scale": "bench.objects.scale",
    "sizing": "bench.sizing.machines",
    "bulk": "bench.speed.bulk",
    "calls": "bench.calls.measure",
    "lines": "bench.compare.lines",
}
"""Modules by command. Each has a question as the first line of its docstring, `add_options(parser)`
and `run(options, report)`, which returns the limits."""


def question_of(module: str) -> str:
    """First line of a module's docstring, without importing it."""
    path = PROJECT / (module.replace(".", "/") + ".py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    return (text or "").splitlines()[0]


def _end_on_signals() -> None:
    """Let SIGTERM and SIGHUP unwind the stack as Ctrl+C does, so that every child is ended."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


def main() -> None:
    """Run a command; exits with 1 if a limit was missed."""
    name, *words = sys.argv[1:] or ["--list"]
    if name not in COMMANDS:
        print("python -m bench NAME [--help]\n")
        for each, module in COMMANDS.items():
            print(f"{each:14}{question_of(module)}")
        sys.exit(0 if name in {"--list", "--help", "-h"} else 2)
    command = importlib.import_module(COMMANDS[name])
    parser = argparse.ArgumentParser(
        prog=f"python -m bench {name}",
        description=command.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", type=Path, help="write the report to this file as well")
    command.add_options(parser)
    options = parser.parse_args(words)
    _end_on_signals()
    report = Report(question_of(COMMANDS[name]), " ".join(["python -m bench", name, *words]))
    kept = report.judge(command.run(options, report))
    if options.json:
        report.json(options.json)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
