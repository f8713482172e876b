"""The limits of `bench.limit` for one run: how they are reached, and what they are now."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from bench.limit import DRAWN, Found, Job, Meter, Model, best_of, few_whole, grouped

SECONDS = 10.0
"""For each measurement of a limit."""
TRIAL_S = 2.0
"""For every way that is tried."""

Limits = dict[Model, float]
"""Pictures per second."""


class Yardstick:
    """Looks for the fastest way once, and measures it as often as it is asked to.

    Args:
        files: the photographs.
        settings: of the service, which are those of the limit.

    Attributes:
        found: the way for each model.
        rates: pictures per second, each time that a limit was measured.
    """

    def __init__(self, files: Mapping[str, Path], settings: Mapping[str, str]) -> None:
        self._groups, self._settings = grouped(files), settings
        self._meters: dict[Model, Meter] = {}
        self.found: dict[Model, Found] = {}
        self.rates: dict[Model, list[float]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for meter in self._meters.values():
            meter.close()

    def find(self, models: Sequence[Model]) -> None:
        """Look for the fastest way of each of these models."""
        for model in dict.fromkeys(models):
            if model == DRAWN:  # it is told for information, and the detector's way will do
                like = self.found["yolo"]
                way = few_whole(like.way)
                self.found[model] = replace(like, way=way, tried={}, plain_rate=None)
                self._meters[model] = self._meters["yolo"]
            else:
                job = Job(model, self._groups, TRIAL_S, SECONDS, plain=True)
                found = self.found[model] = best_of(job, self._settings)
                self._meters[model] = Meter(self._settings, found.waits)
            self.rates[model] = []

    def limits(self, models: Sequence[Model]) -> Limits:
        """What these models reach now, each by itself."""
        return {model: self._measured(model) for model in models}

    def _measured(self, model: Model) -> float:
        found = self.found[model]
        again = self._meters[model].measure(Job(model, self._groups, 0, SECONDS, way=found.way))
        self.found[model] = replace(found, words=again.words)
        self.rates[model].append(again.rate)
        return again.rate
