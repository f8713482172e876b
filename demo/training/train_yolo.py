"""Trains the demo's detector: a small ultralytics YOLO, with the library's own trainer, offline."""

import os
import tempfile
from pathlib import Path

import torch

from demo.training.dataset import IMAGE_SIZE, write_dataset

ARCHITECTURE = Path(__file__).parent / "yolo.yaml"


def train_yolo(target: Path, train: range, validation: range, epochs: int) -> None:
    """Trains on drawn scenes and writes the best epoch's weights, fp16, without the optimizer.

    Everything the trainer leaves behind goes to a temporary folder.
    """
    # Read when ultralytics is imported: without it the trainer asks the network for a font.
    os.environ["YOLO_OFFLINE"] = "true"
    from ultralytics import YOLO  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="image-search-yolo-") as folder:
        data = write_dataset(Path(folder), train, validation)
        model = YOLO(ARCHITECTURE)
        model.train(
            data=data, epochs=epochs, imgsz=IMAGE_SIZE, batch=32, device="cpu", workers=0,
            project=folder, name="run", seed=0, deterministic=True, plots=False, verbose=False,
            cache="ram", amp=False, pretrained=False, optimizer="AdamW", lr0=2e-3, cos_lr=True,
            warmup_epochs=1.0, close_mosaic=max(1, epochs // 4), mosaic=0.5, scale=0.3,
            translate=0.1, hsv_h=0.01, hsv_s=0.2, hsv_v=0.15, erasing=0.0, auto_augment=None,
        )  # fmt: skip
        publish(Path(folder) / "run" / "weights" / "best.pt", target)


def publish(trained: Path, target: Path) -> None:
    """Copies a trained checkpoint, less what tells of the machine and the hour it was trained."""
    # Only ever a file which the trainer has just written: weights_only cannot read its classes.
    checkpoint = torch.load(trained, map_location="cpu", weights_only=False)
    arguments = {name: checkpoint["train_args"][name] for name in ("task", "imgsz", "single_cls")}
    model = checkpoint["model"]
    model.args = arguments
    model.yaml["yaml_file"] = ARCHITECTURE.name
    kept = {name: checkpoint[name] for name in ("version", "license", "epoch", "ema")}
    torch.save(kept | {"model": model, "train_args": arguments}, target)
