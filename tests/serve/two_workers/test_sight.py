"""Two workers seen from outside: log and traces keep secrets, gauges stay right."""

import json
import os
import re
import signal
from typing import Any

import psutil
import requests

from demo.process import ServiceProcess
from demo.server import PictureServer
from tests.running import own_models
from tests.serve.metrics import Metrics, until
from tests.serve.secrets import SECRET, tell_secrets
from tests.serve.two_workers.collector import Collector
from tests.serve.two_workers.conftest import AUTHORIZED, KEY

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
HTTP = re.compile(r" http (send|receive)$")


@own_models
def test_the_log_in_json_keeps_secrets(watched: ServiceProcess, pictures: PictureServer) -> None:
    tell_secrets(watched.url, pictures.url, AUTHORIZED)
    log = watched.log.read_text(errors="replace")
    assert SECRET not in log
    assert KEY not in log
    assert "key-with" not in log
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


@own_models
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
    assert until(lambda: Metrics(watched, AUTHORIZED)["image_search_ready"] == 1)
    limit = 'image_search_limit{of="requests"}'
    assert Metrics(watched, AUTHORIZED)[limit] == 512
    errors = Metrics(watched, AUTHORIZED)["image_search_errors_total"]
    assert watched.process is not None
    workers = [
        child
        for child in psutil.Process(watched.process.pid).children(recursive=True)
        if "--service-name" in child.cmdline() and "ImageSearch" in child.cmdline()
    ]
    os.kill(workers[0].pid, signal.SIGKILL)
    # The worker that takes its place sets its own; the dead one's must not be added to it.
    assert until(lambda: Metrics(watched, AUTHORIZED)["image_search_ready"] == 0)
    assert until(lambda: Metrics(watched, AUTHORIZED)["image_search_ready"] == 1, 240)
    assert until(lambda: Metrics(watched, AUTHORIZED)[limit] == 512)
    assert Metrics(watched, AUTHORIZED)["image_search_errors_total"] >= errors
