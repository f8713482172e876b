"""The service in parts, as on several hosts: model services on ports of their own, and an API."""

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from bench.load.traffic import ALLOWED
from bench.report import PROJECT
from bench.service.models import PREFIX
from demo.process import ServiceProcess

TOKEN = "the-token-of-a-benchmark"  # noqa: S105 - of services on loopback, for minutes
_BATCHES = re.compile(r"^image_search_model_batch_seconds_sum\{[^}]*\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Apart:
    """The API, and the model services that it calls."""

    api: ServiceProcess
    clips: list[ServiceProcess]
    yolo: ServiceProcess


@contextmanager
def apart(settings: Mapping[str, str], folder: Path, clips: int = 1) -> Iterator[Apart]:
    """Model services on ports of their own and an API that has none, until the block ends."""
    settings = {**settings, f"{PREFIX}MODEL_TOKEN": TOKEN}
    with ExitStack() as stack:
        models = [
            _model(settings, folder / f"model{number}", name)
            for number, name in enumerate(["ClipEmbedder"] * clips + ["YoloDetector"])
        ]
        for model in models:
            stack.callback(model.stop)
        _start(models)
        urls = [model.url for model in models]
        elsewhere = {
            f"{PREFIX}CLIP_URLS": ",".join(urls[:clips]),
            f"{PREFIX}YOLO_URLS": urls[clips],
            f"{PREFIX}STORE_URI": str(folder / "index"),
            f"{PREFIX}ALLOW_NETWORKS": ALLOWED,
        }
        api = ServiceProcess(
            {**settings, **elsewhere}, folder / "log", target="service:ImageSearch", cwd=PROJECT
        )
        with api:
            yield Apart(api, models[:clips], models[clips])


def busy_seconds(model: ServiceProcess) -> float:
    """Seconds that a model service has computed, by its own metrics."""
    answer = requests.get(
        f"{model.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30
    )
    answer.raise_for_status()
    return sum(map(float, _BATCHES.findall(answer.text)))


def _model(settings: Mapping[str, str], folder: Path, name: str) -> ServiceProcess:
    folder.mkdir(parents=True)
    return ServiceProcess(settings, folder / "log", target=f"service:{name}", cwd=PROJECT)


def _start(models: list[ServiceProcess]) -> None:
    threads = [threading.Thread(target=model.start) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
