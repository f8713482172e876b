"""Turns of load on services that all run at once, one after the other, and what each took."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count

from bench.peers.catalog import PICTURES, TASKS, Peer, Running, Task
from bench.peers.environments import PeerError
from bench.peers.load import Answers, closed_loop
from bench.peers.process import cpu_seconds, memory_mib

_WARM_UP = 8
_START_S = 120


@dataclass
class Turns:
    """What came of all turns of a service at one task, with so many clients.

    Attributes:
        answers: of every turn.
        cpu_s: seconds of CPU of each of the service's processes.
        others_cores: of the processor, what the other services took meanwhile, at most.
    """

    answers: Answers = field(default_factory=Answers)
    cpu_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    others_cores: float = 0.0

    def cpu_ms(self) -> float:
        """CPU of the whole service for a request."""
        return sum(self.cpu_s.values()) / len(self.answers.all) * 1e3


@dataclass(frozen=True)
class Contender:
    """A service that runs; no request of it is asked twice, but for the pictures, which recur."""

    peer: Peer
    server: Running
    numbers: Iterator[int] = field(default_factory=count)

    @property
    def root(self) -> int:
        """The pid of its first process."""
        return int(self.server.process.pid)

    def requests(self, task: Task, files: str) -> Iterator[bytes]:
        """Requests without end, as this service wants them."""
        return (self.peer.request(task, files, number) for number in self.numbers)


Found = dict[tuple[str, Task, int], Turns]
"""By the name of the service, the task and the clients."""


def start(
    peers: Sequence[Peer], files: str, stack: ExitStack
) -> tuple[list[Contender], dict[str, str]]:
    """Start every service.

    Returns:
        Those that run until the stack is closed; and why the others do not, by name.
    """
    running, failed = [], {}
    for peer in peers:
        with ExitStack() as its_own:
            try:
                one = Contender(peer, its_own.enter_context(peer.start()))
                _await_answer(one, files)
            except PeerError as error:
                failed[peer.name] = str(error)
            else:
                running.append(one)
                stack.push(its_own.pop_all())
    return running, failed


def _await_answer(one: Contender, files: str) -> None:
    """Ask a service for each of its tasks until it does it well: some listen before they can."""
    deadline = time.monotonic() + _START_S
    for task in one.peer.does:
        while not closed_loop(one.server.port, one.requests(task, files), 1, least=1).good:
            if time.monotonic() > deadline:
                raise PeerError(f"no good answer in {_START_S} s to: {task}")
            time.sleep(1)


class Bench:
    """Measures services in turn.

    Args:
        contenders: that run.
        files: URL of the file server.
        tasks: what is asked.
        clients: so many in flight, each in turn.
    """

    def __init__(
        self,
        contenders: Sequence[Contender],
        files: str,
        tasks: Sequence[Task] = TASKS,
        clients: Sequence[int] = (1, 32),
    ) -> None:
        self._contenders, self._files = contenders, files
        self._tasks, self._clients = tasks, clients
        self.found: Found = defaultdict(Turns)

    def warm_up(self) -> None:
        """Fill every index, and let every service do each task with all clients."""
        for one in self._contenders:
            for task in one.peer.does:
                least = PICTURES if task == "index" else _WARM_UP
                requests = one.requests(task, self._files)
                closed_loop(one.server.port, requests, max(self._clients), least=least)

    def round(self, seconds: float) -> None:
        """Every task with every number of clients, asked of one service after the other."""
        for task in self._tasks:
            for clients in self._clients:
                for one in self._contenders:
                    if task in one.peer.does:
                        self._turn(one, task, clients, seconds)

    def memory(self) -> dict[str, float]:
        """MiB of every service."""
        return {one.peer.name: memory_mib(one.root) for one in self._contenders}

    def _turn(self, one: Contender, task: Task, clients: int, seconds: float) -> None:
        before = {each.peer.name: cpu_seconds(each.root) for each in self._contenders}
        requests = one.requests(task, self._files)
        answers = closed_loop(one.server.port, requests, clients, seconds=seconds)
        turns = self.found[one.peer.name, task, clients]
        turns.answers.add(answers)
        others = 0.0
        for each in self._contenders:
            for role, cpu_s in cpu_seconds(each.root).items():
                took = cpu_s - before[each.peer.name].get(role, 0.0)
                if each is one:
                    turns.cpu_s[role] += took
                else:
                    others += took
        turns.others_cores = max(turns.others_cores, others / answers.seconds[0])
