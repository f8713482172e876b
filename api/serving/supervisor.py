"""Repairs of BentoML's supervisor, a circus arbiter: how it stops, and who commands it."""

from collections.abc import Callable
from typing import Any

from bentoml._internal.utils.circus import Arbiter
from circus.arbiter import Arbiter as CircusArbiter

_start = Arbiter.start


def repair_supervisor() -> None:
    """Make what supervises in this process stop in the right order, and take no commands.

    Before it starts; more than once does no harm.
    """
    Arbiter.start = _start_and_clean_up
    # BentoML closes its exit stack, and with it the folder of the models' sockets, as the first
    # step of a stop (1.4.39, `bentoml._internal.utils.circus.Arbiter.stop`). An API worker that
    # finishes its requests then finds no model for those that come to need one.
    Arbiter.stop = CircusArbiter.stop


def _start_and_clean_up(arbiter: Any, cb: Callable[[Any], Any] | None = None) -> None:
    close_control_sockets(arbiter)
    try:
        _start(arbiter, cb)  # returns when the supervisor has stopped
    finally:
        arbiter.exit_stack.close()


def close_control_sockets(arbiter: Any) -> None:
    """Keep circus's sockets within this process, where nobody can reach them.

    Whoever reaches the one for commands can have any command run (`add`, see
    https://circus.readthedocs.io/en/latest/for-ops/commands/), and circus asks for no password.
    BentoML opens it on a port of loopback (1.4.39, `create_standalone_arbiter`), which every user
    of the machine and every container of a pod reaches. It also picks that port a while before it
    is opened, so that the start fails where another program takes it meanwhile.

    Only what watches the files for `--reload` is a process of its own that uses them: it was told
    where they are, and they stay there.
    """
    if any(arbiter.endpoint in watcher.cmd for watcher in arbiter.watchers):
        return
    # Sockets of all supervisors of a process share one space of names.
    arbiter.endpoint = arbiter.ctrl.endpoint = f"inproc://commands-{id(arbiter)}"
    arbiter.pubsub_endpoint = f"inproc://events-{id(arbiter)}"
