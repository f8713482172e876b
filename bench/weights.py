"""The models that a benchmark's service runs: the demo models, or full-size ones of random weights.

How long a model takes does not depend on what it has learned, so that random weights of the
default architectures (ViT-B-32, yolo11n) stand in for the published ones, without a download. They
are made once and kept in a folder of the system's temporary files. A detector of random weights
finds nothing, so that the little time that drawing boxes takes is left out.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

ModelSize = Literal["full", "demo"]
SIZES: tuple[ModelSize, ...] = ("full", "demo")
_FOLDER = Path(tempfile.gettempdir()) / "image-search-random-weights"
_CLIP, _YOLO = "ViT-B-32.safetensors", "yolo11n.pt"


def model_environment(size: ModelSize) -> dict[str, str]:
    """Settings of a service that runs these models on the CPU; makes the weights where needed."""
    if size == "demo":
        return {"IMAGE_SEARCH_MODELS": "demo", "IMAGE_SEARCH_DEVICE": "cpu"}
    if not all((_FOLDER / name).exists() for name in (_CLIP, _YOLO)):
        # In a process of its own: torch would stay in this one, whose time is to be small.
        subprocess.run([sys.executable, "-m", "bench.weights"], check=True)
    return {
        "IMAGE_SEARCH_MODELS": "pretrained",
        "IMAGE_SEARCH_DEVICE": "cpu",
        "IMAGE_SEARCH_CLIP_PRETRAINED": str(_FOLDER / _CLIP),
        "IMAGE_SEARCH_YOLO_WEIGHTS": str(_FOLDER / _YOLO),
    }


def _make() -> None:
    import open_clip  # noqa: PLC0415 - heavy, and this module is imported for its names
    import torch  # noqa: PLC0415
    from safetensors.torch import save_file  # noqa: PLC0415

    from runners.yolo.weights import tame_ultralytics  # noqa: PLC0415

    _FOLDER.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    clip = open_clip.create_model("ViT-B-32").state_dict()
    tame_ultralytics(_FOLDER)
    from ultralytics import YOLO  # noqa: PLC0415 - only once it is tame

    with tempfile.TemporaryDirectory(dir=_FOLDER) as unfinished:
        save_file(clip, Path(unfinished) / _CLIP)
        YOLO("yolo11n.yaml").save(str(Path(unfinished) / _YOLO))
        for name in (_CLIP, _YOLO):  # whole or not at all, for whoever looks at the same time
            (Path(unfinished) / name).replace(_FOLDER / name)


if __name__ == "__main__":
    _make()
