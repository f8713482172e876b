"""A repair of BentoML's supervisor: models can be reached until the last request is answered."""

from collections.abc import Callable
from typing import Any

from bentoml._internal.utils.circus import Arbiter
from circus.arbiter import Arbiter as CircusArbiter

_start = Arbiter.start


def keep_sockets_until_the_end() -> None:
    """Let this process remove the models' sockets after its workers have ended, not before.

    BentoML closes its exit stack, and with it the folder of the sockets, as the first step of a
    stop (1.4.39, `bentoml._internal.utils.circus.Arbiter.stop`). An API worker that finishes its
    requests then finds no model for those that come to need one. More than once does no harm.
    """
    Arbiter.start = _start_and_clean_up
    Arbiter.stop = CircusArbiter.stop


def _start_and_clean_up(arbiter: Any, cb: Callable[[Any], Any] | None = None) -> None:
    try:
        _start(arbiter, cb)  # returns when the supervisor has stopped
    finally:
        arbiter.exit_stack.close()
