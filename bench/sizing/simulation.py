"""Machines that share one table, simulated by events: their processors, and commits that race.

A machine's clients wait for one add or search each, one after the other. An add takes its share of
the machine's processors, then waits for a commit with all others that wait there, as
`store.write.writer` has it. A commit is made behind the version that it was planned at or not at
all; who has lost three races has the others wait, as `store.write.serial` has it.
"""

import random
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import simpy

from store.write.serial import FEW
from store.write.writer import MOST_REST_S, REST_SHARE

Steps = Generator[simpy.Event, Any, Any]
_LOOK_S = 0.1
"""Between two looks whether writers may go on."""
_PAUSE_S = 0.02
"""After the first race that was lost; doubled after each one more."""


@dataclass(frozen=True)
class Costs:
    """What one machine has, and what an operation takes of it.

    Attributes:
        add_s: processor seconds of an add, those of the models included.
        search_s: likewise of a search.
        cores: of a machine.
        request_s: of one request to the store, on the average; each takes half to one and a half.
        clients: of a machine, each of which waits for one answer after the other.
        rows: of a commit at most.
    """

    add_s: float
    search_s: float
    cores: int
    request_s: float
    clients: int
    rows: int = 256


@dataclass
class Told:
    """What was counted.

    Attributes:
        add_s: how long each add took.
        busy_s: processor seconds, of all machines.
        requests: to the store by their kinds: `list`, `read`, `write`.
    """

    add_s: list[float] = field(default_factory=list)
    searches: int = 0
    commits: int = 0
    lost: int = 0
    busy_s: float = 0.0
    requests: Counter[str] = field(default_factory=Counter)


class Table:
    """The table's last version, who has the others wait, and the way to the store.

    Args:
        environment: of the simulation.
        request_s: of a request.
    """

    def __init__(self, environment: simpy.Environment, request_s: float) -> None:
        self.environment, self.told = environment, Told()
        self.version = 0
        self.first: Machine | None = None
        self.drawn = random.Random(1)  # noqa: S311 - the same in every run
        self._request_s = request_s

    def asks(self, *kinds: str) -> Steps:
        """Requests, one after the other."""
        for kind in kinds:
            self.told.requests[kind] += 1
            yield self.environment.timeout(self._request_s * self.drawn.uniform(0.5, 1.5))


class Machine:
    """A service on a machine of its own.

    Args:
        table: that it shares.
        costs: of its work.
        adds: their share of its clients' requests.
    """

    def __init__(self, table: Table, costs: Costs, adds: float) -> None:
        self._table, self._costs, self._adds = table, costs, adds
        self._environment = table.environment
        self._processors = simpy.Resource(self._environment, costs.cores)
        self._waiting: list[simpy.Event] = []
        self._woken = self._environment.event()
        self._seen = 0
        for _ in range(costs.clients):
            self._environment.process(self._client())
        self._environment.process(self._writer())

    def _client(self) -> Steps:
        while True:
            is_add = self._table.drawn.random() < self._adds
            yield from self._add() if is_add else self._search()

    def _computes(self, seconds: float) -> Steps:
        with self._processors.request() as turn:
            yield turn
            yield self._environment.timeout(seconds)
            self._table.told.busy_s += seconds

    def _add(self) -> Steps:
        began, done = self._environment.now, self._environment.event()
        yield from self._computes(self._costs.add_s)
        self._waiting.append(done)
        if not self._woken.triggered:
            self._woken.succeed()
        yield done
        self._table.told.add_s.append(self._environment.now - began)

    def _search(self) -> Steps:
        yield from self._table.asks("list")
        if self._table.version != self._seen:  # what is new is read by the first search after it
            self._seen = self._table.version
            yield from self._table.asks("read", "read")
        yield from self._computes(self._costs.search_s)
        self._table.told.searches += 1

    def _writer(self) -> Steps:
        while True:
            if not self._waiting:
                self._woken = self._environment.event()
                yield self._woken
            began, rows = self._environment.now, self._costs.rows
            some, self._waiting = self._waiting[:rows], self._waiting[rows:]
            yield from self._committed()
            for each in some:
                each.succeed()
            rest = REST_SHARE * (self._environment.now - began)
            yield self._environment.timeout(min(MOST_REST_S, rest))

    def _committed(self) -> Steps:
        for lost in range(FEW):
            if (yield from self._attempt()):
                return
            pause = _PAUSE_S * 2**lost * self._table.drawn.uniform(0.5, 1.5)
            yield self._environment.timeout(pause)
        yield from self._has_others_wait()
        while not (yield from self._attempt()):
            pass
        yield from self._table.asks("list", "read", "write", "write")
        self._table.first = None

    def _has_others_wait(self) -> Steps:
        while True:
            yield from self._table.asks("list", "read", "write", "write")
            if self._table.first is None:
                self._table.first = self
                return
            yield self._environment.timeout(2 * _LOOK_S)

    def _attempt(self) -> Generator[simpy.Event, Any, bool]:
        """One commit, by six requests; whether it was made."""
        table = self._table
        yield from table.asks("list")
        while table.first not in (None, self):
            yield self._environment.timeout(_LOOK_S)
            yield from table.asks("list")
        planned = table.version
        yield from table.asks("read", "write", "write", "list", "write")
        if table.version != planned:
            table.told.lost += 1
            return False
        table.version += 1
        table.told.commits += 1
        return True


def simulated(machines: int, costs: Costs, adds: float, *, seconds: float, before: float) -> Told:
    """What so many machines do in some seconds, once they have worked for some before.

    Args:
        machines: how many.
        costs: of their work.
        adds: their share of the requests, 0 to 1.
        seconds: that are counted.
        before: that are not.
    """
    environment = simpy.Environment()
    table = Table(environment, costs.request_s)
    for _ in range(machines):
        Machine(table, costs, adds)
    environment.run(until=before)
    table.told = told = Told()
    environment.run(until=before + seconds)
    return told
