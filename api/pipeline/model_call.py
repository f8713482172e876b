"""Calls of a model service's method: items that wait at the same time share one batched call.

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
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import aiohttp
import bentoml.exceptions
import numpy as np
from numpy.typing import NDArray

from api.errors import ModelUnavailableError
from api.telemetry.logs import REQUEST_ID
from api.telemetry.metrics import Queue, call_items, model_calls

ANSWER_S = 30.0
"""What a model may take for a batch of the API's, what waits in the model's queue included, and the
calls item by item where it fails. The supervisor keeps the socket of a model worker that died, so
that calls wait in it until the next one is ready, or for ever if one hangs."""

_PAUSES_S = (0.0, 0.0, 0.05, 0.5)
"""Before each attempt. A model service closes a connection that idled for 5 s at the very moment
when a burst may be using it again; its calls can be repeated without harm."""

T = TypeVar("T")
Item = NDArray[np.uint8] | str


@dataclass(eq=False)
class _Waiting:
    """An item, the context of its request, and the task that answers it, once it is sent."""

    item: Item
    context: Context
    sent: asyncio.Future[asyncio.Task[Any]]


class _FailedError(ModelUnavailableError):
    """The model answered that it failed: another call may go well."""


class ModelCall(Generic[T]):
    """One method of a model service; lives in one event loop.

    Args:
        client: BentoML's client of the service, a dependency of the API service.
        method: name of a batching method of it.
        joined: makes the method's argument of several items.
        calls: batches that it computes at the same time; a function where that changes.
        items: of a call at most.
    """

    def __init__(
        self,
        client: Any,
        method: str,
        joined: Callable[[list[Any]], Any] = list,
        calls: int | Callable[[], int] = 1,
        items: int = 16,
    ) -> None:
        # Once, and by name: looking the method up costs 0.3 ms a call, and the client has it as an
        # attribute only some time after the API service started.
        self._method = functools.partial(client.to_async.call, method)
        self._joined = joined
        self._most_calls = calls if callable(calls) else lambda: calls
        self._calls, self._max_items = 0, items
        self._line: deque[_Waiting] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._queue = Queue(method)
        self._work = model_calls(method)
        self._items = call_items(method)

    async def __call__(self, item: Item) -> T:
        """Compute the result of one item.

        A caller that is cancelled goes at once. What was sent for it by then is computed, and its
        call is over only when the model has answered: clients that come and go must not pile up
        work there.

        Raises:
            ModelUnavailableError: the service is gone, failed or does not answer.
        """
        waiting = self._enqueued(item)
        self._send()
        return await self._result(waiting)

    async def all(self, items: Sequence[Item]) -> list[T]:
        """Compute the results of some items, in as few calls as they fit into.

        Raises:
            ModelUnavailableError: as for one.
        """
        waiting = [self._enqueued(item) for item in items]
        self._send()
        return await asyncio.gather(*(self._result(each) for each in waiting))

    def _enqueued(self, item: Item) -> _Waiting:
        waiting = _Waiting(item, copy_context(), asyncio.get_running_loop().create_future())
        self._line.append(waiting)
        return waiting

    async def _result(self, waiting: _Waiting) -> T:
        with self._queue.wait():
            try:
                task = await waiting.sent
            except asyncio.CancelledError:
                with suppress(ValueError):
                    self._line.remove(waiting)
                raise
        result: T = await asyncio.shield(task)
        return result

    def _send(self) -> None:
        """Begin calls with what waits, as many as there may be."""
        while self._line and self._calls < self._most_calls():
            count = min(self._max_items, len(self._line))
            batch = [self._line.popleft() for _ in range(count)]
            batch = [one for one in batch if not one.sent.cancelled()]  # its caller is just leaving
            if not batch:
                continue
            self._calls += 1
            results: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
            for place, waiting in enumerate(batch):
                # In the context of its request: its span belongs to that one's trace.
                task = asyncio.create_task(
                    self._answered(place, batch, results), context=waiting.context
                )
                self._tasks.add(task)  # the event loop keeps no task alive
                task.add_done_callback(self._forget)
                waiting.sent.set_result(task)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # where nobody waits any more, nobody misses it

    async def _answered(
        self, place: int, batch: list[_Waiting], results: asyncio.Future[list[Any]]
    ) -> Any:
        """The result of an item, counted; the first of a batch makes the call for all."""
        with self._work():
            if place == 0:
                # Of this task alone, which makes the call: what it sends and logs is for all.
                REQUEST_ID.set(_ids_of(batch))
                results.set_result(await self._results([waiting.item for waiting in batch]))
                # Only the end of the event loop cancels this, and then nothing more is to begin.
                self._calls -= 1
                self._send()
            result = (await results)[place]
            if isinstance(result, Exception):
                raise result
            return result

    async def _results(self, items: list[Item]) -> list[Any]:
        """A result or an error for each item, all in the time for one call.

        Where the model fails at several, it is called for each by itself.
        """
        results: list[Any] = [None] * len(items)
        try:
            async with asyncio.timeout(ANSWER_S):
                try:
                    return list(await self._call(items))
                except _FailedError:
                    if len(items) == 1:
                        raise
                for place, item in enumerate(items):
                    [results[place]] = await self._results([item])
        except TimeoutError:
            late = ModelUnavailableError("the model service does not answer; try again")
            results = [late if result is None else result for result in results]
        except Exception as error:
            results = [error] * len(items)
        return results

    async def _call(self, items: list[Item]) -> Sequence[Any]:
        """One call; its results, one for each item."""
        self._items.observe(len(items))
        batch = self._joined(items)
        for pause_s in _PAUSES_S:
            await asyncio.sleep(pause_s)
            try:
                results: Sequence[Any] = await self._method(batch)
                break
            except aiohttp.ClientError as error:
                broken = error
            except bentoml.exceptions.BentoMLException as error:
                raise _FailedError("the model service failed; try again") from error
        else:
            gone = "the model service cannot be reached; try again"
            raise ModelUnavailableError(gone) from broken
        if len(results) != len(items):
            raise _FailedError("the model service gave no result; try again")
        return results


def _ids_of(batch: list[_Waiting]) -> str:
    """The ids of the requests that a call is made for."""
    ids = (waiting.context.get(REQUEST_ID, "") for waiting in batch)
    return ",".join(dict.fromkeys(filter(None, ids)))
