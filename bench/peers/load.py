"""A closed loop: so many clients, each of which asks again as soon as it is answered."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus

from bench.verdict import percentile
from bench.wire import Answer, Asked, Pool

_TIMEOUT_S = 60.0
_SWEEP_S = 0.02


@dataclass
class Answers:
    """What clients got, of one or more turns.

    Attributes:
        all: the answers.
        seconds: how long each turn took, from its first request to its last answer.
        rates: good answers per second of each turn.
    """

    all: list[Answer] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Good answers per second of all turns together."""
        return self.good / sum(self.seconds) if self.seconds else float("nan")

    @property
    def good(self) -> int:
        """How many were answered 200."""
        return sum(answer.status == HTTPStatus.OK for answer in self.all)

    @property
    def failed(self) -> int:
        """How many were not."""
        return len(self.all) - self.good

    def ms(self, percent: float) -> float:
        """A percentile of the good answers' latencies."""
        took = [a.done - a.sent for a in self.all if a.status == HTTPStatus.OK]
        return percentile(took, percent) * 1e3

    def add(self, turn: "Answers") -> None:
        """Put another turn to it."""
        self.all += turn.all
        self.seconds += turn.seconds
        self.rates += turn.rates


def closed_loop(
    port: int, requests: Iterator[bytes], clients: int, *, seconds: float = 0, least: int = 0
) -> Answers:
    """Ask until the time is over and so many were asked, then wait for what is still to come.

    The wait counts: what was asked is to be answered, whatever a service leaves for the end.

    Args:
        port: of a service on loopback.
        requests: whole HTTP requests, without end.
        clients: in flight at once.
        seconds: for which new ones are sent.
        least: so many are sent, even if it takes longer.
    """
    return asyncio.run(_closed_loop(port, requests, clients, seconds, least))


async def _closed_loop(
    port: int, requests: Iterator[bytes], clients: int, seconds: float, least: int
) -> Answers:
    loop = asyncio.get_running_loop()
    began = loop.time()
    answers: list[Answer] = []
    sent = 0

    def send() -> None:
        nonlocal sent
        sent += 1
        pool.send(Asked(0, next(requests), loop.time()))

    def heard(answer: Answer) -> None:
        answers.append(answer)
        if sent < least or loop.time() < began + seconds:
            send()

    pool = Pool(port, clients, _TIMEOUT_S, heard)
    for _ in range(clients):
        send()
    while pool.in_flight:
        await asyncio.sleep(_SWEEP_S)
        pool.end_late()
    pool.close()
    turn = Answers(answers, [max(answer.done for answer in answers) - began])
    turn.rates.append(turn.rate)
    return turn
