"""Scenes on disk, in the layout from which ultralytics trains and measures a detector."""

import json
from pathlib import Path

from demo.scenes.scenes import Scene, draw_scene
from demo.scenes.shapes import KINDS

IMAGE_SIZE = 192
"""The longer side of the pictures which the detector sees, in pixels."""


def write_dataset(folder: Path, train: range, validation: range) -> Path:
    """Draws scenes into a folder.

    Args:
        folder: where to; must be empty.
        train: seeds of the scenes to learn from; may be empty where nothing is trained.
        validation: seeds of the scenes to measure on.

    Returns:
        The path of the data file, which names the classes and both splits.
    """
    for split, seeds in (("train", train), ("val", validation)):
        images, labels = folder / "images" / split, folder / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for seed in seeds:
            # Scenes are up to 9 : 8, and the longer side is what the network's size means.
            scene = draw_scene(seed, IMAGE_SIZE * 8 // 9)
            scene.picture.save(images / f"{seed}.png", compress_level=1)
            (labels / f"{seed}.txt").write_text(_labels(scene))
    splits = {"path": str(folder), "train": "images/train", "val": "images/val"}
    data = folder / "data.yaml"
    # JSON is YAML, too.
    data.write_text(json.dumps(splits | {"names": dict(enumerate(KINDS))}))
    return data


def _labels(scene: Scene) -> str:
    """One line per shape: class id, then centre and size of its box as shares of the picture's."""
    width, height = scene.picture.size
    lines = []
    for thing in scene.objects:
        left, top, right, bottom = thing.xyxy
        x, y = (left + right) / 2 / width, (top + bottom) / 2 / height
        w, h = (right - left) / width, (bottom - top) / height
        lines.append(f"{KINDS.index(thing.class_name)} {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n")
    return "".join(lines)
