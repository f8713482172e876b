"""What would lose all traces, or end the workers, is said at the start; spans hold no secrets."""

import json
import os
import subprocess
import sys

CHECK = """
import json, os, sys
import service
from api.settings import SettingsError
from api.telemetry.tracing import check_tracing
for options in json.loads(sys.argv[1]):
    os.environ["BENTOML_CONFIG_OPTIONS"] = options
    service.ImageSearch.inject_config()
    try:
        check_tracing()
        print("-")
    except SettingsError as error:
        print(error)
"""

SPANS = """
import service
from bentoml._internal.configuration.containers import BentoMLContainer
service.ImageSearch.inject_config()
from api.telemetry.tracing import span
provider = BentoMLContainer.tracer_provider.get()
with span("outer"):
    try:
        with span("inner"):
            raise ValueError("https://h/?secret")
    except ValueError:
        pass
provider.force_flush()
exporter = provider._active_span_processor._span_processors[0].span_exporter
inner, outer = exporter.get_finished_spans()
assert inner.parent.span_id == outer.context.span_id
assert (inner.name, dict(inner.attributes)) == ("inner", {"error.type": "internal"})
assert outer.status.is_ok and not inner.status.is_ok
assert "secret" not in inner.to_json()
"""


def run(code: str, argument: str = "", options: str = "") -> str:
    """What a process prints that starts with BentoML's options."""
    environment = {**os.environ, "IMAGE_SEARCH_MODELS": "demo", "BENTOML_CONFIG_OPTIONS": options}
    done = subprocess.run(
        [sys.executable, "-c", code, argument],
        env={**environment, "BENTOML_DO_NOT_TRACK": "True"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


OTLP = "services.tracing.exporter_type=otlp services.tracing.otlp.protocol="
EXPECTED = {
    "": "-",
    OTLP + "http": "-",
    OTLP + "grpc": "opentelemetry-exporter-otlp-proto-grpc",
    OTLP + "http services.tracing.otlp.compression=gzip": "OTEL_EXPORTER_OTLP_COMPRESSION",
    "services.tracing.exporter_type=zipkin": "opentelemetry-exporter-zipkin-json",
    "tracing.exporter_type=otlp": "services.tracing.exporter_type",
}


def test_a_start_that_would_lose_traces_says_so() -> None:
    said = run(CHECK, json.dumps(list(EXPECTED))).splitlines()
    for line, (options, expected) in zip(said, EXPECTED.items(), strict=True):
        assert (line == "-") == (expected == "-"), options
        assert expected in line


def test_spans_nest_and_tell_no_more_of_an_error_than_its_code() -> None:
    in_memory = "services.tracing.exporter_type=in_memory services.tracing.sample_rate=1.0"
    run(SPANS, options=in_memory)
