"""The services: what BentoML is told of them, and that importing them costs little."""

import asyncio
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from runners.clip.recipe import load_clip
from runners.clip.service import ClipEmbedder
from runners.errors import WeightsMissingError
from runners.schemas import ClipInfo, Serving, YoloInfo
from runners.serving.service import CALL_ITEMS, LANES, MAX_BATCH_SIZE
from runners.settings import ModelSettings
from runners.yolo.service import YoloDetector


def instance(service: Any) -> Any:
    """What a worker holds, without the server around it."""
    return service.inner()


@pytest.fixture
def _demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_MODELS", "demo")
    monkeypatch.setenv("IMAGE_SEARCH_DEVICE", "cpu")
    monkeypatch.setenv("IMAGE_SEARCH_THREADS", "1")
    monkeypatch.setenv("IMAGE_SEARCH_RUNTIME", "torch")


@pytest.mark.parametrize(
    ("service", "batched"),
    [(ClipEmbedder, {"encode_images", "encode_texts"}), (YoloDetector, {"detect"})],
)
def test_what_bentoml_is_told(service: Any, batched: set[str]) -> None:
    apis = service.apis
    assert set(apis) == {*batched, "describe"}
    for name, api in apis.items():
        assert api.batchable == (name in batched)
        if api.batchable:
            assert (api.max_batch_size, api.max_latency_ms) == (MAX_BATCH_SIZE, 60_000)
    config = service.config
    assert config["threads"] == LANES
    assert config["runner_connection"]["max_requests"] >= 2**31
    assert config["runner_connection"]["max_age"] >= 1e9
    assert "resources" not in config


def test_importing_the_services_brings_no_model_library() -> None:
    """The arbiter and the API worker import them, and would each hold torch for nothing."""
    code = (
        "import sys, runners.clip.service, runners.yolo.service, runners.preflight\n"
        "heavy = {'torch', 'open_clip', 'ultralytics', 'huggingface_hub'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_worker_whose_model_hangs_ends_itself() -> None:
    code = (
        "import threading, time, runners.serving.batches as batches\n"
        "batches.HUNG_S = 2\n"
        "run = batches.Batches('test').run\n"
        "for _ in range(3): run('one', time.sleep, 0.8)\n"
        "never = threading.Event().wait\n"
        "threading.Thread(target=run, args=('one', never, None), daemon=True).start()\n"
        "print('began', flush=True)\n"
        "while True: run('two', time.sleep, 0.01)\n"
    )
    hung = subprocess.run(
        [sys.executable, "-c", code], check=False, timeout=60, capture_output=True, text=True
    )
    assert hung.returncode == 1
    assert hung.stdout == "began\n"
    assert "Timeout" in hung.stderr


@pytest.mark.usefixtures("_demo")
def test_the_embedder_answers_for_the_model() -> None:
    service = instance(ClipEmbedder)
    described = asyncio.run(service.describe())
    info, serving = ClipInfo.from_dict(described), Serving.from_dict(described)
    assert (serving.calls, serving.items) == (LANES, CALL_ITEMS)
    pixels = np.zeros((2, info.image_size, info.image_size, 3), np.uint8)
    model = load_clip(ModelSettings())
    assert info == model.info
    np.testing.assert_array_equal(service.encode_images(pixels), model.encode_images(pixels))
    np.testing.assert_array_equal(service.encode_texts(["a"]), model.encode_texts(["a"]))


@pytest.mark.usefixtures("_demo")
def test_the_detector_answers_with_one_array_for_each_picture() -> None:
    service = instance(YoloDetector)
    described = asyncio.run(service.describe())
    info = YoloInfo.from_dict(described)
    assert Serving.from_dict(described).min_confidence == ModelSettings().yolo_min_confidence
    pictures = [np.zeros((info.stride, info.stride * (i + 1), 3), np.uint8) for i in range(3)]
    found = service.detect(pictures)
    assert [rows.shape[1] for rows in found] == [6, 6, 6]
    assert all(rows.dtype == np.float32 for rows in found)
    for rows, expected in zip(found, service._model.detect(pictures), strict=True):
        np.testing.assert_array_equal(rows, expected)


def test_without_a_supervisor_a_failure_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_YOLO_WEIGHTS", "./nowhere.pt")
    with pytest.raises(WeightsMissingError, match=r"nowhere\.pt"):
        instance(YoloDetector)
