"""Batches are shared out to the cores, and workers to the GPUs."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from runners.device import cores
from runners.device.cores import Cores, available_cores, to_device
from runners.schemas import DetectionRows
from runners.serving.service import worker_settings
from runners.settings import ModelSettings
from tests.runners.models import clip_of, yolo_of
from tests.runners.pictures import drawn


def assert_alike(found: list[DetectionRows], expected: list[DetectionRows]) -> None:
    """Equal but for rounding, which depends on what else is in a forward pass."""
    assert sum(map(len, expected))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours[:, :4], theirs[:, :4], atol=0.01)  # pixels
        np.testing.assert_allclose(ours[:, 4:], theirs[:, 4:], atol=1e-4)


def test_threads_default_to_all_cores() -> None:
    assert Cores(0).threads == available_cores()
    assert Cores(3).threads == 3


def test_parts_are_computed_side_by_side_and_share_the_threads() -> None:
    both = threading.Barrier(2, timeout=30)
    threads: dict[tuple[int, ...], int] = {}

    def compute(part: Sequence[int]) -> None:
        both.wait()  # which nobody passes alone
        threads[tuple(part)] = torch.get_num_threads()

    Cores(5).compute(compute, [[7], [8]], 64)
    assert threads == {(7,): 2, (8,): 2}


def test_a_batch_is_split_into_parts_for_each_core_and_no_larger_than_given() -> None:
    parts: list[list[int]] = []
    Cores(3).compute(lambda part: parts.append(list(part)), [range(7), [9, 8]], 64)
    assert sorted(parts) == [[0, 1, 2], [3, 4, 5], [6], [8], [9]]
    parts.clear()
    Cores(1).compute(lambda part: parts.append(list(part)), [range(5)], 2)
    assert parts == [[0, 1], [2, 3], [4]]


def test_a_lone_part_has_all_threads_and_is_computed_here() -> None:
    found: list[tuple[int, threading.Thread]] = []

    def compute(_: object) -> None:
        found.append((torch.get_num_threads(), threading.current_thread()))

    Cores(3).compute(compute, [[0]], 64)
    Cores(1).compute(compute, [[0], [1]], 64)
    here = threading.current_thread()
    assert found == [(3, here), (1, here), (1, here)]


def test_batches_at_the_same_time_share_the_threads() -> None:
    cores = Cores(4)
    threads: list[int] = []

    def compute(part: Sequence[int]) -> None:
        threads.append(torch.get_num_threads())
        if part[0]:
            cores.compute(compute, [[part[0] - 1]], 64)

    cores.compute(compute, [[3]], 64)
    cores.compute(compute, [[0]], 64)
    assert threads == [4, 2, 1, 1, 4]


def test_a_failure_of_one_part_is_raised() -> None:
    cores, threads = Cores(2), []

    def compute(part: Sequence[int]) -> None:
        assert part[0]

    with pytest.raises(AssertionError):
        cores.compute(compute, [[1], [0], [2]], 64)
    cores.compute(lambda _: threads.append(torch.get_num_threads()), [[0]], 64)
    assert threads == [2]


def test_read_only_bytes_become_a_tensor_of_their_own() -> None:
    pixels = np.zeros((2, 3), np.uint8)
    pixels.flags.writeable = False
    tensor = to_device(pixels, "cpu")
    tensor += 1
    assert pixels.sum() == 0
    assert tensor.dtype == torch.uint8


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_models_answer_alike_on_any_number_of_cores(
    settings: Callable[..., ModelSettings], rng: np.random.Generator, threads: int
) -> None:
    changes = {"models": "demo", "precision": "fp32"}
    clip = clip_of(settings(**changes, threads=threads))
    yolo = yolo_of(settings(**changes, threads=threads))
    alone = clip_of(settings(**changes)), yolo_of(settings(**changes))
    size = clip.info.image_size
    pixels = rng.integers(0, 255, (7, size, size, 3), dtype=np.uint8)
    pictures = [np.asarray(drawn(160 + 32 * (i % 3), 192)) for i in range(7)]
    texts = [f"a {word} disc" for word in ("red", "blue", "green", "grey", "large", "small", "odd")]

    np.testing.assert_allclose(
        clip.encode_images(pixels), alone[0].encode_images(pixels), atol=1e-5
    )
    np.testing.assert_allclose(clip.encode_texts(texts), alone[0].encode_texts(texts), atol=1e-5)
    assert_alike(yolo.detect(pictures), alone[1].detect(pictures))


def test_models_answer_alike_to_several_threads(
    settings: Callable[..., ModelSettings], rng: np.random.Generator
) -> None:
    changes = {"models": "demo", "precision": "fp32"}
    clip = clip_of(settings(**changes, threads=2))
    yolo = yolo_of(settings(**changes, threads=2))
    size = clip.info.image_size
    pixels = [rng.integers(0, 255, (5, size, size, 3), dtype=np.uint8) for _ in range(6)]
    texts = [["red"], ["a red disc " * 9], ["", "two blue discs"]] * 2
    pictures = [
        [np.asarray(drawn(160 + 32 * (n % 3), 128 + 32 * each)) for n in range(4)]
        for each in range(1, 7)
    ]
    jobs: list[Callable[[], Any]] = [
        *(partial(clip.encode_images, each) for each in pixels),
        *(partial(clip.encode_texts, each) for each in texts),
        *(partial(yolo.detect, each) for each in pictures),
    ]
    expected = [job() for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda job: job(), [*jobs] * 3))
    for one, other in zip(found, expected * 3, strict=True):
        if isinstance(other, list):
            assert_alike(one, other)
        else:
            np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    ("device", "installed", "visible", "devices"),
    [
        ("auto", 0, None, ["auto"]),
        ("cpu", 4, None, ["cpu"]),
        ("auto", 1, None, ["auto"]),
        ("auto", 3, None, ["auto:0", "auto:1", "auto:2"]),
        ("cuda", 2, None, ["cuda:0", "cuda:1"]),
        ("cuda:1", 4, None, ["cuda:1"]),
        ("auto", 4, "2,0", ["auto:0", "auto:1"]),
        ("auto", 4, "1, 9, 2", ["auto"]),
        ("auto", 4, "GPU-5f,GPU-6a,x,GPU-7b", ["auto:0", "auto:1"]),
        ("auto", 4, "", ["auto"]),
        ("auto", 4, "-1", ["auto"]),
    ],
)
def test_each_gpu_has_one_worker(
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    installed: int,
    visible: str | None,
    devices: list[str],
) -> None:
    monkeypatch.setattr(cores, "_installed_gpus", lambda: installed)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    workers = cores.workers_of(device)
    assert [cores.device_of(device, index + 1) for index in range(workers)] == devices
    assert cores.device_of(device, None) == device


@pytest.mark.parametrize(
    ("device", "installed", "threads", "batches", "items"),
    [
        ("cpu", 0, 3, 3, 8),
        ("cpu", 1, 1, 1, 8),
        ("cpu", 0, 64, 8, 8),
        ("cpu", 0, 0, min(available_cores(), 8), 8),
        ("auto", 0, 2, 2, 8),
        ("auto", 2, 2, 1, 16),
        ("cuda", 1, 2, 1, 16),
        ("cuda:1", 2, 0, 1, 16),
    ],
)
def test_each_core_has_a_batch_and_a_gpu_one(
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    installed: int,
    threads: int,
    batches: int,
    items: int,
) -> None:
    monkeypatch.setattr(cores, "_installed_gpus", lambda: installed)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    settings = ModelSettings(device=device, threads=threads)
    assert cores.concurrent_batches(settings) == batches
    assert cores.max_call_items(settings) == items


def test_outside_a_worker_the_settings_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_installed_gpus", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert worker_settings(ModelSettings(device="auto")).device == "auto"
    monkeypatch.setattr("runners.serving.service.server_context.worker_index", 2)
    assert worker_settings(ModelSettings(device="auto")).device == "auto:1"


def test_a_models_process_leaves_the_compiler_out_until_it_is_asked_for(tmp_path: Path) -> None:
    asks = "import torch._dynamo.config as config\nlimit = config.recompile_limit\n"
    (tmp_path / "asks_for_more.py").write_text(asks)
    code = (
        "import os, sys; from runners.device.torch_process import prepare_torch\n"
        "prepare_torch('torchvision', 'open_clip')\n"
        "assert not {'torch._dynamo', 'triton', 'sympy'} & set(sys.modules)\n"
        "assert os.environ['OMP_WAIT_POLICY'] == 'PASSIVE'\n"
        "import torch, torchvision\n"
        "boxes, scores = torch.tensor([[0, 0, 1.0, 1]] * 2), torch.ones(2)\n"
        "assert torchvision.ops.nms(boxes, scores, 0.5).tolist() == [0]\n"
        "assert torchvision.ops.roi_align(torch.ones(1, 1, 4, 4), [boxes], 2).shape[0] == 2\n"
        f"sys.path.append({str(tmp_path)!r}); prepare_torch('asks_for_more')\n"
        "assert sys.modules['asks_for_more'].limit > 0"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=environment)
