"""The load, from a process of its own: closed loop (so many clients) or open loop (such a rate).

An open loop sends when a request is due, whether or not earlier ones were answered, as strangers
do; latencies count from when it was due, so that a service that stalls cannot hide it. How late the
sending itself was is told apart.
"""

import asyncio
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle
from pathlib import Path

from bench.traffic import Kind, Stream, bad, good
from bench.wire import Answer, Asked, Pool

_SWEEP_S = 0.5
_END_S = 0.05


@dataclass(frozen=True)
class Load:
    """What to send.

    Attributes:
        port: of the service.
        files: URL of the file server.
        closed_port: where nobody listens.
        seconds: how long new requests are sent.
        clients: of a closed loop; 0 for an open one.
        rate: requests per second of an open loop.
        bad_share: how many of the requests are bad.
        niceness: of the process.
        most_connections: at once.
        timeout_s: a request is given up then.
        seed: of the order and of the pauses.
        stream: requests of one route, in place of good and bad ones of all kinds.
    """

    port: int
    files: str
    closed_port: int
    seconds: float
    clients: int = 0
    rate: float = 0.0
    bad_share: float = 0.0
    niceness: int = 0
    most_connections: int = 1024
    timeout_s: float = 75.0
    seed: int = 1
    stream: Stream | None = None


@dataclass(frozen=True)
class Sent:
    """What came of it.

    Attributes:
        began: first request's time on the clock of the answers.
        answers: every request's, in the order of their ends.
        cpu: of one core, the share that the generator took while it sent.
        most_connections: that were open at once.
        repeated: requests that were sent again, after a kept connection had been closed.
        unsent: due, but given up, because no connection became free in time.
    """

    began: float
    answers: list[Answer]
    cpu: float
    most_connections: int
    repeated: int
    unsent: int


class Running:
    """A generator that was started; `result` waits for it."""

    def __init__(self, load: Load) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._output = Path(self._folder.name) / "answers.json"
        command = [sys.executable, "-m", "bench.generator", str(self._output)]
        self._process = subprocess.Popen([*command, json.dumps(asdict(load))])

    def result(self) -> Sent:
        """Wait for its end."""
        with self._folder:
            if self._process.wait() != 0:
                raise RuntimeError("the load generator failed")
            said = json.loads(self._output.read_text())
        return Sent(**{**said, "answers": [Answer(*each) for each in said["answers"]]})

    def stop(self) -> None:
        """End it where its result is of no use any more."""
        self._process.terminate()
        self._process.wait()


def kinds_of(load: Load) -> list[Kind]:
    """The kinds of requests; their numbers stand in the answers."""
    return [*good(load.files), *bad(load.files, load.closed_port)]


def _requests(load: Load) -> Iterator[Callable[[float], Asked]]:
    """Requests without end, drawn by the kinds' weights; each is made with the time it is due."""
    if load.stream is not None:
        for request in load.stream.requests(load.files):
            yield partial(Asked, 0, request)
    kinds = kinds_of(load)
    shares = _shares(kinds, load.bad_share)
    turns = [cycle(kind.requests) for kind in kinds]
    drawn = random.Random(load.seed)  # noqa: S311 - the same load in every run
    while True:
        for number in drawn.choices(range(len(kinds)), shares, k=1000):
            yield partial(Asked, number, next(turns[number]))


def _shares(kinds: Sequence[Kind], bad_share: float) -> list[float]:
    bad_weight = sum(kind.weight for kind in kinds if kind.codes)
    good_weight = sum(kind.weight for kind in kinds) - bad_weight
    bad_part, good_part = bad_share / bad_weight, (1 - bad_share) / good_weight
    return [kind.weight * (bad_part if kind.codes else good_part) for kind in kinds]


async def _run(load: Load) -> Sent:
    loop = asyncio.get_running_loop()
    requests = _requests(load)
    answers: list[Answer] = []
    began = loop.time()
    until = began + load.seconds

    def heard(answer: Answer) -> None:
        answers.append(answer)
        if load.clients and loop.time() < until:
            pool.send(next(requests)(loop.time()))

    pool = Pool(load.port, load.clients or load.most_connections, load.timeout_s, heard)
    cpu = time.process_time()
    for _ in range(load.clients):
        pool.send(next(requests)(loop.time()))
    if load.rate:
        await _send_when_due(load, pool, requests, until)
    while loop.time() < until:
        await asyncio.sleep(_SWEEP_S)
        pool.end_late()
    cpu = (time.process_time() - cpu) / (loop.time() - began)
    while pool.in_flight and loop.time() < until + load.timeout_s:
        await asyncio.sleep(_END_S)
        pool.end_late()
    unsent = pool.in_flight
    pool.close()
    return Sent(began, answers, cpu, pool.most_open, pool.repeated, unsent)


async def _send_when_due(
    load: Load, pool: Pool, requests: Iterator[Callable[[float], Asked]], until: float
) -> None:
    loop = asyncio.get_running_loop()
    pauses = random.Random(load.seed)  # noqa: S311
    due, swept = loop.time(), loop.time()
    while due < until:
        if due > loop.time():
            await asyncio.sleep(due - loop.time())
        pool.send(next(requests)(due))
        due += pauses.expovariate(load.rate)
        if loop.time() - swept > _SWEEP_S:
            swept = loop.time()
            pool.end_late()
            await asyncio.sleep(0)  # answers are read even where it cannot keep up


def main() -> None:
    """Send, then write what came of it."""
    given = json.loads(sys.argv[2])
    stream = given.pop("stream")
    load = Load(**given, stream=Stream(**stream) if stream else None)
    os.nice(load.niceness)
    gc.disable()  # nothing here makes cycles, and a collection over all answers takes long
    sent = asyncio.run(_run(load))
    Path(sys.argv[1]).write_text(json.dumps({**sent.__dict__, "answers": sent.answers}))


if __name__ == "__main__":
    main()
