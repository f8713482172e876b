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
_CLIP, _YOLO = "ViT-B-32.safetensors", "yolo11n.pt"


def model_environment(size: ModelSize) -> dict[str, str]:
    """Settings of a service that runs these models on the CPU; makes the weights where needed."""
    if size == "demo":
        return {f"{PREFIX}MODELS": "demo", f"{PREFIX}DEVICE": "cpu"}
    if not all((FOLDER / name).exists() for name in (_CLIP, _YOLO)):
        # In a process of its own: torch would stay in this one, whose time is to be small.
        subprocess.run([sys.executable, "-m", __name__], check=True)
    return {
        f"{PREFIX}MODELS": "pretrained",
        f"{PREFIX}DEVICE": "cpu",
        f"{PREFIX}CLIP_PRETRAINED": str(FOLDER / _CLIP),
        f"{PREFIX}YOLO_WEIGHTS": str(FOLDER / _YOLO),
    }


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


def _make() -> None:
    import open_clip  # noqa: PLC0415 - heavy, and this module is imported for its names
    import torch  # noqa: PLC0415
    from safetensors.torch import save_file  # noqa: PLC0415

    FOLDER.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    clip = open_clip.create_model("ViT-B-32").state_dict()
    os.environ |= {"YOLO_CONFIG_DIR": str(FOLDER), "YOLO_AUTOINSTALL": "False"}
    os.environ["YOLO_OFFLINE"] = "True"
    from ultralytics import YOLO  # noqa: PLC0415 - reads its environment at import

    with tempfile.TemporaryDirectory(dir=FOLDER) as unfinished:
        save_file(clip, Path(unfinished) / _CLIP)
        YOLO("yolo11n.yaml").save(str(Path(unfinished) / _YOLO))
        for name in (_CLIP, _YOLO):  # whole or not at all, for whoever looks at the same time
            (Path(unfinished) / name).replace(FOLDER / name)


if __name__ == "__main__":
    _make()
