"""Models and settings of the measured service: demo models, or full-size ones of random weights.

How long a model takes does not depend on what it has learned, so that random weights of the default
architectures (ViT-B-32, yolo11n) stand in for the published ones, without a download; they are made
once, in the folder of temporary files. Such a detector finds nothing to be drawn.
"""

import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Literal

from bench.load.photos import sides_of
from bench.report import Report

ModelSize = Literal["full", "demo"]
SIZES: tuple[ModelSize, ...] = ("full", "demo")
PREFIX = "IMAGE_SEARCH_"
FOLDER = Path(tempfile.gettempdir()) / "image-search-random-weights"
_CLIP, _YOLO = "ViT-B-32", "yolo11n.pt"


def model_environment(size: ModelSize) -> dict[str, str]:
    """Settings of a service that runs these models on the CPU; makes the weights where needed."""
    if size == "demo":
        return {f"{PREFIX}MODELS": "demo", f"{PREFIX}DEVICE": "cpu"}
    return {
        f"{PREFIX}MODELS": "pretrained",
        f"{PREFIX}DEVICE": "cpu",
        f"{PREFIX}CLIP_PRETRAINED": str(random_weights(_CLIP, FOLDER)),
        f"{PREFIX}YOLO_WEIGHTS": str(random_weights(_YOLO, FOLDER)),
    }


def random_weights(name: str, folder: Path) -> Path:
    """File with weights of an open_clip architecture or a detector (`yolo11n.pt`), made if need be.

    In a process of its own: torch would stay in this one, whose time is to be small.
    """
    file = folder / (name if name.endswith(".pt") else f"{name}.safetensors")
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", __name__, str(file)], check=True)
    return file


def service_settings(size: ModelSize, precision: str | None = None) -> dict[str, str]:
    """Environment of a service: models' settings, then the caller's own `IMAGE_SEARCH_*`."""
    own = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    given = {} if precision is None else {f"{PREFIX}PRECISION": precision}
    return {**model_environment(size), **own, **given}


def add_service_options(parser: ArgumentParser, rows: int, sides: str) -> None:
    """Options of a command that runs the service, with these defaults of rows and sides."""
    parser.add_argument("--models", choices=SIZES, default="full")
    parser.add_argument("--precision", help="of both models")
    parser.add_argument("--rows", type=int, default=rows, help="in the table from the start")
    parser.add_argument("--sides", type=sides_of, default=sides_of(sides))


def settings_of(given: Namespace, report: Report) -> dict[str, str]:
    """Settings by these options; prints what differs from the defaults."""
    settings = service_settings(given.models, given.precision)
    rows = [(name.removeprefix(PREFIX), value) for name, value in sorted(settings.items())]
    report.table(["setting", "value"], rows, "settings; all others have their defaults")
    return settings


def numbers(text: str) -> tuple[int, ...]:
    """Numbers as they stand on a command line: `1,8,32`."""
    return tuple(int(each) for each in text.split(","))


def _make(file: Path) -> None:
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        unfinished = Path(folder) / file.name
        (_make_yolo if file.suffix == ".pt" else _make_clip)(unfinished)
        unfinished.replace(file)  # whole or not at all, for whoever looks at the same time


def _make_clip(file: Path) -> None:
    import open_clip  # noqa: PLC0415 - heavy, and this module is imported for its names
    import torch  # noqa: PLC0415
    from safetensors.torch import save_file  # noqa: PLC0415

    torch.manual_seed(0)
    save_file(open_clip.create_model(file.stem).state_dict(), file)


def _make_yolo(file: Path) -> None:
    os.environ |= {"YOLO_CONFIG_DIR": str(FOLDER), "YOLO_AUTOINSTALL": "False"}
    os.environ["YOLO_OFFLINE"] = "True"
    import torch  # noqa: PLC0415
    from ultralytics import YOLO  # noqa: PLC0415 - reads its environment at import

    torch.manual_seed(0)
    YOLO(f"{file.stem}.yaml").save(str(file))


if __name__ == "__main__":
    _make(Path(sys.argv[1]))
