"""Pictures that make it hard to find what is in them are as hard as they are said to be."""

import io

import numpy as np
import pytest
from PIL import Image

from bench.objects.axes import ARROW, AXES, LACKING
from demo.scenes.mosaics import Mosaic
from demo.scenes.shapes import KINDS


def shown(drawn: Mosaic) -> list[tuple[float, float, float, float]]:
    return [one.xyxy for one in drawn.shown]


def grey(drawn: Mosaic) -> list[float]:
    """Of each object's box the share that is covered."""
    picture = Image.open(io.BytesIO(drawn.file)).convert("RGB")
    parts = [np.asarray(picture.crop(box), np.int64) for box in shown(drawn)]
    return [float((abs(part - 150) <= 6).all(axis=2).mean()) for part in parts]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_kind_is_hard_in_its_own_way(seed: int) -> None:
    small, hidden, many, lacking = (draw(seed) for draw in AXES.values())
    side = Image.open(io.BytesIO(small.file)).width
    longest = [max(right - left, low - top) / side for left, top, right, low in shown(small)]
    assert np.mean(longest) == pytest.approx(0.05, abs=0.006)
    assert np.mean(grey(hidden)) == pytest.approx(0.3, abs=0.05)
    assert np.mean(grey(small)) < 0.05
    assert len(many.shown) > 16
    names = [one.class_name for one in AXES[LACKING](seed).shown]
    assert ARROW not in KINDS
    assert names.count(ARROW) == len([name for name in names if name not in KINDS]) == 2
    assert lacking == AXES[LACKING](seed)
