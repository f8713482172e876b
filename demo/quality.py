"""Measures the demo models on held-out scenes: `python -m demo.quality [--weights DIR] [--json]`.

Prints one line per measure and exits with status 1 where one is below what is required of it.
About a minute.

Text to image precision@10 is the mean over the distinct captions which at least 10 of the held-out
scenes have: of the 10 scenes nearest to the caption's text, the share with just this caption. All
measures are defined in `RetrievalQuality` and `DetectionQuality`.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from demo.models import CLIP_NAME, WEIGHTS, YOLO_NAME
from demo.scenes.scenes import draw_scene
from demo.scenes.seeds import HELD_OUT_SEEDS
from demo.training.detection import measure_detection
from demo.training.retrieval import measure_retrieval

DETECTION_SCENES = 500


@dataclass(frozen=True)
class Measure:
    """One line of the table: what was measured, on how many queries or scenes, and the least."""

    name: str
    value: float
    over: str
    required: float

    @property
    def passed(self) -> bool:
        """Whether the value is as required."""
        return self.value >= self.required


def measure(
    weights: Path, seeds: range, detection_scenes: int = DETECTION_SCENES, k: int = 10
) -> list[Measure]:
    """Measures both models of a folder.

    Args:
        weights: the folder.
        seeds: the scenes to measure on.
        detection_scenes: how many of them, from the first, the slower detector is given.
        k: how many answers of a search count.
    """
    found = measure_retrieval(weights / CLIP_NAME, [draw_scene(seed) for seed in seeds], k)
    boxes_seeds = seeds[:detection_scenes]
    boxes = measure_detection(weights / YOLO_NAME, boxes_seeds)
    in_scenes, in_box_scenes = f"{len(seeds)} scenes", f"{len(boxes_seeds)} scenes"
    return [
        Measure(f"text to image, caption: precision@{k}", found.by_caption,
                f"{found.captions} captions in {in_scenes}", 0.9),
        Measure(f"text to image, one shape: precision@{k}", found.by_shape,
                f"{found.shapes} shapes in {in_scenes}", 0.9),
        Measure("image to image: nearest has the caption", found.by_picture, in_scenes, 0.9),
        Measure("detection: mAP50", boxes.map50, in_box_scenes, 0.9),
        Measure("detection: mAP50-95", boxes.map50_95, in_box_scenes, 0.8),
    ]  # fmt: skip


def main() -> None:
    """Measures, prints, and exits with 1 where a model is not good enough."""
    parser = argparse.ArgumentParser(description="Measure the demo models on held-out scenes.")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="folder of the weights")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    os.environ["YOLO_VERBOSE"] = "false"  # ultralytics logs to the standard output
    measures = measure(arguments.weights, HELD_OUT_SEEDS)
    show = as_json if arguments.json else as_table
    sys.stdout.write(show(measures) + "\n")
    sys.exit(0 if all(each.passed for each in measures) else 1)


def as_json(measures: Iterable[Measure]) -> str:
    """The measures by their names, as one JSON object."""
    return json.dumps({each.name: {**vars(each), "passed": each.passed} for each in measures})


def as_table(measures: Iterable[Measure]) -> str:
    """The measures as lines of text under a header, with a mark on those which did not pass."""
    lines = [f"{'measure':<42} {'value':>6}  {'least':>5}  over"]
    for each in measures:
        mark = "" if each.passed else "  TOO LOW"
        lines.append(
            f"{each.name:<42} {each.value:>6.3f}  {each.required:>5.2f}  {each.over}{mark}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
