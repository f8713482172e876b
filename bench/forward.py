"""One picture or text through the plain model class, in a process where nothing else happens.

As a command::

    python -m bench.forward clip|text|yolo PHOTOGRAPH RUNS    # settings from the environment

Threads, their way to wait, and precision are those that a model's process has in the service.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.timing import Timed, each_now
from runners.device.torch_process import prepare_torch

_WARM_UP = 5
_TEXT = "a red bus, number {}"


def lone_forward(
    model: str, photo: Path, settings: Mapping[str, str], runs: int = 30
) -> Timed[None]:
    """How long each of so many lone forward passes took, in a child process.

    Args:
        model: `clip`, `text` or `yolo`.
        photo: that goes through it; a text does without.
        settings: of the service.
        runs: that count.

    Raises:
        subprocess.CalledProcessError: it failed; what it said is on standard error.
    """
    command = [sys.executable, "-m", "bench.forward", model, str(photo), str(runs)]
    done = subprocess.run(
        command, env={**os.environ, **settings}, check=True, stdout=subprocess.PIPE
    )
    return Timed([], json.loads(done.stdout.splitlines()[-1]))


def _call(model: str, photo: Path) -> Callable[[int], Any]:
    # First: torch reads once how its threads are to wait. Where they spin, and anything else wants
    # a core, a pass takes several times as long.
    prepare_torch("torchvision", "open_clip")
    from bench.pipeline import ClipWork, YoloWork  # noqa: PLC0415 - torch
    from runners.clip.model import ClipModel  # noqa: PLC0415 - torch
    from runners.settings import ModelSettings  # noqa: PLC0415

    if model == "text":
        texts = ClipModel.load(ModelSettings())
        texts.warm_up()
        return lambda number: texts.encode_texts([_TEXT.format(number)])
    work = ClipWork() if model == "clip" else YoloWork()
    prepared: Any = work.prepare(photo.read_bytes())
    return lambda _: work.compute([prepared])


def main() -> None:
    """Print the seconds of each run as JSON."""
    parser = argparse.ArgumentParser(description="A child of other benchmarks.")
    parser.add_argument("model", choices=("clip", "text", "yolo"))
    parser.add_argument("photo", type=Path)
    parser.add_argument("runs", type=int)
    given = parser.parse_args()
    call = _call(given.model, given.photo)
    each_now(call, range(_WARM_UP))
    print(json.dumps(each_now(call, range(given.runs)).seconds))


if __name__ == "__main__":
    main()
