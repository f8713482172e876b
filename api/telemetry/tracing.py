"""Traces: this service's own spans inside of BentoML's, where traces are exported.

BentoML (1.4.39) opens a span for each request of each of its services, goes on with a caller's
trace, and hands it to the model services. `span` adds what happens in between; nothing of a request
goes into one but how it ended. `docs/monitoring.md` says how to switch traces on.
"""

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from bentoml._internal import configuration
from bentoml._internal.configuration.containers import BentoMLConfiguration, BentoMLContainer
from opentelemetry.trace import StatusCode

from api.errors import outcome_of
from api.settings import SettingsError

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_EXPORTERS = {
    "otlp/http": "opentelemetry.exporter.otlp.proto.http",
    "otlp/grpc": "opentelemetry.exporter.otlp.proto.grpc",
    "zipkin": "opentelemetry.exporter.zipkin.json",
    "jaeger/thrift": "opentelemetry.exporter.jaeger.thrift",
    "jaeger/grpc": "opentelemetry.exporter.jaeger.proto.grpc",
}
"""What BentoML imports for each kind of exporter; the first alone is a dependency here."""


@contextmanager
def span(name: str) -> Iterator[None]:
    """A span around a block, if traces are exported at all; a failure is told by its code.

    The exception itself stays out of it: its text may hold what the log must not.
    """
    tracer = exported_tracer()
    if tracer is None:
        yield
        return
    with tracer.start_as_current_span(
        name, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield
        except BaseException as error:
            current.set_attribute("error.type", outcome_of(error))
            current.set_status(StatusCode.ERROR)
            raise


def are_exported() -> bool:
    """Does this worker send its traces anywhere?"""
    return bool(BentoMLContainer.tracing.exporter_type.get())


@functools.cache
def exported_tracer() -> "Tracer | None":
    """BentoML's tracer in this worker; None where no exporter is configured."""
    if not are_exported():
        return None
    tracer: Tracer = BentoMLContainer.tracer_provider.get().get_tracer("image_search")
    return tracer


def check_tracing() -> None:
    """Check the supervisor's configuration of traces, before any worker reads it.

    Raises:
        SettingsError: traces would be lost without a word, or the workers would end one by one.
    """
    tracing = BentoMLContainer.tracing.get()
    if not tracing["exporter_type"] and _at_top_level()["exporter_type"]:
        raise SettingsError(
            "BentoML ignores `tracing` at the top level of its configuration: "
            "write it under `services`, as services.tracing.exporter_type"
        )
    if tracing["exporter_type"] == "otlp" and tracing["otlp"]["compression"]:
        # BentoML hands a text on where the exporter wants an enumeration.
        raise SettingsError(
            "services.tracing.otlp.compression does not work: "
            "leave it out and set OTEL_EXPORTER_OTLP_COMPRESSION"
        )
    kind = _exporter(tracing)
    if kind in _EXPORTERS and not _is_installed(_EXPORTERS[kind]):
        package = _EXPORTERS[kind].replace(".", "-")
        raise SettingsError(f"traces as {kind} need a package that is not here: {package}")


def _at_top_level() -> Mapping[str, Any]:
    """What the operator wrote where BentoML's own documentation has it (1.4.39).

    The configuration of a service overwrites it in `Service.inject_config`.
    """
    written: Mapping[str, Any] = BentoMLConfiguration(
        override_config_file=configuration.get_bentoml_config_file_from_env(),
        override_config_values=configuration.get_bentoml_override_config_from_env(),
        override_config_json=configuration.get_bentoml_override_config_json_from_env(),
    ).to_dict()["tracing"]
    return written


def _exporter(tracing: Mapping[str, Any]) -> str:
    kind = str(tracing["exporter_type"])
    protocol = (tracing.get(kind) or {}).get("protocol")
    return f"{kind}/{protocol}" if protocol else kind


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package that it is in
        return False
