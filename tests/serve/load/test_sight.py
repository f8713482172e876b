"""The running service seen from outside: its metrics move, and its log keeps secrets."""

import re

import requests

from demo.process import ServiceProcess
from demo.server import PictureServer
from tests.running import own_models
from tests.serve.metrics import Metrics, until
from tests.serve.secrets import SECRET, tell_secrets
from tests.test_monitoring import OF_BENTOML


@own_models
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
        computed = f'image_search_model_info{{model="{model}",precision="'
        names = [f'{computed}{each}",runtime="openvino"}}' for each in ("fp32", "bf16")]
        assert sum(after[name] for name in names) == after[computed] == 1
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
