"""Repairs of BentoML's supervisor, a circus arbiter: how it stops, and who commands it."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bentoml._internal.utils.circus import Arbiter
from circus.arbiter import Arbiter as CircusArbiter

_start = Arbiter.start


def repair_supervisor() -> None:
    """Make what supervises in this process stop in the right order and obey its own user alone.

    More than once does no harm.
    """
    Arbiter.start = _start_and_clean_up
    # BentoML closes its exit stack, and with it the folder of the models' sockets, as the first
    # step of a stop (1.4.39, `bentoml._internal.utils.circus.Arbiter.stop`). An API worker that
    # finishes its requests then finds no model for those that come to need one.
    Arbiter.stop = CircusArbiter.stop


def _start_and_clean_up(arbiter: Any, cb: Callable[[Any], Any] | None = None) -> None:
    try:
        _take_commands_from_its_user(arbiter)
        _start(arbiter, cb)  # returns when the supervisor has stopped
    finally:
        arbiter.exit_stack.close()


def _take_commands_from_its_user(arbiter: Any) -> None:
    """Move circus's sockets from TCP ports into a folder that nobody else may enter.

    Whoever reaches the one for commands can have any command run (`add`, see
    https://circus.readthedocs.io/en/latest/for-ops/commands/), and circus asks for no password.
    BentoML opens it on a port of loopback (1.4.39, `create_standalone_arbiter`), which every user
    of the machine and every container of a pod reaches. It also picks that port a while before it
    is opened, so that the start fails where another program takes it meanwhile.
    """
    folder = Path(tempfile.mkdtemp(prefix="circus-"))
    arbiter.exit_stack.callback(shutil.rmtree, folder, ignore_errors=True)
    moved = {
        arbiter.endpoint: f"ipc://{folder}/commands",
        arbiter.pubsub_endpoint: f"ipc://{folder}/events",
    }
    arbiter.endpoint = arbiter.ctrl.endpoint = moved[arbiter.endpoint]
    arbiter.pubsub_endpoint = moved[arbiter.pubsub_endpoint]
    for watcher in arbiter.watchers:  # the one for `--reload` was told where they are
        for old, new in moved.items():
            watcher.cmd = watcher.cmd.replace(old, new)
