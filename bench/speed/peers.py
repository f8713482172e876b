"""The same models by other runtimes: torch.compile, and ONNX Runtime as Immich's service uses it.

Forward passes alone, of bytes to embeddings or predictions, on all cores in one process. ONNX
Runtime has no bf16 on CPUs. Its packages are of a group of their own: `uv run --group peers`.
"""

import importlib.util
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch

from runners.clip.recipe import load_clip
from runners.clip.torch_forward import TorchForward as ClipForward
from runners.settings import ModelSettings
from runners.yolo.parts import Whole
from runners.yolo.recipe import load_yolo
from runners.yolo.torch_forward import TorchForward as YoloForward

COMPILED, ONNX = "torch.compile", "ONNX Runtime"
Precision = Literal["fp32", "bf16"]
Forward = Callable[[Any], Any]
"""Of uint8 [n, height, width, 3]."""


def forwards(precision: Precision) -> dict[str, dict[str, Forward]]:
    """By runtime, the forward passes `CLIP` and `YOLO`; without those that are not installed."""
    settings = ModelSettings(runtime="torch", precision="fp32")
    clip, yolo = load_clip(settings).forward, load_yolo(settings).forward
    assert isinstance(clip, ClipForward)  # noqa: S101 - for mypy; by these settings
    assert isinstance(yolo, YoloForward)  # noqa: S101
    modules = {"CLIP": clip.pictures.eval(), "YOLO": Whole(yolo.network).eval()}
    found = {COMPILED: {name: _compiled(one, precision) for name, one in modules.items()}}
    if precision == "fp32" and importlib.util.find_spec("onnxruntime"):
        found[ONNX] = {name: _in_onnx(one) for name, one in modules.items()}
    return found


def _compiled(module: torch.nn.Module, precision: Precision) -> Forward:
    import torch._inductor.config as inductor  # noqa: PLC0415 - brings the compiler

    inductor.freezing = True
    torch.backends.mha.set_fastpath_enabled(False)
    compiled = torch.compile(module)
    is_bf16 = precision == "bf16"

    def forward(pictures: Any) -> Any:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
            return compiled(torch.from_numpy(pictures))

    return forward


def _in_onnx(module: torch.nn.Module) -> Forward:
    import onnxruntime  # noqa: PLC0415 - of another group

    example = torch.zeros(2, 224, 224, 3, dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter is deprecated, and the newer needs more
        path = Path(folder) / "model.onnx"
        axes = {"pictures": {0: "n"}, "found": {0: "n"}}
        if isinstance(module, Whole):
            axes["pictures"] |= {1: "height", 2: "width"}
        torch.onnx.export(
            module,
            (example,),
            path,
            dynamo=False,
            opset_version=17,
            input_names=["pictures"],
            output_names=["found"],
            dynamic_axes=axes,
        )
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda pictures: session.run(None, {"pictures": pictures})
