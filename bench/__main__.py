"""The benchmarks: `python -m bench NAME`, one command per question; `--list` names them."""

import argparse
import ast
import importlib
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

from bench.report import Report

COMMANDS = {
    "versus": "bench.compare.versus",
    "throughput": "bench.speed.throughput",
    "latency": "bench.speed.latency",
    "guard": "bench.speed.guard",
    "memory": "bench.speed.memory",
    "command": "bench.speed.index_command",
    "overload": "bench.faults.overload",
    "soak": "bench.faults.soak",
    "kill": "bench.faults.kill",
    "growth": "bench.table.growth",
    "peers": "bench.compare.peers",
    "calls": "bench.calls.measure",
    "lines": "bench.compare.lines",
}
"""Modules by command. Each has a question as the first line of its docstring, `add_options(parser)`
and `run(options, report)`, which returns the limits."""


def question_of(module: str) -> str:
    """First line of a module's docstring, without importing it."""
    found = find_spec(module)
    assert found is not None and found.origin is not None  # noqa: S101, PT018 - for mypy
    text = ast.get_docstring(ast.parse(Path(found.origin).read_text(encoding="utf-8")))
    return (text or "").splitlines()[0]


def _list() -> str:
    width = max(map(len, COMMANDS))
    return "\n".join(f"{name:{width}}  {question_of(each)}" for name, each in COMMANDS.items())


def _end_on_signals() -> None:
    """Let SIGTERM and SIGHUP unwind the stack as Ctrl+C does, so that every child is ended."""

    def end(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


def main() -> None:
    """Run a command; exits with 1 if a limit was missed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure the service.",
        epilog=_list(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", choices=COMMANDS, metavar="NAME")
    parser.add_argument("--list", action="store_true", help="commands and their questions")
    given, rest = parser.parse_known_args(sys.argv[1:2])
    if given.command is None:
        print(_list() if given.list else parser.format_help())
        sys.exit(0 if given.list else 2)
    module = importlib.import_module(COMMANDS[given.command])
    command = argparse.ArgumentParser(
        prog=f"python -m bench {given.command}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--json", type=Path, help="write the report to this file as well")
    module.add_options(command)
    options = command.parse_args([*rest, *sys.argv[2:]])
    _end_on_signals()
    words = ["python -m bench", *sys.argv[1:]]
    report = Report(question_of(COMMANDS[given.command]), " ".join(words))
    kept = report.judge(module.run(options, report))
    if options.json:
        report.json(options.json)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
