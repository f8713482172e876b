"""An ultralytics network: loaded, described, fused, and with copies that share its weights."""

import copy
from pathlib import Path
from typing import Any

import torch

from runners.errors import UnsupportedModelError, WeightsInvalidError
from runners.schemas import YoloInfo
from runners.settings import ENV_PREFIX
from runners.weights.source import WeightsSource, identity_of
from runners.yolo import weights as yolo_weights


def load_checkpoint(path: Path, source: WeightsSource) -> Any:
    """Load a checkpoint, of which only known classes of torch and ultralytics are unpickled.

    Raises:
        WeightsInvalidError: If the file is damaged, unsafe or of another kind.
    """
    from ultralytics import YOLO  # noqa: PLC0415 - reads its environment once, at import
    from ultralytics.nn.tasks import torch_safe_load  # noqa: PLC0415 - likewise
    from ultralytics.utils.checks import check_yolov5u_filename  # noqa: PLC0415 - likewise

    yolo_weights.join_log()
    if path.suffix != ".pt":
        raise WeightsInvalidError(f"{source.label}: YOLO weights are a .pt file of ultralytics")
    if "'" in str(path) or check_yolov5u_filename(str(path), verbose=False) != str(path):
        # ultralytics would look for a file of another name, and download one (8.4
        # `utils.downloads.attempt_download_asset`).
        raise WeightsInvalidError(
            f"{source.label}: ultralytics does not open a file of that name: it drops quotes and "
            "takes yolov3 and yolov5 for names of its own newer models; rename the file"
        )
    try:
        # Whether or not something imported ultralytics before its environment was set, a file
        # that holds code must be refused before `YOLO` opens it.
        torch_safe_load(str(path), safe_only=True)
        return YOLO(str(path))
    except Exception as error:  # what a wrong file makes ultralytics raise has no common class
        raise WeightsInvalidError(
            f"{source.label}: not a checkpoint of ultralytics, damaged, or it holds more than a "
            "model; it was not loaded",
            detail=repr(error),
        ) from error


def describe(model: Any, source: WeightsSource) -> YoloInfo:
    """What a detector is, and how pictures must be letterboxed for it.

    Raises:
        UnsupportedModelError: If the model is not a detector.
    """
    if model.task != "detect":
        raise UnsupportedModelError(
            f"{source.label}: a model for the task {model.task}, but {ENV_PREFIX}YOLO_WEIGHTS "
            "needs one for detection, such as yolo11n.pt"
        )
    # Some heads have smaller strides, but ultralytics pads to 32 at least.
    stride = max(32, int(model.model.stride.max()))
    size = model.overrides.get("imgsz", 640)
    side = max(size) if isinstance(size, list | tuple) else int(size)
    return YoloInfo(
        weights=identity_of(source),
        class_names=tuple(model.names[index] for index in range(len(model.names))),
        image_size=-(-side // stride) * stride,
        stride=stride,
    )


def prepared(network: Any, device: str) -> Any:
    """A network of `YOLO(...).model`, fused and laid out as ultralytics' own predictor does."""
    from ultralytics.nn.autobackend import AutoBackend  # noqa: PLC0415 - see load_checkpoint

    fused = AutoBackend(
        network, device=torch.device(device), fuse=True, verbose=False
    ).backend.model
    if device != "cpu":  # on a CPU it has done so where that pays
        fused = fused.to(memory_format=torch.channels_last)
    return fused.eval()


def sharing(network: Any, copies: int) -> list[Any]:
    """Networks with the same weights in memory, but each with state of its own.

    A head keeps the grid of the picture's shape that it saw last (8.4 `Detect.anchors`), so that
    two threads that forward pictures of two shapes need two heads.
    """
    weights = [*network.parameters(), *network.buffers()]
    shared = {id(tensor): tensor for tensor in weights}
    return [network, *(copy.deepcopy(network, dict(shared)) for _ in range(copies - 1))]
