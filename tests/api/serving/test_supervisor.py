"""Where the supervisor takes commands; `tests.serve.lifecycle.test_supervisor` looks at one."""

import sys
from types import SimpleNamespace

from bentoml._internal.utils.circus import create_standalone_arbiter
from circus.plugins import get_plugin_cmd
from circus.watcher import Watcher

from api.serving.supervisor import close_control_sockets


def test_nowhere() -> None:
    arbiter = create_standalone_arbiter([Watcher("model", sys.executable)])
    close_control_sockets(arbiter)
    assert arbiter.ctrl.endpoint == arbiter.endpoint
    assert {arbiter.endpoint[:9], arbiter.pubsub_endpoint[:9]} == {"inproc://"}


def test_two_in_a_process_do_not_meet() -> None:
    arbiters = [create_standalone_arbiter([]) for _ in range(2)]
    for arbiter in arbiters:
        close_control_sockets(arbiter)
    assert len({each for a in arbiters for each in (a.endpoint, a.pubsub_endpoint)}) == 4


def test_where_the_reloader_was_told() -> None:
    endpoint, events = "tcp://127.0.0.1:5555", "tcp://127.0.0.1:5556"
    plugin = {"use": "bentoml._internal.utils.circus.watchfilesplugin.ServiceReloaderPlugin"}
    command = get_plugin_cmd(plugin, endpoint, events, 10, None)
    arbiter = SimpleNamespace(
        endpoint=endpoint,
        pubsub_endpoint=events,
        ctrl=SimpleNamespace(endpoint=endpoint),
        watchers=[SimpleNamespace(cmd=sys.executable), SimpleNamespace(cmd=command)],
    )
    close_control_sockets(arbiter)
    assert (arbiter.endpoint, arbiter.ctrl.endpoint) == (endpoint, endpoint)
    assert arbiter.pubsub_endpoint == events
