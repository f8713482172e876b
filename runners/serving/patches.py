"""Changes to BentoML's adaptive batching, for which it has no settings (1.4.39).

BentoML's batcher holds calls back for as long as they waited on average of late, so that others may
join. Under load that is the time of a whole batch, and it is unlearned only over the next fifty
calls, each of which waits as long: a lone search took 161 ms after a burst of 64 and 25 ms before
it. Holding back gains next to nothing, as the next batch gathers while one is computed. And it
computes one batch at a time, however many `threads` a service has: see
`runners.device.layout.concurrent_batches`.
"""

from typing import Any

from bentoml._internal.marshal.dispatcher import CorkDispatcher, NonBlockSema, Optimizer

_begin = CorkDispatcher.__init__


class PromptOptimizer(Optimizer):
    """Has BentoML's batcher send a batch as soon as one may be computed; learns nothing."""

    def __init__(self, max_latency: float) -> None:
        super().__init__(max_latency)
        self.o_a = self.o_b = self.wait = 0.0

    def trigger_refresh(self) -> None:
        """Learn nothing of the batches so far."""


def apply(batches: int) -> None:
    """Patch the batchers that are made from now on; again with another number does no harm.

    Args:
        batches: that each of them may have computed at the same time.
    """

    def begin(dispatcher: Any, *args: Any, **kwargs: Any) -> None:
        _begin(dispatcher, *args, **kwargs)
        dispatcher._sema = NonBlockSema(batches)
        dispatcher.optimizer = PromptOptimizer(dispatcher.max_latency)

    CorkDispatcher.__init__ = begin
