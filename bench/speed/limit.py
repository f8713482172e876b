"""Upper bound of the service's speed: the same models in one process, in full batches, no server.

A child process looks for the fastest runtime, and way to spread the work over the cores
(`bench.speed.works`), then measures that way alone as often as it is asked to. A machine that
others share is faster or slower from minute to minute, so the limit is measured beside every load.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from bench.report import cores
from bench.service.child import Child

Model = Literal["clip", "yolo", "objects"]
_TRIAL_S, _MEASURE_S = 2.0, 10.0
_ENVIRONMENT = {
    # Two torch threads that spin beside two that decode take up to ten times as long.
    "OMP_WAIT_POLICY": "PASSIVE",
    # As the service's own decoders have it: fresh pages for every picture cost more than decoding.
    "PILLOW_BLOCKS_MAX": "16",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
}


@dataclass
class Found:
    """Pictures per second, and the way they were reached, as `works.Way` has it; then in words."""

    rate: float
    way: Sequence[Any]
    words: str


class Limits:
    """Limits of one run with a service's settings: how they are reached, and what they are now.

    Args:
        groups: JPEG files, those of one shape together.
        settings: of the service.
    """

    def __init__(self, groups: Iterable[Sequence[Path]], settings: Mapping[str, str]) -> None:
        named = [[str(path) for path in group] for group in groups]
        command = [sys.executable, "-m", __name__, json.dumps(named)]
        self._child = Child(command, {**os.environ, **_ENVIRONMENT, **settings})
        self.found: dict[Model, Found] = {}
        self.rates: dict[Model, list[float]] = {}

    def close(self) -> None:
        self._child.close()

    def find(self, model: Model) -> None:
        """Look for the fastest way of a model."""
        self.rates[model], self.found[model] = [], Found(**self._child.ask(model=model, way=None))

    def measure(self, model: Model) -> float:
        """Pictures per second of a model now."""
        self.rates[model].append(self._child.ask(model=model, way=self.found[model].way)["rate"])
        return self.rates[model][-1]


def main() -> None:
    """Answer the questions of standard input, a line each."""
    from bench.speed.works import MAKES, Pipeline, Way, ways  # noqa: PLC0415 - torch

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not come between the answers
    groups: list[list[str]] = json.loads(sys.argv[1])
    files = [[Path(path).read_bytes() for path in group] for group in groups]
    pipelines: dict[Model, Pipeline] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        model: Model = asked["model"]
        pipeline = pipelines.setdefault(model, Pipeline(MAKES[model], files))
        if asked["way"]:
            way = Way(*asked["way"])
            found = Found(pipeline.rate(way, _MEASURE_S), asked["way"], str(way))
        else:
            rates = {way: pipeline.rate(way, _TRIAL_S) for way in ways(cores())}
            way = max(rates, key=rates.__getitem__)
            found = Found(rates[way], way, str(way))
        print(json.dumps(asdict(found)), file=answers, flush=True)


if __name__ == "__main__":
    main()
