"""This service beside what a user would otherwise take, in one run, as ratios.

The same checkpoints, the same photographs from the same file server in a process of its own, the
same number of requests in flight; all services run, and are asked one after the other, in rounds::

    uv run python -m bench.peers

Exits with 1 if this service does not answer 1.3 times the requests per second of the plain FastAPI
service (the faster of its variants), or is behind any other peer, or has a higher p99 than they, or
fails a request.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.ending import end_on_signals
from bench.fileserver import FileServer
from bench.peers.catalog import PEERS, TASKS, Peer, ours
from bench.peers.measure import Bench, start
from bench.peers.tables import limits, tell, tell_absent, tell_who
from bench.report import Report
from bench.verdict import judged

_LONE = 1


def _chosen(names: str) -> list[Peer]:
    wanted = [name.strip() for name in names.split(",")]
    known = {peer.name: peer for peer in PEERS}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"no peer {unknown[0]!r}; there are {', '.join(known)}")
    return [known[name] for name in wanted]


def measure(
    peers: Sequence[Peer], clients: int, seconds: float, rounds: int, report: Report
) -> bool:
    """Measures, prints, and tells whether every limit was kept."""
    with ExitStack() as stack:
        files = stack.enter_context(FileServer(host="0.0.0.0"))  # noqa: S104
        contenders, failed = start([ours, *peers], files.url, stack)
        tell_who(report, [one.peer for one in contenders])
        bench = Bench(contenders, files.url, TASKS, (_LONE, clients))
        bench.warm_up()
        for _ in range(rounds):
            bench.round(seconds)
        memory = bench.memory()
    tell(report, bench.found, memory, clients)
    tell_absent(report, failed)
    return judged(report, limits(bench.found, peers, clients))


def main() -> None:
    """Runs and exits with 1 if a limit was not kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=32, help="in flight, besides a lone one")
    parser.add_argument("--seconds", type=float, default=6, help="of each turn")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--peers", type=_chosen, default=list(PEERS), help="names, with commas")
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    end_on_signals()
    report = Report(f"Peers: {wanted.clients} in flight, {wanted.rounds} rounds")
    kept = measure(wanted.peers, wanted.clients, wanted.seconds, wanted.rounds, report)
    if wanted.json:
        report.json(wanted.json)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
