"""Prometheus metrics of the API's workers; `docs/monitoring.md` explains each.

Each process writes its values into files that `/metrics` adds up: prometheus_client does so where
BentoML has named a folder for them, as it does in its workers. No label ever holds what a client
sent.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

from prometheus_client import Counter, Gauge, Histogram

from api.errors import FAULT_CODES, Problem, outcome_of
from api.telemetry.tracing import exported_tracer, span
from store.schemas import Observer

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(f"image_search_{name}", text, labels)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    """One that tells the sum over the living workers."""
    return Gauge(f"image_search_{name}", text, labels, multiprocess_mode="livesum")


def _seconds(name: str, text: str, *labels: str) -> Histogram:
    return Histogram(f"image_search_{name}_seconds", text, labels, buckets=_SECONDS)


ERRORS = _counter("errors_total", "Answers that were errors", "route", "code")
REFUSALS = _counter("refusals_total", "Requests refused for what they are or ask for", "reason")
ABANDONED = _counter("abandoned_total", "Requests whose client left before their answer")
FAULTS = _counter("faults_total", "Requests failed for a cause of this service", "code")
for _code in FAULT_CODES:
    FAULTS.labels(_code)  # so that the first one counts as a rise from 0
REQUESTS_IN_FLIGHT = _gauge("requests_in_flight", "Requests worked on now")
LIMIT = _gauge("limit", "What may be in use at once, over all workers", "of")

DOWNLOADED_BYTES = _counter("download_bytes_total", "Bytes of downloaded files")
DOWNLOAD_RETRIES = _counter("download_retries_total", "Downloads that were tried again", "code")
DECODER_RESTARTS = _counter("decoder_restarts_total", "Decoders started anew", "reason")
DECODE_MEMORY = _gauge("decode_memory_bytes", "Memory that is set aside for pictures now")
SLOW_READERS_ENDED = _counter(
    "slow_readers_total", "Clients disconnected as they took their answers too slowly", "reason"
)
SENDING_BYTES = _gauge("sending_bytes", "Bytes of the large answers that are being sent now")
ANSWER_MEMORY = _gauge("answer_memory_bytes", "Memory that is set aside for large answers now")

WAITING = _gauge("waiting", "Pieces of work that wait now", "queue")
_WAIT_SECONDS = _seconds("wait", "Time that a piece of work waited", "queue")


class Queue:
    """A queue's gauge of how many wait, and its histogram of how long they did."""

    def __init__(self, name: str) -> None:
        self._waiting = WAITING.labels(name)
        self._seconds = _WAIT_SECONDS.labels(name)

    @contextmanager
    def wait(self) -> Iterator[None]:
        """Context manager around one wait."""
        began = time.perf_counter()
        self._waiting.inc()
        try:
            yield
        finally:
            self._waiting.dec()
            self._seconds.observe(time.perf_counter() - began)


@dataclass(frozen=True)
class Work:
    """Metrics of a kind of work: in flight, duration and outcomes; and a span in each trace."""

    name: str
    in_flight: Gauge
    seconds: Histogram
    outcomes: Callable[[str], Counter]

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Context manager around one piece of work."""
        began, outcome = time.perf_counter(), "ok"
        self.in_flight.inc()
        try:
            with span(self.name) if exported_tracer() else nullcontext():
                yield
        except BaseException as error:
            outcome = outcome_of(error)
            raise
        finally:
            self.in_flight.dec()
            self.seconds.observe(time.perf_counter() - began)
            self.outcomes(outcome).inc()


DOWNLOAD = Work(
    "download",
    _gauge("downloads_in_flight", "Downloads going on now"),
    _seconds("download", "Time of a download, from the name lookup to the last byte"),
    _counter("downloads_total", "Downloads by how they ended", "outcome").labels,
)
DECODE = Work(
    "decode",
    _gauge("decodes_in_flight", "Pictures being decoded now"),
    _seconds("decode", "Time to decode a picture and prepare it for a model"),
    _counter("decodes_total", "Pictures by how their decoding ended", "outcome").labels,
)
DRAW = Work(
    "draw",
    _gauge("draws_in_flight", "Pictures being drawn into now"),
    _seconds("draw", "Time to draw the boxes into a picture and encode it"),
    _counter("draws_total", "Pictures by how drawing into them ended", "outcome").labels,
)
SEARCH = Work(
    "search",
    _gauge("index_searches_in_flight", "Searches of the index going on now"),
    _seconds("index_search", "Time of a search of the index, without pictures and models"),
    _counter("index_searches_total", "Searches of the index by how they ended", "outcome").labels,
)
DOWNLOAD_QUEUE = Queue("download")
MEMORY_QUEUE = Queue("memory")
ANSWER_QUEUE = Queue("answer")

_MODELS = {
    "encode_images": "ClipEmbedder",
    "encode_texts": "ClipEmbedder",
    "detect": "YoloDetector",
}
_CALLS_IN_FLIGHT = _gauge(
    "model_calls_in_flight", "Pictures or texts that a model has now", "model", "method"
)
_CALL_SECONDS = _seconds("model_call", "Time of a call to a model", "model", "method")
_CALLS = _counter(
    "model_calls_total",
    "Pictures or texts sent to a model, by how their call ended",
    "model",
    "method",
    "outcome",
)
_CALL_ITEMS = Histogram(
    "image_search_model_call_items",
    "Pictures or texts that went to a model in one call",
    ("model", "method"),
    buckets=(1, 2, 4, 8, 16, 32, 64),
)


def call_items(method: str) -> Histogram:
    """How many items the calls of one method of a model service have."""
    return _CALL_ITEMS.labels(_MODELS[method], method)


def model_calls(method: str) -> Work:
    """Calls of one method of a model service, each item of them."""
    model = _MODELS[method]
    return Work(
        f"{model}.{method}",
        _CALLS_IN_FLIGHT.labels(model, method),
        _CALL_SECONDS.labels(model, method),
        partial(_CALLS.labels, model, method),
    )


def count_problem(route: str, problem: Problem) -> None:
    """Count an answer that is an error."""
    ERRORS.labels(route, problem.code).inc()
    if problem.ours:
        FAULTS.labels(problem.code).inc()
    else:
        REFUSALS.labels(problem.code).inc()


_INDEX_COMMIT_SECONDS = _seconds("index_commit", "Time of a commit, waiting for others included")
_INDEX_COMMIT_OPERATIONS = Histogram(
    "image_search_index_commit_operations",
    "Adds, changes and deletes that were written in one commit",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
)
_INDEX_UPKEEP_SECONDS = Histogram(
    "image_search_index_upkeep_seconds",
    "Time of a round of upkeep",
    buckets=(0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800),
)


class IndexObserver(Observer):
    """Counts the store's commits and rounds of upkeep."""

    def committed(self, operations: int, seconds: float) -> None:
        """A commit."""
        _INDEX_COMMIT_OPERATIONS.observe(operations)
        _INDEX_COMMIT_SECONDS.observe(seconds)

    def upkeep_done(self, seconds: float) -> None:
        """A round of upkeep."""
        _INDEX_UPKEEP_SECONDS.observe(seconds)
