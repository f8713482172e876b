"""The patches of BentoML, uvicorn and circus: fails where an upgrade has other parts."""

import asyncio
import inspect
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn.config
from _bentoml_impl.server import serving
from _bentoml_sdk import Service
from _bentoml_sdk.io_models import IOMixin
from bentoml._internal.server.http.traffic import TimeoutMiddleware
from bentoml._internal.utils.circus import Arbiter, create_standalone_arbiter
from bentoml.serving import create_watcher
from circus.arbiter import Arbiter as CircusArbiter
from circus.plugins import get_plugin_cmd
from circus.sockets import CircusSocket
from circus.watcher import Watcher
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.serving.patches.server import NOWHERE, ClientsPath, KnownPaths
from api.serving.patches.supervisor import (
    API_SERVER_NAME,
    API_WATCHER,
    METRICS_FOLDER,
    bound_stop,
    close_control_sockets,
    keep_keys_from_models,
    keep_to_loopback,
    keep_to_unix_sockets,
    model_alone,
    move_metrics_to_memory,
)


@pytest.mark.parametrize(
    ("patched", "parameters"),
    [
        (Arbiter.start, ["self", "cb"]),
        (Arbiter.stop, ["self"]),
        (CircusArbiter.stop, ["self"]),
        (Service.to_asgi, ["self", "is_main"]),
        (IOMixin.mime_type, []),
        (TimeoutMiddleware, ["app", "timeout"]),
        (OpenTelemetryMiddleware, None),
        (HttpToolsProtocol.connection_made, ["self", "transport"]),
        (HttpToolsProtocol.connection_lost, ["self", "exc"]),
        (HttpToolsProtocol.data_received, ["self", "data"]),
        (HttpToolsProtocol.on_headers_complete, ["self"]),
        (HttpToolsProtocol.on_body, ["self", "body"]),
        (HttpToolsProtocol.send_400_response, ["self", "msg"]),
    ],
    ids=lambda one: getattr(one, "__qualname__", ""),
)
def test_what_is_patched_has_its_old_shape(patched: Any, parameters: list[str] | None) -> None:
    unpatched = inspect.unwrap(patched)
    if parameters is not None:
        assert list(inspect.signature(unpatched).parameters) == parameters


def test_what_patches_read_is_still_there() -> None:
    source = inspect.getsource(HttpToolsProtocol) + inspect.getsource(RequestResponseCycle)
    for name in ("self.url", "self.headers", "self.scope", "self.cycle", "self.pipeline"):
        assert name in source
    for name in ("response_complete", "response_started", "more_body", "keep_alive"):
        assert f"self.{name} =" in source
    assert serving.API_SERVER_NAME == API_SERVER_NAME
    assert "auto" in uvicorn.config.HTTP_PROTOCOLS
    assert METRICS_FOLDER in inspect.getsource(serving.serve_http)


# In a process of its own: a second application of a service in one is refused.
APPLICATIONS = """
import json, sys
import service
from runners.clip.service import ClipEmbedder

def names(app):
    while not hasattr(app, "user_middleware"):
        app = next(vars(app)[name] for name in ("_app", "app") if name in vars(app))
    return [one.cls.__name__ for one in app.user_middleware]

embedder = ClipEmbedder.to_asgi(is_main=False)
assert type(embedder).__name__ == "ModelPort"
outer = service.ImageSearch.to_asgi()
types = [method.output_spec.media_type for method in ClipEmbedder.apis.values()]
print(json.dumps([names(embedder), names(outer), types]))
"""


def applications(**environment: str) -> tuple[list[str], list[str], list[str]]:
    command = [sys.executable, "-c", APPLICATIONS]
    ran = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    embedder, outer, types = json.loads(ran.stdout.splitlines()[-1])
    return embedder, outer, types


def test_no_spans_are_made_where_none_are_exported() -> None:
    embedder, outer, types = applications()
    for middlewares in (embedder, outer):
        assert "TraceIds" in middlewares
        assert "AccessLogMiddleware" in middlewares
        assert not {"OpenTelemetryMiddleware", "TimeoutMiddleware"} & set(middlewares)
    assert outer[-1] == "ClientsPath"
    assert types == ["application/json"] * 3


def test_exported_traces_are_bentomls() -> None:
    options = "services.tracing.exporter_type=in_memory services.tracing.sample_rate=1.0"
    for middlewares in applications(BENTOML_CONFIG_OPTIONS=options)[:2]:
        assert "OpenTelemetryMiddleware" in middlewares
        assert "TraceIds" not in middlewares


async def _no_message() -> Message:
    return {}


async def _ignored(_: Message) -> None:
    pass


async def _seen(path: str, query: bytes) -> tuple[Scope, Scope]:
    """What BentoML's middlewares see of a request, and what its routes do."""
    seen: list[Scope] = []

    async def routes(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def metrics(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await ClientsPath(routes)(scope, receive, send)

    scope = {"type": "http", "path": path, "raw_path": path.encode(), "query_string": query}
    known = KnownPaths(metrics, ["/images", "/images/{id}", "/index"])
    await known(scope, _no_message, _ignored)
    return seen[0], seen[1]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/index", "/index"),
        ("/images", "/images"),
        ("/images/abc", "/images/{id}"),
        ("/images/a\nforged", "/images/{id}"),
        ("/images/{id}", "/images/{id}"),
        ("/images/", NOWHERE),
        ("/images/a/b", NOWHERE),
        ("/Index", NOWHERE),
    ],
)
def test_metrics_and_logs_see_few_paths(path: str, name: str) -> None:
    shown, restored = asyncio.run(_seen(path, b"limit=3"))
    assert (shown["path"], shown["raw_path"]) == (name, name.encode())
    assert shown["query_string"] == b""
    lost = name == NOWHERE
    assert restored["path"] == (NOWHERE if lost else path)
    assert restored["raw_path"] == (NOWHERE if lost else path).encode()
    assert restored["query_string"] == (b"" if lost else b"limit=3")


def test_the_supervisor_takes_commands_nowhere() -> None:
    arbiter = create_standalone_arbiter([Watcher("model", sys.executable)])
    close_control_sockets(arbiter)
    assert arbiter.ctrl.endpoint == arbiter.endpoint
    assert {arbiter.endpoint[:9], arbiter.pubsub_endpoint[:9]} == {"inproc://"}


def test_two_supervisors_in_a_process_do_not_meet() -> None:
    arbiters = [create_standalone_arbiter([]) for _ in range(2)]
    for arbiter in arbiters:
        close_control_sockets(arbiter)
    assert len({each for a in arbiters for each in (a.endpoint, a.pubsub_endpoint)}) == 4


def test_the_reloaders_supervisor_stays_where_it_was() -> None:
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


def test_the_models_workers_are_given_no_keys() -> None:
    names = "API_KEYS", "API_KEYS_FILE", "API_KEY", "api_keys", "FETCH_PROXY", "MODEL_TOKEN"
    env = {f"IMAGE_SEARCH_{name}": "x" for name in (*names, "DEVICE")}
    workers = [
        SimpleNamespace(name=name, args=["--service-name", "ImageSearch"], env=dict(env))
        for name in ("service_ClipEmbedder", API_WATCHER)
    ]
    keep_keys_from_models(SimpleNamespace(watchers=[*workers, SimpleNamespace(name="x", env=None)]))
    assert [one.env for one in workers] == [{"IMAGE_SEARCH_DEVICE": "x"}, env]


def test_a_model_service_alone_is_given_the_token_and_no_keys() -> None:
    names = ("API_KEYS", "FETCH_PROXY", "MODEL_TOKEN", "DEVICE")
    env = {f"IMAGE_SEARCH_{name}": "x" for name in names}
    args = ["--service-name", "YoloDetector"]
    arbiter = SimpleNamespace(watchers=[SimpleNamespace(name=API_WATCHER, args=args, env=env)])
    assert model_alone(arbiter) == "YoloDetector"
    keep_keys_from_models(arbiter)
    assert set(env) == {"IMAGE_SEARCH_MODEL_TOKEN", "IMAGE_SEARCH_DEVICE"}


def test_models_are_called_through_unix_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """BentoML reads both where it would take a port of loopback instead."""
    source = inspect.getsource(serving._get_server_socket)
    assert "IS_WSL" in source
    assert '"BENTOML_NO_UDS" in os.environ' in source
    monkeypatch.setattr(serving, "IS_WSL", True)
    monkeypatch.setenv("BENTOML_NO_UDS", "1")
    keep_to_unix_sockets()
    assert (serving.IS_WSL, os.environ.get("BENTOML_NO_UDS")) == (False, None)


def test_what_the_supervisor_calls_the_apis_workers() -> None:
    source = inspect.getsource(serving.serve_http)
    assert f'name="{API_WATCHER}"' in source
    assert f"name={serving.API_SERVER_NAME!r}" in source or "name=API_SERVER_NAME" in source


@pytest.mark.parametrize(("host", "family"), [("0.0.0.0", socket.AF_INET), ("::", socket.AF_INET6)])
def test_without_keys_the_socket_is_loopbacks(
    host: str, family: int, caplog: pytest.LogCaptureFixture
) -> None:
    asked = CircusSocket(name=API_SERVER_NAME, host=host, port=0, family=family)
    arbiter = create_standalone_arbiter([], sockets=[asked])
    keep_to_loopback(arbiter)
    arbiter.sockets.bind_and_listen_all()
    try:
        bound = [one.getsockname()[0] for one in arbiter.sockets.values()]
    finally:
        arbiter.sockets.close_all()
    assert bound == ["127.0.0.1"]
    assert len(caplog.records) == 1
    assert f"127.0.0.1 instead of {host}" in caplog.text
    keep_to_loopback(arbiter)
    assert len(caplog.records) == 1


def test_metrics_go_to_memory_where_there_is_some(tmp_path: Path) -> None:
    workers = [SimpleNamespace(env={METRICS_FOLDER: "/home/x"}), SimpleNamespace(env=None)]
    sockets = {API_SERVER_NAME: SimpleNamespace(port=3000)}
    arbiter = SimpleNamespace(watchers=workers, sockets=sockets)
    assert move_metrics_to_memory(arbiter, tmp_path / "none") is None
    assert workers[0].env == {METRICS_FOLDER: "/home/x"}
    folder = move_metrics_to_memory(arbiter, tmp_path)
    assert folder is not None
    assert folder.parent == tmp_path
    (folder / "left by a supervisor that was killed").touch()
    assert move_metrics_to_memory(arbiter, tmp_path) == folder
    assert not list(folder.iterdir())
    assert [one.env for one in workers] == [{METRICS_FOLDER: str(folder)}, None]


def test_a_worker_that_hangs_does_not_keep_a_stop_for_a_day() -> None:
    watcher = create_watcher("worker", [])
    assert watcher.graceful_timeout == 86_400
    bound_stop(SimpleNamespace(watchers=[watcher]), 75.0)
    assert watcher.graceful_timeout == 75
