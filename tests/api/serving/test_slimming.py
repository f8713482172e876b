"""What BentoML's applications are made without: fails where a later BentoML has other parts."""

import json
import os
import subprocess
import sys

# In a process of its own: a second application of a service in one is refused.
APPLICATIONS = """
import json, sys
import service
from api.telemetry.trace_ids import TraceIds
from runners.clip.service import ClipEmbedder

names = lambda app: [one.cls.__name__ for one in app.user_middleware]
embedder = ClipEmbedder.to_asgi(is_main=False)
outer = service.ImageSearch.to_asgi()
while not hasattr(outer, "user_middleware"):
    outer = next(vars(outer)[name] for name in ("_app", "app") if name in vars(outer))
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


def test_no_spans_are_made_for_nobody() -> None:
    embedder, outer, types = applications()
    for middlewares in (embedder, outer):
        assert "TraceIds" in middlewares
        assert "AccessLogMiddleware" in middlewares
        assert not {"OpenTelemetryMiddleware", "TimeoutMiddleware"} & set(middlewares)
    assert types == ["application/json"] * 3


def test_exported_traces_are_bentomls() -> None:
    options = "services.tracing.exporter_type=in_memory services.tracing.sample_rate=1.0"
    for middlewares in applications(BENTOML_CONFIG_OPTIONS=options)[:2]:
        assert "OpenTelemetryMiddleware" in middlewares
        assert "TraceIds" not in middlewares
