"""Questions that are asked at the same time, answered together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from store.table.faults import is_failure

AT_ONCE = 32
"""Questions at most that one answer is for: the first must not wait for hundreds."""

_Question = TypeVar("_Question")
_Answer = TypeVar("_Answer")


class Together(Generic[_Question, _Answer]):
    """Answers all questions that came while the ones before were answered; a lone one at once.

    Args:
        answer: answers questions that were asked before it is called, in their order.
    """

    def __init__(
        self, answer: Callable[[Sequence[_Question]], Awaitable[Sequence[_Answer]]]
    ) -> None:
        self._answer = answer
        self._waiting: list[tuple[_Question, asyncio.Future[_Answer]]] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, question: _Question) -> _Answer:
        """The answer to a question.

        Raises:
            BaseException: whatever the answering of these questions raised.
        """
        future: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="store-together")
        return await future

    async def _run(self) -> None:
        while self._waiting:
            asked, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            # Who was cancelled meanwhile asks no more.
            await self._settle([each for each in asked if not each[1].done()])

    async def _settle(self, asked: Sequence[tuple[_Question, asyncio.Future[_Answer]]]) -> None:
        try:
            answers = await self._answer([question for question, _ in asked]) if asked else []
        except BaseException as error:
            for _, future in asked:
                if not future.done():
                    future.set_exception(error)
            if not is_failure(error):
                raise
            return
        for (_, future), answer in zip(asked, answers, strict=True):
            if not future.done():
                future.set_result(answer)
