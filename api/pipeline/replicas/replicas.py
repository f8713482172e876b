"""Replicas of a model on other hosts: the least busy one is called, dead ones are tried again.

All of them have the same model, weights included: one that has another is not called, as vectors
of different models must not meet in one table. Each says what it has when it is first reached, when
it comes back, every few seconds between, and by a fingerprint in each of its answers.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, Self

import aiohttp

from api.pipeline.replicas.replica import LostError, Replica
from runners.schemas import ModelInfo
from runners.serving.wire import Batch

logger = logging.getLogger("bentoml.image_search")

LOOK_S = 2.0
"""Between two looks at a replica that answers, and at one that does not."""

_MISSES = 2
"""Looks in a row at one that is silent before its calls are made elsewhere: it may be busy."""

_CAPACITY = frozenset({"calls", "items", "fingerprint"})
"""What replicas may have differently, as their machines do; and what follows from the rest."""

State = Literal["unknown", "alive", "doubtful", "dead", "other model"]


class ReplicaMismatchError(Exception):
    """Replicas serve different models; the message names them in one line."""


class Replicas:
    """BentoML's client of a dependency, as far as it is used here, for services on other hosts.

    Args:
        setting: that names them.
        urls: of the services.
        token: that they want.
        model: how they describe their model.
    """

    def __init__(
        self, setting: str, urls: Sequence[str], token: str, model: type[ModelInfo]
    ) -> None:
        self._setting = setting
        self.all = [Replica(url, token, model) for url in urls]
        self._states: dict[Replica, State] = dict.fromkeys(self.all, "unknown")
        self._misses = dict.fromkeys(self.all, 0)
        self._model: Mapping[str, Any] | None = None
        self._fingerprint = ""
        self._doubts = {replica: asyncio.Event() for replica in self.all}
        self._watchers: list[asyncio.Task[None]] = []

    @property
    def to_async(self) -> Self:
        """As BentoML's client has it."""
        return self

    @property
    def alive(self) -> list[Replica]:
        """Those that may be called."""
        return [one for one in self.all if self._states[one] == "alive"]

    @property
    def calls(self) -> int:
        """Calls that they compute at the same time, or will when all of them answer."""
        known = [one.serving.calls for one in self.all if one.serving]
        return sum(known) + (len(self.all) - len(known)) * max(known, default=1)

    async def connect(self) -> Mapping[str, Any]:
        """Look at all of them; what the first that answers says of itself, with its model.

        Raises:
            ReplicaMismatchError: another one that answers serves another model.
            aiohttp.ClientError: none answers.
        """
        await asyncio.gather(*map(self._look, self.all))
        others = [one for one in self.all if self._states[one] == "other model"]
        if others:
            raise ReplicaMismatchError(f"{self._setting}: {self._difference(others[0])}")
        if self._model is None:
            raise LostError(f"none of {self._setting} answers")
        self._watchers = [asyncio.create_task(self._watch(one)) for one in self.all]
        return self._model

    async def call(self, method: str, batch: Batch) -> Any:
        """Compute a batch at the least busy replica, and where that is lost, at another one.

        Raises:
            aiohttp.ClientError: none of them answers.
            BentoMLException: the model failed.
        """
        tried: set[Replica] = set()
        while (replica := self._least_busy(tried)) is not None:
            try:
                return await replica.call(method, batch, self._fingerprint)
            except aiohttp.ClientError as error:
                tried.add(replica)
                self._doubt(replica, error)
        raise LostError(f"none of {self._setting} answers")

    async def is_ready(self) -> bool:
        """Whether one of them answers."""
        return bool(self.alive)

    async def close(self) -> None:
        """Look at them no more, and close all connections."""
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*(one.close() for one in self.all))

    def _least_busy(self, tried: set[Replica]) -> Replica | None:
        """Of those that answer; where there is none, of those that did a moment ago."""
        for state in ("alive", "doubtful"):
            left = [one for one in self.all if self._states[one] == state and one not in tried]
            if left:
                return min(left, key=lambda one: (one.items / one.capacity, one.used))
        return None

    def _doubt(self, replica: Replica, error: Exception) -> None:
        """Have it looked at at once; until then others are called."""
        if self._states[replica] == "alive":
            self._states[replica] = "doubtful"
            logger.warning(
                "%s: %s, a call is made elsewhere: %s", self._setting, replica.url, error
            )
        self._doubts[replica].set()

    async def _watch(self, replica: Replica) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._doubts[replica].wait()
            self._doubts[replica].clear()
            await self._look(replica)

    async def _look(self, replica: Replica) -> None:
        """Ask it what it serves, and settle whether it is called."""
        try:
            described = await replica.describe()
        except (aiohttp.ClientError, TimeoutError) as error:
            self._missed(replica, error)
            return
        self._misses[replica] = 0
        if self._model is None:
            self._model, self._fingerprint = described, described["fingerprint"]
        if _same(described) == _same(self._model):
            self._settle(replica, "alive", "answers")
        else:
            self._settle(replica, "other model", f"is not called: {self._difference(replica)}")
            replica.give_up()

    def _missed(self, replica: Replica, error: Exception) -> None:
        """One that refuses is gone, and so are its calls; one that is silent may be busy."""
        self._misses[replica] += 1
        is_silent = isinstance(error, TimeoutError)
        if not is_silent or self._misses[replica] >= _MISSES:
            self._settle(replica, "dead", f"does not answer{': ' if str(error) else ''}{error}")
            if is_silent:
                replica.give_up()

    def _settle(self, replica: Replica, state: State, words: str) -> None:
        """Take a state on, and tell of it once."""
        was, self._states[replica] = self._states[replica], state
        if state not in {was, "alive"} or (state == "alive" and was not in {"alive", "doubtful"}):
            level = logging.INFO if state == "alive" else logging.ERROR
            logger.log(level, "%s: %s %s", self._setting, replica.url, words)

    def _difference(self, replica: Replica) -> str:
        """How the model of one differs from that of the others."""
        own, others = _same(replica.described), _same(self._model or {})
        names = [name for name in {**others, **own} if own.get(name) != others.get(name)]
        told = ", ".join(f"{name} {_short(own.get(name))}" for name in names)
        instead = ", ".join(f"{name} {_short(others.get(name))}" for name in names)
        return (
            f"{replica.url} serves {told}, the others {instead}: all must have the same model"
            " and weights"
        )


def _same(described: Mapping[str, Any]) -> dict[str, Any]:
    """What must be the same of all replicas."""
    return {name: value for name, value in described.items() if name not in _CAPACITY}


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
