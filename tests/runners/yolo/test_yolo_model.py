"""Detections are ultralytics' own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from runners.schemas import YoloInfo
from runners.settings import ModelSettings
from runners.weights.source import sha256_of
from runners.yolo.recipe import load_yolo
from tests.runners.models import yolo_of
from tests.runners.pictures import SIZES, drawn

Settings = Callable[..., ModelSettings]
DEMO_YOLO = Path(__file__).parents[3] / "demo" / "weights" / "yolo.pt"


def letterbox(picture: Image.Image, info: YoloInfo) -> tuple[np.ndarray, float, int, int]:
    """What the caller does: the padded pixels, the scale, and the padding left and above."""
    from ultralytics.data.augment import LetterBox

    pixels = np.asarray(picture)
    box = LetterBox((info.image_size, info.image_size), auto=True, stride=info.stride)
    padded = box(image=pixels)
    scale = min(info.image_size / pixels.shape[0], info.image_size / pixels.shape[1])
    left = (padded.shape[1] - round(pixels.shape[1] * scale)) / 2
    top = (padded.shape[0] - round(pixels.shape[0] * scale)) / 2
    return padded, scale, round(left - 0.1), round(top - 0.1)


def own_predict(path: Path, picture: np.ndarray, **arguments: Any) -> np.ndarray:
    """[k, 6] from ultralytics' documented way to predict, which takes BGR."""
    from ultralytics import YOLO

    result = YOLO(str(path)).predict(picture[..., ::-1], device="cpu", verbose=False, **arguments)
    torch.set_num_threads(1)
    rows: np.ndarray = result[0].boxes.data.numpy()
    return rows


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    width, height = np.minimum(one[2:4], other[2:4]) - np.maximum(one[:2], other[:2])
    inside = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return float(inside / (sum(areas) - inside))


@pytest.mark.parametrize("size", SIZES)
def test_demo_detections_equal_ultralytics_on_the_original(
    settings: Settings, size: tuple[int, int]
) -> None:
    yolo = yolo_of(settings(models="demo", precision="fp32"))
    picture = drawn(*size)
    padded, scale, left, top = letterbox(picture, yolo.info)

    ours = yolo.detect([padded])[0]
    ours[:, [0, 2]] = ((ours[:, [0, 2]] - left) / scale).clip(0, size[0])
    ours[:, [1, 3]] = ((ours[:, [1, 3]] - top) / scale).clip(0, size[1])

    theirs = own_predict(DEMO_YOLO, np.asarray(picture))
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        assert one[5] == other[5]
        assert abs(one[4] - other[4]) < 0.02
        assert overlap(one, other) >= 0.95


@pytest.mark.parametrize("name", ["yolov8n", "yolo11n", "yolo12n", "yolo26n"])
def test_every_kind_of_head_gives_what_ultralytics_gives(
    settings: Settings, make_yolo: Callable[[str], Path], rng: np.random.Generator, name: str
) -> None:
    path = make_yolo(name)
    picture = rng.integers(0, 255, (96, 128, 3), dtype=np.uint8)

    yolo = load_yolo(settings(yolo_weights=str(path), precision="fp32"))
    ours = yolo.detect([picture])[0]

    theirs = own_predict(path, picture, imgsz=128)
    assert len(theirs) > 0
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


TINY_RTDETR = """
nc: 3
backbone:
  - [-1, 1, Conv, [16, 3, 8]]
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, 1, Conv, [16, 3, 2]]
head:
  - [[0, 1, 2], 1, RTDETRDecoder, [nc, 32, 20]]
"""


def test_rtdetr_gives_what_ultralytics_gives(
    settings: Settings, tmp_path: Path, rng: np.random.Generator
) -> None:
    from ultralytics import RTDETR

    (tmp_path / "tiny-rtdetr.yaml").write_text(TINY_RTDETR)
    torch.manual_seed(0)
    model = RTDETR(str(tmp_path / "tiny-rtdetr.yaml"))
    torch.nn.init.zeros_(model.model.model[-1].dec_score_head[-1].bias)  # else it is never sure
    model.save(str(tmp_path / "tiny.pt"))
    picture = rng.integers(0, 255, (128, 128, 3), dtype=np.uint8)

    yolo = load_yolo(settings(yolo_weights=str(tmp_path / "tiny.pt")))
    ours = yolo.detect([picture])[0]

    theirs = own_predict(tmp_path / "tiny.pt", picture, imgsz=128)
    assert len(theirs) > 0
    theirs[:, :4] = theirs[:, :4].clip(0, 128)  # what lies outside of it is cut off here
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_pictures_of_many_shapes_come_back_in_order(settings: Settings) -> None:
    yolo = yolo_of(settings(models="demo"))
    sizes = [(160, 96), (96, 160), (128, 128), (192, 128)]
    pictures = [letterbox(drawn(*sizes[i % 4]), yolo.info)[0] for i in range(31)]
    pictures = [np.roll(picture, 3 * i, axis=1) for i, picture in enumerate(pictures)]

    together = yolo.detect(pictures)

    for picture, found in zip(pictures, together, strict=True):
        alone = yolo.detect([picture])[0]
        assert len(alone) > 0
        np.testing.assert_allclose(found, alone, atol=1e-2)
    assert yolo.detect([]) == []


def test_nothing_below_the_confidence_asked_for(settings: Settings) -> None:
    def confidences(minimum: float) -> list[float]:
        yolo = yolo_of(settings(models="demo", yolo_min_confidence=minimum))
        picture = letterbox(drawn(320, 200), yolo.info)[0]
        confidences: list[float] = yolo.detect([picture])[0][:, 4].tolist()
        return confidences

    everything = confidences(0.01)
    minimum = (everything[0] + everything[-1]) / 2
    assert confidences(minimum) == [found for found in everything if found > minimum]
    assert everything[-1] < minimum


def test_ultralytics_does_not_take_more_threads_than_given(settings: Settings) -> None:
    load_yolo(settings(threads=3)).detect([np.zeros((32, 32, 3), np.uint8)])
    assert torch.get_num_threads() == 3
    torch.set_num_threads(1)


@pytest.mark.parametrize("shape", [(64, 65, 3), (64, 64), (64, 64, 4), (0, 64, 3)])
def test_pictures_that_are_not_letterboxed_are_refused(
    settings: Settings, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        yolo_of(settings()).detect([np.zeros(shape, np.uint8)])


def test_info_says_what_was_loaded(settings: Settings, make_yolo: Callable[[str], Path]) -> None:
    info = yolo_of(settings()).info
    assert (info.image_size, info.stride, len(info.class_names)) == (640, 32, 80)
    assert info.weights == f"sha256:{sha256_of(make_yolo('yolo11n'))}"
    assert YoloInfo.from_dict(info.to_dict()) == info


def test_what_ultralytics_logs_goes_where_everything_goes(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    from ultralytics.utils import LOGGER

    load_yolo(settings())
    assert not LOGGER.handlers
    LOGGER.error("said by ultralytics")
    assert "said by ultralytics" in caplog.text
