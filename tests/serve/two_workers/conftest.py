"""One service for this folder: two API workers, a key, a log in JSON, and traces."""

from collections.abc import Iterator

import pytest

from demo.process import ServiceProcess
from tests.running import environment
from tests.serve.secrets import SECRET
from tests.serve.two_workers.collector import Collector

KEY = "a-key-with-ümlaut-of-length"
AUTHORIZED = {"Authorization": f"Bearer {KEY}".encode().decode("latin-1")}  # UTF-8, as sent


@pytest.fixture(scope="package")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(scope="package")
def watched(
    tmp_path_factory: pytest.TempPathFactory, collector: Collector
) -> Iterator[ServiceProcess]:
    """Two API workers behind a key, which log in JSON and export traces; models by torch."""
    folder = tmp_path_factory.mktemp("watched")
    tracing = {
        "exporter_type": "otlp",
        "sample_rate": "1.0",
        "otlp.protocol": "http",
        "otlp.endpoint": collector.url,
        "excluded_urls": "readyz",
    }
    options = " ".join(f"services.tracing.{name}={value}" for name, value in tracing.items())
    settings = environment(
        folder,
        IMAGE_SEARCH_RUNTIME="torch",
        IMAGE_SEARCH_API_WORKERS="2",
        IMAGE_SEARCH_API_KEYS=f"{KEY}, {SECRET}-is-a-key-too",
        IMAGE_SEARCH_LOG_FORMAT="json",
        BENTOML_CONFIG_OPTIONS=options,
        OTEL_BSP_SCHEDULE_DELAY="200",
    )
    with ServiceProcess(settings, folder / "log") as running:
        yield running
