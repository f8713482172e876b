"""Timing of asynchronous calls, one after the other."""

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

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
