"""One method of a model service as the API calls it: together what waits at the same time.

A call costs both sides some 4 ms of Python (HTTP, pickle, BentoML's middlewares), as much as a
small model needs for a picture. So there are as many calls at a time as the model computes
batches, and what comes meanwhile goes with the next one. An item that comes while there are fewer
goes at once. BentoML's own batching stays behind it and joins the calls of several API workers.

One call more, to be there when another ends, would cost more than the moment that it saves: while
one waits, BentoML's dispatcher looks every millisecond whether the model is free (1.4.39,
`CorkDispatcher.controller`), and batches get smaller.
"""

import asyncio
import functools
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import bentoml.exceptions
import numpy as np
from numpy.typing import NDArray

from api.errors import ModelUnavailableError
from api.telemetry.metrics import Queue, call_items, model_calls

ANSWER_S = 30.0
"""What a model may take for a batch of the API's, what waits in the model's queue included, and the
calls item by item where it fails. The supervisor keeps the socket of a model worker that died, so
that calls wait in it until the next one is ready, or for ever if one hangs."""

_PAUSES_S = (0.0, 0.0, 0.05, 0.5)
"""Before each attempt. A model service closes a connection that idled for 5 s at the very moment
when a burst may be using it again; its calls can be repeated without harm."""

Item = NDArray[np.uint8] | str


def _future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


@dataclass(eq=False)
class _Asked:
    """An item, for whom it is computed, and what becomes of it."""

    item: Item
    context: Context = field(default_factory=copy_context)
    sent: asyncio.Future[asyncio.Task[Any]] = field(default_factory=_future)
    result: asyncio.Future[Any] = field(default_factory=_future)


class _FailedError(ModelUnavailableError):
    """The model answered that it failed: another call may go well."""


class ModelCall:
    """One method of a model service; lives in one event loop.

    Args:
        client: BentoML's client of the service, a dependency of the API service.
        method: name of a batching method of it.
        joined: makes the method's argument of several items.
        calls: batches that it computes at the same time.
        items: of a call at most.
    """

    def __init__(
        self,
        client: Any,
        method: str,
        joined: Callable[[list[Any]], Any] = list,
        calls: int = 1,
        items: int = 16,
    ) -> None:
        # Once, and by name: looking the method up costs 0.3 ms a call, and the client has it as an
        # attribute only some time after the API service started.
        self._method = functools.partial(client.to_async.call, method)
        self._joined = joined
        self._most_calls, self._most_items = calls, items
        self._calls = 0
        self._waiting: deque[_Asked] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._queue, self._work = Queue(method), model_calls(method)
        self._items = call_items(method)

    async def one(self, item: Item) -> Any:
        """Compute the result of one item.

        A caller that is cancelled goes at once. What was sent for it by then is computed, and its
        call is over only when the model has answered: clients that come and go must not pile up
        work there.

        Raises:
            ModelUnavailableError: the service is gone, failed or does not answer.
        """
        asked = _Asked(item)
        self._waiting.append(asked)
        self._send()
        with self._queue.wait():
            try:
                task = await asked.sent
            except asyncio.CancelledError:
                if asked in self._waiting:
                    self._waiting.remove(asked)
                raise
        return await asyncio.shield(task)

    def _send(self) -> None:
        """Begin calls with what waits, as many as there may be."""
        while self._calls < self._most_calls and (batch := self._next_batch()):
            self._calls += 1
            for asked in batch:
                # In the context of its request: its span belongs to that one's trace.
                task = asyncio.create_task(self._answered(asked, batch), context=asked.context)
                self._tasks.add(task)  # the event loop keeps no task alive
                task.add_done_callback(self._forget)
                asked.sent.set_result(task)

    def _next_batch(self) -> list[_Asked]:
        batch: list[_Asked] = []
        while self._waiting and len(batch) < self._most_items:
            asked = self._waiting.popleft()
            if not asked.sent.cancelled():  # its caller is just leaving
                batch.append(asked)
        return batch

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # where nobody waits any more, nobody misses it

    async def _answered(self, asked: _Asked, batch: list[_Asked]) -> Any:
        """The result of an item, counted; the first of a batch makes the call for all."""
        with self._work():
            if asked is batch[0]:
                await self._settle(batch)
                # Only the end of the event loop cancels this, and then nothing more is to begin.
                self._calls -= 1
                self._send()
            return await asked.result

    async def _settle(self, batch: list[_Asked]) -> None:
        """Give each item of a batch its result or an error, all in the time for one call."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._compute(batch)
        except TimeoutError as error:
            late = ModelUnavailableError("the model service does not answer; try again")
            late.__cause__ = error
            _fail(batch, late)
        except Exception as error:
            _fail(batch, error)

    async def _compute(self, batch: list[_Asked]) -> None:
        """Call the model for a batch; where it fails at that, for each item by itself."""
        try:
            results = await self._results([asked.item for asked in batch])
        except _FailedError as error:
            if len(batch) == 1:
                batch[0].result.set_exception(error)
                return
            for asked in batch:  # one after another: BentoML would join them again
                await self._compute([asked])
        else:
            for asked, result in zip(batch, results, strict=True):
                asked.result.set_result(result)

    async def _results(self, items: list[Item]) -> Sequence[Any]:
        """One call; its results, one for each item."""
        self._items.observe(len(items))
        results: Sequence[Any] = await self._attempts(self._joined(items))
        if len(results) != len(items):
            raise _FailedError("the model service gave no result; try again")
        return results

    async def _attempts(self, batch: Any) -> Any:
        for pause_s in _PAUSES_S:
            await asyncio.sleep(pause_s)
            try:
                return await self._method(batch)
            except aiohttp.ClientError as error:
                broken = error
            except bentoml.exceptions.BentoMLException as error:
                raise _FailedError("the model service failed; try again") from error
        raise ModelUnavailableError("the model service cannot be reached; try again") from broken


def _fail(batch: list[_Asked], error: Exception) -> None:
    """Tell those of a batch that have no result yet."""
    for asked in batch:
        if not asked.result.done():
            asked.result.set_exception(error)
