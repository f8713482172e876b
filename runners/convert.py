"""Converts the models ahead of a start, so that it needs neither their weights nor torch.

`image-search convert` does so for people, and for machines of either kind. For the worker of one
model this is a program of its own: `runners.serving.apart`.
"""

import logging
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runners.clip.recipe import ClipRecipe
from runners.device.precision import Precision
from runners.device.torch_process import wait_passively
from runners.errors import RunnerError, UnsupportedModelError
from runners.runtime.choice import compare, conversions_of, load
from runners.runtime.conversions import Verdict
from runners.runtime.recipe import Recipe, Request
from runners.serving.shutdown import end_with_parent
from runners.settings import ENV_PREFIX, ModelSettings
from runners.yolo.recipe import YoloRecipe

_ON_CPUS: tuple[Precision, ...] = ("fp32", "bf16")
_RECIPES: dict[str, Callable[[ModelSettings, Request], Recipe[Any]]] = {
    "clip": ClipRecipe.of,
    "yolo": YoloRecipe.of,
}


@dataclass(frozen=True)
class Outcome:
    """What became of a model.

    Attributes:
        model: `clip` or `yolo`.
        label: The setting that names it, and its value.
        verdict: What computes it on this machine.
        precision: What in.
        folder: Of its conversion, and of verdicts.
        size: Bytes of the conversion; 0 where there is none.
    """

    model: str
    label: str
    verdict: Verdict
    precision: str
    folder: Path
    size: int


def convert_all(settings: ModelSettings) -> list[Outcome]:
    """Convert both models, for CPUs with bf16 and for others, and choose what computes them here.

    Raises:
        RunnerError: If a model cannot be loaded, or the settings leave nothing to convert.
        OSError: If the folder of conversions cannot be written.
        importlib.metadata.PackageNotFoundError: OpenVINO is not installed.
    """
    request = Request.of(settings)
    if request.runtime == "torch":
        way = f"{request.device} in {request.precision}"
        raise UnsupportedModelError(
            f"nothing is converted: by these settings the models are computed by torch, {way}; "
            f"that is {ENV_PREFIX}RUNTIME, {ENV_PREFIX}DEVICE and {ENV_PREFIX}PRECISION"
        )
    return [_converted(name, make(settings, request), request) for name, make in _RECIPES.items()]


def _converted(model: str, recipe: Recipe[Any], request: Request) -> Outcome:
    conversions = conversions_of(recipe, request)
    conversions.make_folder()
    others: list[Precision] = [one for one in _ON_CPUS if one != request.precision]
    for precision in others:
        elsewhere = replace(request, precision=precision, runtime="openvino")
        compare(recipe, elsewhere, conversions)
    _, verdict = compare(recipe, request, conversions)
    found = conversions.find()
    size = found.size if found else 0
    return Outcome(model, recipe.label, verdict, request.precision, conversions.folder, size)


def main() -> None:
    """`python -m runners.convert clip`; what it comes to is said by who asked for it."""
    end_with_parent(signal.SIGKILL)
    wait_passively()
    logging.disable()
    settings = ModelSettings()
    request = Request.of(settings)
    with suppress(RunnerError):
        load(_RECIPES[sys.argv[1]](settings, request), request)


if __name__ == "__main__":
    main()
