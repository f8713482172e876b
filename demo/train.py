"""Trains the demo models anew: `python -m demo.train [--out DIR] [--only clip|yolo] [--quick]`.

About an hour on two CPU cores, with no network. `--quick` takes a minute and shows that all parts
work together; its models are of no use.
"""

import argparse
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from demo.models import CLIP_CONFIG_NAME, CLIP_NAME, WEIGHTS, YOLO_NAME
from demo.scenes.seeds import CLIP_TRAIN_SEEDS, YOLO_TRAIN_SEEDS, YOLO_VALIDATION_SEEDS

logger = logging.getLogger("demo.train")  # by its name, for it runs as __main__


def main() -> None:
    """Reads the command line and trains what it asks for."""
    parser = argparse.ArgumentParser(description="Train the demo models.")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder for the weights")
    parser.add_argument("--only", choices=("clip", "yolo"), help="train one of the two")
    parser.add_argument("--quick", action="store_true", help="a minute's trial of the whole way")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    logging.getLogger("demo").setLevel(logging.INFO)
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.only != "yolo":
        _replace(arguments.out / CLIP_NAME, lambda path: _train_clip(path, arguments.quick))
        if arguments.out.resolve() != WEIGHTS:
            shutil.copy(WEIGHTS / CLIP_CONFIG_NAME, arguments.out)
    if arguments.only != "clip":
        _replace(arguments.out / YOLO_NAME, lambda path: _train_yolo(path, arguments.quick))


def _train_clip(target: Path, quick: bool) -> None:
    from demo.training.train_clip import train_clip  # noqa: PLC0415 - each trainer is slow to import

    if quick:
        train_clip(target, CLIP_TRAIN_SEEDS[:1000], steps=60)
    else:
        train_clip(target, CLIP_TRAIN_SEEDS, steps=3000)


def _train_yolo(target: Path, quick: bool) -> None:
    from demo.training.train_yolo import train_yolo  # noqa: PLC0415

    if quick:
        train_yolo(target, YOLO_TRAIN_SEEDS[:256], YOLO_VALIDATION_SEEDS[:32], epochs=2)
    else:
        train_yolo(target, YOLO_TRAIN_SEEDS, YOLO_VALIDATION_SEEDS, epochs=18)


def _replace(target: Path, train: Callable[[Path], None]) -> None:
    """Trains into a file beside the target, then puts it in the target's place at once."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".training-") as folder:
        fresh = Path(folder) / target.name
        train(fresh)
        os.replace(fresh, target)  # noqa: PTH105
    target.chmod(0o644)
    size = target.stat().st_size / 1e6
    logger.info("%s: %.1f MB, after %.0f s", target.name, size, time.monotonic() - started)


if __name__ == "__main__":
    main()
