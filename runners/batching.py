"""A repair of BentoML's adaptive batching: a lone call must not wait for company that is gone.

The batcher holds calls back for as long as they waited on average of late. Under load that is the
time of a whole batch, and it is unlearned only over the next fifty calls, each of which waits as
long: measured here, a lone search took 161 ms after a burst of 64 and 25 ms before it. Holding back
gains next to nothing: while one batch is computed, the next one gathers anyway.
"""

from bentoml._internal.marshal.dispatcher import Optimizer

MAX_WAIT_S = 0.002
"""Longest time for which a call is held back to let others join it."""

_learn = Optimizer.trigger_refresh


def cap_batch_wait() -> None:
    """Bound what the batchers of this process learn to wait. More than once does no harm.

    BentoML 1.4.39 has no setting for it (`Optimizer.wait`, read by `CorkDispatcher.controller`).
    """
    Optimizer.trigger_refresh = _learn_capped


def _learn_capped(optimizer: Optimizer) -> None:
    _learn(optimizer)
    optimizer.wait = min(optimizer.wait, MAX_WAIT_S)
