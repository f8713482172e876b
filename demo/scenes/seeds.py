"""Disjoint seeds of scenes for training, validation and show: no model is tried on what it saw."""

CLIP_TRAIN_SEEDS = range(0, 24_000)
YOLO_TRAIN_SEEDS = range(100_000, 104_000)
YOLO_VALIDATION_SEEDS = range(200_000, 200_200)
"""Scenes on which training picks the best epoch: part of the training, not of the measurement."""
HELD_OUT_SEEDS = range(300_000, 301_500)
"""Scenes for `demo.quality` and the tests alone."""
SHOW_SEEDS = range(400_000, 410_000)
"""Scenes for the demo's table, its pictures and its server."""

ALL_SEEDS = {
    "clip train": CLIP_TRAIN_SEEDS,
    "yolo train": YOLO_TRAIN_SEEDS,
    "yolo validation": YOLO_VALIDATION_SEEDS,
    "held out": HELD_OUT_SEEDS,
    "show": SHOW_SEEDS,
}
