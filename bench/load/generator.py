"""Load generator, in a process of its own: a closed loop of clients, or an open loop at a rate.

An open loop sends when a request is due, whether or not earlier ones were answered, as strangers
do; its latencies count from when a request was due, so that a service that stalls cannot hide it.
"""

import asyncio
import gc
import multiprocessing
import os
import random
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from bench.load.http import Client
from bench.load.traffic import Source
from bench.report import percentile

OK = 200
REFUSED = 429
_RAMP = 0.2
"""Share of a load's time until it counts."""
_LEAST_PAUSE_S = 0.0005


@dataclass(frozen=True)
class Load:
    """What to send: a closed loop of clients for some seconds, with so many requests at least, or
    an open one at a rate (requests per second).
    """

    port: int
    source: Source
    seconds: float = 0.0
    clients: int = 0
    requests: int = 0
    rate: float = 0.0
    niceness: int = 0
    timeout_s: float = 75.0


class Answer(NamedTuple):
    """One request's answer: its kind, when it was due, sent and done (the event loop's seconds),
    HTTP status or `NO_ANSWER`, and error code.
    """

    kind: str
    due: float
    sent: float
    done: float
    status: int
    code: str


@dataclass(frozen=True)
class Sent:
    """What a load came to: first request's time, seconds of sending, answers by their ends,
    CPU time of the generator.
    """

    began: float
    seconds: float
    answers: list[Answer]
    cpu_s: float = 0.0

    @property
    def good(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status == OK]

    @property
    def failed(self) -> int:
        """Answers of another status, or none."""
        return len(self.answers) - len(self.good)

    @property
    def rate(self) -> float:
        """Good answers per second, between the ramp and the end of the sending."""
        start, end = self.began + _RAMP * self.seconds, self.began + self.seconds
        return rate([Span(each.sent, each.done) for each in self.good], start, end)

    @property
    def latencies(self) -> list[float]:
        """Milliseconds of the good answers, from when they were sent."""
        return [(each.done - each.sent) * 1e3 for each in self.good]

    def ms(self, percent: float) -> float:
        """A percentile of the latencies."""
        return percentile(self.latencies, percent)


class Span(NamedTuple):
    """When a piece of work began and ended, in seconds, and how many items it was."""

    began: float
    done: float
    items: int = 1


def rate(spans: Iterable[Span], start: float, end: float) -> float:
    """Items per second between two moments while the same number of workers is always busy.

    Work that reaches over either moment counts by the share of its time that lies inside: answers
    come in whole batches, so that counting them would depend on where a window cuts.
    """
    if end <= start:
        return float("nan")
    inside = sum(
        (min(each.done, end) - max(each.began, start)) / (each.done - each.began) * each.items
        for each in spans
        if each.began < end and each.done > start
    )
    return inside / (end - start)


def send(load: Load) -> Sent:
    """Send a load from a new process and wait for its last answer."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_run, load).result()


def _run(load: Load) -> Sent:
    os.nice(load.niceness)
    gc.disable()  # no cycles are made here, and a collection over all answers takes long
    return asyncio.run(_sent(load))


async def _sent(load: Load) -> Sent:
    generator, cpu = _Generator(load), time.process_time()
    await (generator.open_loop() if load.rate else generator.closed_loop())
    cpu_s = time.process_time() - cpu
    generator.client.close()
    return Sent(generator.began, load.seconds, generator.answers, cpu_s)


class _Generator:
    """One load while it is sent."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._requests: Iterator[tuple[str, bytes]] = load.source.requests()
        self._loop = asyncio.get_running_loop()
        self._started = 0
        self.client = Client(load.port, load.clients or 1024, load.timeout_s)
        self.answers: list[Answer] = []
        self.began = self._loop.time()

    async def closed_loop(self) -> None:
        """Each client sends its next request as soon as it is answered."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._load.clients):
                tasks.create_task(self._client())

    async def open_loop(self) -> None:
        """Requests at random moments, on average so many a second."""
        pauses = random.Random(1)  # noqa: S311 - the same load in every run
        due, until = self.began, self.began + self._load.seconds
        async with asyncio.TaskGroup() as tasks:
            while due < until:
                # Answers are read even where it cannot keep up.
                await asyncio.sleep(max(_LEAST_PAUSE_S, due - self._loop.time()))
                tasks.create_task(self._one(due))
                due += pauses.expovariate(self._load.rate)

    async def _client(self) -> None:
        until, first = self.began + self._load.seconds, True
        while first or self._started < self._load.requests or self._loop.time() < until:
            first = False
            self._started += 1
            await self._one(self._loop.time())

    async def _one(self, due: float) -> None:
        kind, request = next(self._requests)
        reply = await self.client.ask(request)
        answer = Answer(kind, due, reply.sent, self._loop.time(), reply.status, reply.code)
        self.answers.append(answer)
