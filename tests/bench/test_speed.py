"""The parts of the benchmarks of speed that turn what they see into figures."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench.chip import flops_of, seconds_each
from bench.device_prepare import scaled_on
from bench.fileserver import photograph, repixelled, scaled
from bench.held_memory import libraries
from bench.pipeline import Pipeline, Way, ways
from bench.stages import FETCH, FORWARD, between, stages, sums
from bench.timing import Span, rate
from images.decode.prepare import clip_pixels


def test_the_rate_of_whole_batches_does_not_depend_on_where_the_window_cuts() -> None:
    batches = [Span(float(second), second + 1.0, 32) for second in range(10)]
    for start in (0.0, 0.3, 0.99):
        assert rate(batches, start, start + 7.5) == pytest.approx(32)


def test_the_rate_of_clients_is_theirs_together() -> None:
    clients = [Span(turn * 0.5, turn * 0.5 + 0.5) for turn in range(20) for _ in range(8)]
    assert rate(clients, 1.1, 8.3) == pytest.approx(16)


def test_every_number_makes_other_pixels_of_the_same_size() -> None:
    for data in (photograph("bus.jpg").read_bytes(), scaled(photograph("zidane.jpg"), 640)):
        size = Image.open(io.BytesIO(data)).size
        pictures = [Image.open(io.BytesIO(repixelled(data, n))) for n in (0, 1, 2, 3, 1 << 23)]
        assert {picture.size for picture in pictures} == {size}
        assert len({picture.convert("RGB").tobytes() for picture in pictures}) == 5
        difference = np.asarray(pictures[3], np.float32) - np.asarray(pictures[0], np.float32)
        assert np.abs(difference).mean() < 8


class _Counted:
    """Work that notes what it was given."""

    precision = "fp32"

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.finished = 0

    def prepare(self, data: bytes) -> bytes:
        return data

    def compute(self, prepared: Sequence[bytes]) -> Sequence[int]:
        self.batches.append(list(prepared))
        return [len(each) for each in prepared]

    def finish(self, prepared: Any, computed: Any, /) -> None:
        assert len(prepared) == computed
        self.finished += 1


@pytest.mark.parametrize("way", ways(2, 4), ids=str)
def test_a_batch_is_full_of_one_group_and_every_picture_is_finished(way: Way) -> None:
    made: list[_Counted] = []

    def make(threads: int) -> _Counted:
        assert threads == way.threads
        made.append(_Counted())
        return made[-1]

    assert Pipeline(make, [[b"a", b"aa"], [b"b" * 3]]).rate(way, 0.05) > 0
    assert len(made) == way.lanes
    for work in made:
        assert all(len(batch) == 4 for batch in work.batches)
        assert work.batches[0] == [b"a", b"aa", b"a", b"aa"]
        assert work.batches[1] == [b"bbb"] * 4
        assert work.finished == 4 * len(work.batches)


METRICS = """
# TYPE image_search_download_seconds histogram
image_search_download_seconds_bucket{le="+Inf"} 1.0
image_search_download_seconds_sum %s
image_search_download_seconds_count 1.0
# TYPE image_search_model_call_seconds histogram
image_search_model_call_seconds_sum{model="ClipEmbedder",method="encode_images"} %s
# TYPE image_search_model_batch_seconds histogram
image_search_model_batch_seconds_sum{model="ClipEmbedder",method="encode_images"} %s
# TYPE image_search_draw_seconds histogram
image_search_draw_seconds_sum %s
# TYPE image_search_encode_seconds histogram
image_search_encode_seconds_sum %s
# TYPE bentoml_service_request_duration_seconds histogram
bentoml_service_request_duration_seconds_sum{service_name="ImageSearch",endpoint="/x"} %s
bentoml_service_request_duration_seconds_sum{service_name="ClipEmbedder",endpoint="/y"} 7.0
"""


def test_the_parts_of_a_request_add_up_to_it() -> None:
    before, after = (
        sums(METRICS % each) for each in ((1, 2, 1, 4, 0, 5), (1.01, 2.1, 1.08, 4.002, 0.003, 5.13))
    )
    found = stages(135.0, between(before, after))
    assert sum(found.parts.values()) == pytest.approx(135)
    assert found.parts[FETCH] == pytest.approx(10)
    assert found.parts[FORWARD] == pytest.approx(80)
    assert found.parts["way to the model, its queue"] == pytest.approx(20)
    assert found.parts["draw, encode"] == pytest.approx(2)
    assert found.parts["encode"] == pytest.approx(3)
    assert found.parts["HTTP and the guard in front"] == pytest.approx(5)
    assert found.over == pytest.approx(45)


SMAPS = """\
7f0000000000-7f0000001000 r-xp 00000000 fe:00 1    /x/site-packages/torch/lib/libtorch_cpu.so
Rss:                2048 kB
7f0000002000-7f0000003000 r-xp 00000000 fe:00 2    /x/site-packages/torch/lib/libtorch_cuda.so
Rss:                1024 kB
7f0000004000-7f0000005000 rw-p 00000000 00:00 0
Rss:                9999 kB
7f0000006000-7f0000007000 r--p 00000000 fe:00 3    /x/site-packages/lancedb/_lancedb.abi3.so
Rss:                   0 kB
"""


def test_libraries_are_told_by_what_is_resident_of_their_files() -> None:
    assert libraries(SMAPS) == {"torch": 2.0, "CUDA": 1.0, "LanceDB": 0.0}


@pytest.mark.parametrize("size", [(810, 1080), (1280, 720), (224, 224), (225, 400)])
def test_pictures_scaled_by_torch_are_those_that_the_service_scales(size: tuple[int, int]) -> None:
    picture = Image.open(photograph("bus.jpg")).convert("RGB").resize(size)
    by_pillow = clip_pixels(picture, 224, "bicubic", "shortest", 0).astype(np.float32)
    by_torch = scaled_on("cpu", [np.array(picture)], 224)[0].permute(1, 2, 0).numpy()
    assert by_torch.shape == by_pillow.shape
    # The service scales what is seen alone, and rounds between the two passes.
    apart = np.abs(by_torch - by_pillow)
    assert apart.max() <= 8
    assert apart.mean() < 0.5
    assert np.abs(by_torch - by_pillow).mean() < 0.3


def test_the_operations_of_a_layer_are_counted() -> None:
    layer, row = torch.nn.Linear(30, 20), torch.zeros(4, 30)
    assert flops_of(lambda: layer(row)) == 2 * 4 * 30 * 20


def test_a_call_is_repeated_and_its_mean_time_told() -> None:
    calls: list[int] = []
    assert 0 < seconds_each(lambda: calls.append(1), "cpu", 0.01) < 0.01
    assert len(calls) > 3
