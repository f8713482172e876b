"""A thread for what may block for ever, such as standard input: nobody waits for its end."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")
_Job = tuple[Callable[..., Any], tuple[Any, ...], "asyncio.Future[Any]"]


class Background:
    """Calls functions one after the other, in a thread that ends with the program.

    The threads of `asyncio.to_thread` are waited for when the program ends: Ctrl-C would take
    effect with the next line of input only.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        Thread(target=self._work, name="background", daemon=True).start()

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function and return what it does.

        Raises:
            Exception: whatever the function raised.
        """
        answer: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((function, args, answer))
        return await answer

    def _work(self) -> None:
        while True:
            function, args, answer = self._jobs.get()
            result, fault = None, None
            try:
                result = function(*args)
            except Exception as error:
                fault = error
            with suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(_settle, answer, result, fault)


def _settle(answer: "asyncio.Future[Any]", result: Any, fault: Exception | None) -> None:
    if answer.cancelled():  # nobody waits for it any more
        return
    if fault is None:
        answer.set_result(result)
    else:
        answer.set_exception(fault)
