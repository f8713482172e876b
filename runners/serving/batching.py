"""Repairs of BentoML's adaptive batching, for which it has no settings (1.4.39).

A lone call must not wait for company that is gone. The batcher holds calls back for as long as they
waited on average of late. Under load that is the time of a whole batch, and it is unlearned only
over the next fifty calls, each of which waits as long: measured here, a lone search took 161 ms
after a burst of 64 and 25 ms before it. Holding back gains next to nothing: while one batch is
computed, the next one gathers anyway.

And a core that is free must not wait for one that computes: see `runners.serving.lanes`.
"""

from typing import Any

from bentoml._internal.marshal.dispatcher import CorkDispatcher, NonBlockSema, Optimizer

MAX_WAIT_S = 0.002
"""Longest time for which a call is held back to let others join it."""

_learn = Optimizer.trigger_refresh
_begin = CorkDispatcher.__init__


def cap_batch_wait() -> None:
    """Bound what the batchers of this process learn to wait. More than once does no harm.

    It is `Optimizer.wait`, read by `CorkDispatcher.controller`.
    """
    Optimizer.trigger_refresh = _learn_capped


def allow_batches(count: int) -> None:
    """Let the batchers made from now on have so many batches computed at the same time.

    BentoML's hold the next one back until the one before is done, however many `threads` there are:
    `CorkDispatcher` has a semaphore of 1 where it is given none, and `ServiceAppFactory` gives it
    none.
    """

    def begin(dispatcher: Any, *args: Any, **kwargs: Any) -> None:
        _begin(dispatcher, *args, **kwargs)
        dispatcher._sema = NonBlockSema(count)

    CorkDispatcher.__init__ = begin


def _learn_capped(optimizer: Optimizer) -> None:
    _learn(optimizer)
    optimizer.wait = min(optimizer.wait, MAX_WAIT_S)
