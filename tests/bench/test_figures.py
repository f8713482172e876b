"""The parts of the benchmarks that turn what they measure into figures."""

import io
import time
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath

import numpy as np
import pytest
from PIL import Image

from bench.__main__ import COMMANDS, question_of
from bench.compare.lines import by_folder, by_room
from bench.compare.versus import Question, in_turn
from bench.load.photos import photograph, repixelled, scaled
from bench.report import Limit, Report, percentile, ratio
from bench.service.table import Clusters
from bench.speed.published import figures, sizes_or_names
from bench.speed.stages import FETCH, FORWARD, between, stages, sums
from bench.speed.works import Pipeline, Way, ways
from bench.table.searches import CASES, exact_answers, queries_of, recall


@pytest.mark.parametrize("module", COMMANDS.values())
def test_every_command_asks_a_question(module: str) -> None:
    assert question_of(module).endswith("?") or "?" in question_of(module)


def test_models_are_named_by_size_or_by_their_names() -> None:
    names = sizes_or_names("all")
    assert {"ViT-B-32", "ViT-L-14", "yolo26n.pt"} <= set(names)
    assert "ViT-H-14" not in names  # unless it is asked for
    assert sizes_or_names("ViT-H-14") == ("ViT-H-14",)
    assert "xlm-roberta-base-ViT-B-32" not in names  # its pictures are computed by ViT-B-32
    assert sizes_or_names("demo") == "demo"
    assert sizes_or_names("yolo11n.pt,ViT-L-14") == ("yolo11n.pt", "ViT-L-14")
    with pytest.raises(ArgumentTypeError, match="ViT-L is none of"):
        sizes_or_names("ViT-L,ViT-L-14")


def test_a_runtime_that_was_not_measured_has_no_figure() -> None:
    found = {"torch": [[2.0, 3.0], [1.0, 1.0], [4.0, 2.0]]}
    assert figures(found, batch=8) == [8.0, None, 250.0, None]


def test_a_limit_of_nothing_is_missed() -> None:
    assert Limit("failed requests", 0, most=0).kept
    assert not Limit("share", percentile([], 50), least=0.9).kept
    assert not Limit("share", ratio(1, 0), most=1).kept
    assert Limit("share", 0.9, least=0.9, most=1).kept


def test_a_report_tells_machine_date_command_and_commit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report("Is it fast?", "python -m bench fast")
    assert not report.judge([Limit("a", 1.0, least=0.5), Limit("b", 2.0, most=1)])
    said = capsys.readouterr().out
    for word in ("machine:", "date:", "python -m bench fast", "commit:", "kept", "MISSED"):
        assert word in said
    report.json(tmp_path / "report.json")
    assert '"figure": "b"' in (tmp_path / "report.json").read_text()


def test_a_ratio_above_one_means_that_this_checkout_is_better() -> None:
    rates = Question("/s", figures=([20.0, 30.0], [10.0, 10.0]))
    times = Question("ms", figures=([10.0], [20.0]), cpu_ms=([4.0], [2.0]))
    assert rates.ratios == [2, 3]
    assert times.ratios == [2]
    assert times.cpu_ratio == 0.5
    assert [in_turn(n) for n in range(3)] == [(0, 1), (1, 0), (0, 1)]


def test_lines_are_counted_by_room_and_files_by_folder() -> None:
    files: dict[PurePath, int] = {
        PurePath("service.py"): 10,
        PurePath("api/__init__.py"): 1,
        PurePath("api/routes/add.py"): 20,
        PurePath("bench/report.py"): 40,
    }
    assert by_room(files)["product"] == 31
    assert by_folder(files) == {".": 1, "api/routes": 1, "bench": 1}


def test_every_number_makes_other_pixels_of_the_same_size() -> None:
    for data in (photograph("bus.jpg").read_bytes(), scaled(photograph("zidane.jpg"), 640)):
        size = Image.open(io.BytesIO(data)).size
        pictures = [Image.open(io.BytesIO(repixelled(data, n))) for n in (0, 1, 2, 3, 1 << 23)]
        assert {picture.size for picture in pictures} == {size}
        assert len({picture.convert("RGB").tobytes() for picture in pictures}) == 5
        difference = np.asarray(pictures[3], np.float32) - np.asarray(pictures[0], np.float32)
        assert np.abs(difference).mean() < 8


@pytest.mark.parametrize("way", ways(2)[::3], ids=str)  # those of either runtime are the same
def test_a_batch_is_full_of_one_group_and_every_lane_has_a_model(way: Way) -> None:
    made: list[list[list[bytes]]] = []

    def make(runtime: str, threads: int) -> Callable[[Sequence[bytes]], Sequence[int]]:
        assert (runtime, threads) == (way.runtime, way.threads)
        batches: list[list[bytes]] = []
        made.append(batches)

        def work(files: Sequence[bytes]) -> Sequence[int]:
            batches.append(list(files))
            time.sleep(0.001)
            return [len(each) for each in files]

        return work

    pipeline = Pipeline(make, [[b"a", b"aa"], [b"b" * 3]])
    # On a busy machine a lane may have ended before another one began.
    assert any(pipeline.rate(way, seconds) > 0 for seconds in (0.1, 1, 10, 60))
    assert len(made) == way.lanes
    for batches in made:
        assert all(len(batch) == way.batch for batch in batches)
        assert batches[0][:4] == [b"a", b"aa", b"a", b"aa"]
        assert batches[1] == [b"bbb"] * way.batch


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
    assert found.parts["HTTP, middleware"] == pytest.approx(5)
    assert found.over == pytest.approx(45)


def test_recall_is_against_the_nearest_rows_of_each_case() -> None:
    clusters, rows = Clusters(1000, dim=32), 1000
    vectors, queries = clusters.rows(rows), clusters.rows(6, stream=1)
    exact = exact_answers(clusters, rows, queries)
    whole = np.argsort(-(queries @ vectors.T), axis=1)[:, :10].tolist()
    assert recall(whole, exact["no filter"]) == 1
    assert exact["filter keeps 7 of 100,000"] == [[5]] * 6
    far = exact["filter keeps 50 %, none near"]
    assert len(far) == len(queries_of("filter keeps 50 %, none near", queries)) == 3
    assert all(number % 2 == 0 for numbers in far for number in numbers)
    assert set(exact) == set(CASES)
