"""The running service seen from outside: its metrics move, its log and its traces keep secrets."""

import json
import os
import re
import signal
import time
from collections.abc import Callable
from typing import Any

import psutil
import requests

from demo.process import ServiceProcess
from demo.server import PictureServer
from tests.serve.conftest import AUTHORIZED, KEY
from tests.serve.load.collector import Collector
from tests.serve.secrets import SECRET, tell_secrets
from tests.test_monitoring import OF_BENTOML

REFRESH_S = 90  # what is looked at every 15 s must have been looked at by then, on busy cores too
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
HTTP = re.compile(r" http (send|receive)$")


class Metrics:
    """The values of `/metrics` now."""

    def __init__(self, service: ServiceProcess) -> None:
        answer = requests.get(f"{service.url}/metrics", headers=AUTHORIZED, timeout=60)
        lines = (line.rpartition(" ") for line in answer.text.splitlines() if line[:1] != "#")
        self._values = {name: float(value) for name, _, value in lines}
        self.names = {name.partition("{")[0] for name in self._values}

    def __getitem__(self, name: str) -> float:
        """The sum over all that begin so; a label may be the last thing given."""
        return sum(value for known, value in self._values.items() if known.startswith(name))


def until(check: Callable[[], bool], seconds: float = REFRESH_S) -> bool:
    deadline = time.monotonic() + seconds
    while not (held := check()) and time.monotonic() < deadline:
        time.sleep(0.3)
    return held


def test_each_metric_moves_when_the_thing_happens(
    service: ServiceProcess, pictures: PictureServer
) -> None:
    before = Metrics(service)
    url = pictures.url + "3.jpg?metrics"
    good = (
        ("post_image_to_index", {"url": url, "metadata": {"a": 1}}),
        ("search_simmilar_images", {"url": url}),
        ("search_simmilar_images", {"metadata": "a red circle"}),
        ("run_object_detection", {"url": url}),
    )
    for route, body in good:
        assert requests.post(f"{service.url}/{route}", json=body, timeout=60).ok
    pictures.add_file("no-image.jpg", b"no image")
    for name in ("no-image.jpg", "missing.jpg"):
        requests.post(f"{service.url}/run_object_detection", json={"url": pictures.url + name})
    requests.post(
        f"{service.url}/run_object_detection", "x", headers={"Content-Type": "text/plain"}
    )
    after = Metrics(service)

    def rise(name: str) -> float:
        return after["image_search_" + name] - before["image_search_" + name]

    assert rise('downloads_total{outcome="ok"}') == 4
    assert rise('downloads_total{outcome="http_status"}') == 1
    assert rise("download_seconds_count") == 5
    assert rise("download_bytes_total") > 10_000
    assert rise('decodes_total{outcome="ok"}') == 3
    assert rise('decodes_total{outcome="not_an_image"}') == 1
    assert rise("decode_seconds_count") == 4
    assert rise('draws_total{outcome="ok"}') == rise("draw_seconds_count") == 1
    assert rise('wait_seconds_count{queue="download"}') == 5
    assert rise('wait_seconds_count{queue="memory"}') == 4
    for model, method, calls in (
        ("ClipEmbedder", "encode_images", 2),
        ("ClipEmbedder", "encode_texts", 1),
        ("YoloDetector", "detect", 1),
    ):
        labels = f'{{method="{method}",model="{model}"'
        assert rise(f'model_calls_total{labels},outcome="ok"}}') == calls
        assert rise(f"model_call_seconds_count{labels}") == calls
        assert rise(f"model_batch_seconds_count{labels}") == calls
        assert rise(f'wait_seconds_count{{queue="{method}"}}') == calls
        assert after[f'image_search_memory_bytes{{service="{model}"}}'] > 50 << 20
    assert rise('index_searches_total{outcome="ok"}') == 2
    assert rise("index_search_seconds_count") == 2
    assert rise("index_commit_seconds_count") == 1
    assert rise("index_commit_operations_sum") == 1
    assert rise('errors_total{code="http_status",route="run_object_detection"}') == 1
    assert rise('refusals_total{reason="not_json"}') == 1
    assert rise('refusals_total{reason="not_an_image"}') == 1
    assert rise("faults_total") == 0
    assert after['image_search_limit{of="requests"}'] == 256
    assert {name for name in OF_BENTOML if name != "up"} <= after.names

    def at_rest() -> bool:
        now = Metrics(service)
        counted = [name for name in now.names if "in_flight" in name or name.endswith("waiting")]
        return not any(now[name] for name in counted if name.startswith("image"))

    assert until(at_rest)  # who waits for a decoder is looked at every 15 seconds

    def looked_at() -> bool:
        now = Metrics(service)
        names = ("index_rows", "index_commits_total", "index_disk_free_bytes", "ready")
        return all(now["image_search_" + name] > 0 for name in names)

    assert until(looked_at)


def test_the_log_in_text_keeps_secrets(service: ServiceProcess, pictures: PictureServer) -> None:
    tell_secrets(service.url, pictures.url, {})
    log = service.log.read_text(errors="replace")
    assert SECRET not in log
    assert not [line for line in log.splitlines() if not re.match(r"20\d\d-|    \| ", line)]
    assert "forged" not in re.sub(r"^    \| .*$", "", log, flags=re.MULTILINE)
    assert "missing.jpg" not in log or "?***" in log


def test_the_log_in_json_keeps_secrets(watched: ServiceProcess, pictures: PictureServer) -> None:
    tell_secrets(watched.url, pictures.url, AUTHORIZED)
    log = watched.log.read_text(errors="replace")
    assert SECRET not in log
    assert KEY not in log
    lines: list[dict[str, Any]] = [json.loads(line) for line in log.splitlines()]
    assert {"cli", "service:ClipEmbedder:1", "entry_service:ImageSearch:2"} <= {
        line["process"] for line in lines
    }
    (refused, *_) = [line for line in lines if line.get("code") == "http_status"]
    assert refused["operation"] == "post_image_to_index"
    of_request = [line for line in lines if line.get("request_id") == refused["request_id"]]
    (answered,) = [line for line in of_request if line["logger"] == "bentoml.access"]
    assert (answered["route"], answered["status"]) == ("/post_image_to_index", 400)
    assert answered["duration_ms"] > 0
    assert answered["trace_id"] == refused["trace_id"]


def test_a_trace_goes_through_all_processes(
    watched: ServiceProcess, collector: Collector, pictures: PictureServer
) -> None:
    headers = {**AUTHORIZED, "traceparent": f"00-{TRACE}-{PARENT}-01"}
    body = {"url": f"{pictures.url}5.jpg?{SECRET}", "metadata": {"b": SECRET}}
    url = f"{watched.url}/post_image_to_index?{SECRET}"
    assert requests.post(url, json=body, headers=headers, timeout=60).ok

    def spans() -> dict[str, tuple[str, str]]:
        """Service and parent of each span of the trace, by its name; ASGI's own left out."""
        mine = [(s, one) for s, one in collector.spans if one.trace_id.hex() == TRACE]
        names = {one.span_id.hex(): one.name for _, one in mine}
        return {
            one.name: (sender, names.get(one.parent_span_id.hex(), one.parent_span_id.hex()))
            for sender, one in mine
            if not HTTP.search(one.name)
        }

    request = "POST /post_image_to_index"
    expected = {
        request: ("ImageSearch", PARENT),
        "download": ("ImageSearch", request),
        "decode": ("ImageSearch", request),
        "ClipEmbedder.encode_images": ("ImageSearch", request),
        "POST /encode_images": ("ClipEmbedder", "ClipEmbedder.encode_images"),
        "commit": ("ImageSearch", request),
    }
    assert until(lambda: spans() == expected), spans()
    assert SECRET not in str(collector.spans)
    assert KEY not in str(collector.spans)


def test_a_killed_worker_leaves_the_gauges(watched: ServiceProcess) -> None:
    assert until(lambda: Metrics(watched)["image_search_ready"] == 1)
    limit = 'image_search_limit{of="requests"}'
    assert Metrics(watched)[limit] == 512
    errors = Metrics(watched)["image_search_errors_total"]
    assert watched.process is not None
    workers = [
        child
        for child in psutil.Process(watched.process.pid).children(recursive=True)
        if "--service-name" in child.cmdline() and "ImageSearch" in child.cmdline()
    ]
    os.kill(workers[0].pid, signal.SIGKILL)
    # The worker that takes its place sets its own; the dead one's must not be added to it.
    assert until(lambda: Metrics(watched)["image_search_ready"] == 0)
    assert until(lambda: Metrics(watched)["image_search_ready"] == 1, 240)
    assert until(lambda: Metrics(watched)[limit] == 512)
    assert Metrics(watched)["image_search_errors_total"] >= errors
