"""BentoML's supervisor, a circus arbiter: how it stops, who commands it, where its files go.

And where it listens, and what its workers are given.
"""

import functools
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from _bentoml_impl.server import serving
from bentoml._internal.utils.circus import Arbiter
from circus.arbiter import Arbiter as CircusArbiter
from circus.sockets import CircusSocket

from api.access.hosts import listening_on
from api.settings import ENV_PREFIX
from runners.serving.service import MODEL_SERVICES

logger = logging.getLogger("bentoml.image_search")

MEMORY_DISK = Path("/dev/shm")  # noqa: S108 - the folder in it is private, or not taken
LEAST_FREE_BYTES = 16 << 20
"""The metric files of a service take 1 to 4 MiB: 64 KiB for each process and kind of metric, and
twice as much when they are full."""

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
TEMPORARY_FOLDER = "TMPDIR"
API_SERVER_NAME = "_bento_api_server"
API_WATCHER = "service"
"""What BentoML calls the API's socket and its workers (1.4.39, `_bentoml_impl.server.serving`)."""

_SECRETS = (f"{ENV_PREFIX}API_KEY", f"{ENV_PREFIX}FETCH_")
"""How the names of settings begin that hold keys, or what downloads are sent with."""

_TOKEN = f"{ENV_PREFIX}MODEL_TOKEN"
"""Of calls to a model service on a port."""

_NO_UNIX_SOCKETS = "BENTOML_NO_UDS"

_start = Arbiter.start


def patch(
    stop_s: float,
    umask: int,
    *,
    open_to_others: bool,
    prepare_model: Callable[[str], Mapping[str, str]],
) -> None:
    """Make the supervisor of this process stop in the right order and take no commands.

    Args:
        stop_s: after so many seconds a stop kills the workers that still run.
        umask: permissions that no file of it and of its workers is to have.
        open_to_others: whether others than this machine may reach the service.
        prepare_model: called before a model service is served by itself, with its name; returns
            environment variables that are settled for its workers.
    """
    keep_to_unix_sockets()

    @functools.wraps(_start)
    def start(arbiter: Any, cb: Callable[[Any], Any] | None = None) -> None:
        os.umask(umask)
        bound_stop(arbiter, stop_s)
        if model := model_alone(arbiter):
            settled = prepare_model(model)
            for watcher in arbiter.watchers:
                watcher.env.update(settled)
        elif not open_to_others:
            keep_to_loopback(arbiter)
        keep_keys_from_models(arbiter)
        _start_patched(arbiter, cb)

    Arbiter.start = start
    # BentoML closes its exit stack, and with it the folder of the models' sockets, as the first
    # step of a stop (1.4.39, `bentoml._internal.utils.circus.Arbiter.stop`). An API worker that
    # finishes its requests then finds no model for those that come to need one.
    Arbiter.stop = CircusArbiter.stop


def _start_patched(arbiter: Any, cb: Callable[[Any], Any] | None) -> None:
    close_control_sockets(arbiter)
    folders = [move_metrics_to_memory(arbiter), move_temporary_files(arbiter)]
    try:
        _start(arbiter, cb)  # returns when the supervisor has stopped
    finally:
        arbiter.exit_stack.close()
        for folder in filter(None, folders):
            shutil.rmtree(folder, ignore_errors=True)


def keep_to_unix_sockets() -> None:
    """Have BentoML call the models of this machine through Unix sockets, wherever there are some.

    Under WSL, or where `BENTOML_NO_UDS` is set, it would open a port on loopback for each of them
    (1.4.39, `serving._get_server_socket`), which takes no pickle (`api.middleware.model_port`).
    """
    serving.IS_WSL = False
    if os.environ.pop(_NO_UNIX_SOCKETS, None) is not None:
        logger.warning("%s is not heeded: models are called through Unix sockets", _NO_UNIX_SOCKETS)


def model_alone(arbiter: Any) -> str | None:
    """The name of the model service that is served by itself; None where the API is served."""
    served = [one.args for one in arbiter.watchers if one.name == API_WATCHER]
    return next((name for name in sorted(MODEL_SERVICES) if served and name in served[0]), None)


def keep_to_loopback(arbiter: Any) -> None:
    """Have the API listen on loopback where it was to listen on an address that others reach.

    BentoML listens on all interfaces where it is told nothing else (1.4.39, `http.host`), by an
    option, an environment variable or its configuration: so the socket is looked at itself.
    """
    asked = arbiter.sockets.get(API_SERVER_NAME)
    if asked is None or (host := listening_on(asked.host, open_to_others=False)) == asked.host:
        return
    arbiter.sockets[API_SERVER_NAME] = CircusSocket(
        name=API_SERVER_NAME, host=host, port=asked.port, backlog=asked.backlog
    )
    asked.close()
    logger.warning(
        "listening on %s instead of %s, as there are no API keys: set IMAGE_SEARCH_API_KEYS, or"
        " IMAGE_SEARCH_OPEN=true to let everybody in who reaches the port",
        host,
        asked.host,
    )


def keep_keys_from_models(arbiter: Any) -> None:
    """Take keys and the proxy's password out of the environment of all workers but the API's own.

    The key of the command line too, where a shell has both. A model service that is served by
    itself has the token for its callers, and no other secret.
    """
    is_alone = model_alone(arbiter) is not None
    secrets = _SECRETS if is_alone else (*_SECRETS, _TOKEN)
    for watcher in arbiter.watchers:
        if (is_alone or watcher.name != API_WATCHER) and watcher.env is not None:
            for name in [one for one in watcher.env if one.upper().startswith(secrets)]:
                del watcher.env[name]


def move_metrics_to_memory(arbiter: Any, disk: Path = MEMORY_DISK) -> Path | None:
    """Have the workers write their metrics to a folder on a tmpfs; None where that cannot be.

    Prometheus maps files whose space is not allocated. On a full disk the first number that falls
    on a new page ends its process with SIGBUS: all workers of a service whose table filled its own
    disk. BentoML's folder is also one for all services of a user, and each start empties it; this
    one is named by the port.
    """
    try:
        if shutil.disk_usage(disk).free < LEAST_FREE_BYTES:
            return None
    except OSError:
        return None
    return _private_folder(arbiter, disk / "image-search-metrics", METRICS_FOLDER)


def move_temporary_files(arbiter: Any) -> Path | None:
    """Have the workers write temporary files to a folder of their own; None where that cannot be.

    LanceDB writes rows there while it builds an index of some 40,000 of them and more, and what a
    killed worker has left would stay: the folder is emptied at the start and removed at the end.
    """
    folder = Path(tempfile.gettempdir()) / "image-search-temporary"
    return _private_folder(arbiter, folder, TEMPORARY_FOLDER)


def _private_folder(arbiter: Any, named: Path, variable: str) -> Path | None:
    """An empty folder of this user and port, which a variable names to all workers."""
    ports = [one.port for name, one in arbiter.sockets.items() if name == API_SERVER_NAME]
    folder = named.with_name(f"{named.name}-{os.getuid()}-{ports[0] if ports else 0}")
    shutil.rmtree(folder, ignore_errors=True)  # of a supervisor that was killed
    try:
        folder.mkdir(mode=0o700)
    except OSError:
        return None
    for watcher in arbiter.watchers:
        if watcher.env is not None:
            watcher.env[variable] = str(folder)
    return folder


def bound_stop(arbiter: Any, stop_s: float) -> None:
    """Kill workers that do not stop. BentoML waits for a day (1.4.39, `serving.create_watcher`)."""
    for watcher in arbiter.watchers:
        watcher.graceful_timeout = stop_s


def close_control_sockets(arbiter: Any) -> None:
    """Keep circus's sockets within this process, where nobody can reach them.

    Whoever reaches the one for commands can have any command run (`add`, see
    https://circus.readthedocs.io/en/latest/for-ops/commands/), and circus asks for no password.
    BentoML opens it on a port of loopback (1.4.39, `create_standalone_arbiter`), which every user
    of the machine and every container of a pod reaches. It also picks that port a while before it
    is opened, so that the start fails where another program takes it meanwhile.

    Only the file watcher of `--reload` is a process of its own that uses them: its command line
    names the addresses, so they stay.
    """
    if any(arbiter.endpoint in watcher.cmd for watcher in arbiter.watchers):
        return
    # Sockets of all supervisors of a process share one space of names.
    arbiter.endpoint = arbiter.ctrl.endpoint = f"inproc://commands-{id(arbiter)}"
    arbiter.pubsub_endpoint = f"inproc://events-{id(arbiter)}"
