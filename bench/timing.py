"""Timing of asynchronous calls, one after the other."""

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np

_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True)
class Timed(Generic[_Out]):
    """Answers in order, and how long each took."""

    answers: list[_Out]
    seconds: list[float]

    def ms(self, percentile: float) -> float:
        """A percentile of the times, in milliseconds."""
        return float(np.percentile(self.seconds, percentile)) * 1e3


async def each(call: Callable[[_In], Awaitable[_Out]], inputs: Iterable[_In]) -> Timed[_Out]:
    """Calls with one input after the other."""
    answers, seconds = [], []
    for given in inputs:
        began = time.perf_counter()
        answers.append(await call(given))
        seconds.append(time.perf_counter() - began)
    return Timed(answers, seconds)


def each_now(call: Callable[[_In], _Out], inputs: Iterable[_In]) -> Timed[_Out]:
    """The same for a call that is not asynchronous."""
    answers, seconds = [], []
    for given in inputs:
        began = time.perf_counter()
        answers.append(call(given))
        seconds.append(time.perf_counter() - began)
    return Timed(answers, seconds)


class Span(NamedTuple):
    """When a piece of work began and ended, in seconds, and how many items it was."""

    began: float
    done: float
    items: int = 1


def rate(spans: Iterable[Span], start: float, end: float) -> float:
    """Items per second between two moments while the same number of workers is always at it.

    Work that reaches over either moment counts by the share of its time that lies inside. Items
    that are done come in whole batches, so that counting them would depend on where a window cuts.
    """
    if end <= start:
        return float("nan")
    inside = sum(
        (min(each.done, end) - max(each.began, start)) / (each.done - each.began) * each.items
        for each in spans
        if each.began < end and each.done > start
    )
    return inside / (end - start)
