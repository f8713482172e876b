"""How well the demo's detector finds shapes, by ultralytics' own validator."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from demo.training.dataset import IMAGE_SIZE, write_dataset


@dataclass(frozen=True)
class DetectionQuality:
    """Mean average precision over the classes, within [0, 1].

    Attributes:
        map50: where a box counts as right from an overlap (intersection over union) of 0.5.
        map50_95: the mean over the overlaps 0.5, 0.55 to 0.95.
    """

    map50: float
    map50_95: float


def measure_detection(weights: Path, seeds: range) -> DetectionQuality:
    """Draws the scenes of `seeds` and runs the detector over them."""
    # Read when ultralytics is imported: without it the validator asks the network for a font.
    os.environ["YOLO_OFFLINE"] = "true"
    from ultralytics import YOLO  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="image-search-quality-") as folder:
        data = write_dataset(Path(folder), train=range(0), validation=seeds)
        metrics = YOLO(weights).val(
            data=data, imgsz=IMAGE_SIZE, batch=16, device="cpu", workers=0, plots=False,
            verbose=False, project=folder, name="run",
        )  # fmt: skip
    return DetectionQuality(map50=float(metrics.box.map50), map50_95=float(metrics.box.map))
