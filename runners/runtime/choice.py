"""Chooses what computes a model: torch, or OpenVINO where that is near enough, and faster.

The first load on a machine converts the model, compares both runtimes on a trial, measures them,
and keeps the outcome; the next ones open what it left, and run the trial again.
"""

import importlib.metadata
import json
import logging
import math
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from runners.device.cores import available_cores
from runners.device.precision import Precision
from runners.runtime.conversions import Arrays, Conversion, Conversions, Verdict
from runners.runtime.graph import computes_bf16
from runners.settings import ENV_PREFIX, ModelSettings

_MEASURE_S = 1.0
_LEAST_ROUNDS, _MOST_ROUNDS = 2, 10
_FORMAT = 1
"""Of what is kept; raised when the graphs, the trial or the verdicts change."""

_log = logging.getLogger(__name__)
_Model = TypeVar("_Model")


class Recipe(Protocol[_Model]):
    """How one kind of model is loaded by either runtime, and how the two are compared.

    Attributes:
        library: Package that defines the architectures.
    """

    library: str

    @property
    def label(self) -> str:
        """How messages name the setting and its value."""

    @property
    def key(self) -> Mapping[str, Any]:
        """What a conversion depends on, beside the versions of libraries."""

    def load_torch(self) -> _Model:
        """The model in torch and fp32."""

    def in_precision(self, model: _Model) -> _Model:
        """The same in the precision of the settings; `model` is not usable any more."""

    def trial(self, model: _Model) -> Arrays:
        """Inputs to compare both runtimes by."""

    def results(self, model: _Model, inputs: Arrays) -> Arrays:
        """What a model makes of the trial's inputs."""

    def differences(self, expected: Arrays, found: Arrays) -> tuple[float, ...]:
        """How far results are from others, by kind of difference."""

    def limits(self, in_torch: tuple[float, ...]) -> tuple[float, ...]:
        """How far they may be, where torch in the same precision is so far from fp32 itself."""

    def convert(self, model: _Model) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """OpenVINO's models of a model in fp32, by name, and the facts to use them with."""

    def open(self, conversion: Conversion, precision: Precision, threads: int) -> _Model:
        """The model as OpenVINO computes it."""

    def work(self, model: _Model) -> Sequence[Callable[[], Any]]:
        """Calls to measure a model by."""


@dataclass(frozen=True)
class Request:
    """What the settings want of a model on this machine.

    Attributes:
        runtime: what may be used.
        precision: what torch would compute in.
        threads: that compute.
        cache_dir: where conversions are kept.
    """

    runtime: Literal["auto", "torch", "openvino"]
    precision: Precision
    threads: int
    cache_dir: Path

    @classmethod
    def of(cls, settings: ModelSettings, precision: Precision, device: str) -> "Request":
        """The request of these settings, whose device and precision are resolved."""
        runtime = settings.runtime if device == "cpu" else "torch"
        if precision == "fp16":  # OpenVINO computes in it on few CPUs, and on those for itself
            runtime = "torch"
        if runtime != settings.runtime == "openvino":
            way = f"{device} in {precision}"
            _log.warning("%sRUNTIME=openvino: %s is computed by torch alone", ENV_PREFIX, way)
        threads = settings.threads or available_cores()
        return cls(runtime, precision, threads, settings.cache_dir)

    @property
    def circumstances(self) -> dict[str, Any]:
        """What a verdict depends on beside the model."""
        return {
            "cpu": cpu(),
            "precision": self.precision,
            "threads": self.threads,
            "runtime": self.runtime,
        }


def load(recipe: Recipe[_Model], request: Request) -> _Model:
    """Load a model by the runtime that the request, this machine and the trial lead to.

    Raises:
        RunnerError: If it cannot be loaded by torch either.
    """
    if request.runtime == "torch":
        return _in_torch(recipe)
    try:
        conversions = _conversions(recipe, request)
    except (OSError, importlib.metadata.PackageNotFoundError) as error:
        reason = getattr(error, "strerror", None) or "it is not installed"
        return _in_torch(recipe, f"OpenVINO cannot be used: {reason}")
    verdict = conversions.verdict(request.circumstances)
    if verdict is not None and verdict.runtime == "torch":
        return _in_torch(recipe, verdict.reason)
    model = verdict and _opened(recipe, request, conversions, verdict)
    return model or _compared(recipe, request, conversions)


def _conversions(recipe: Recipe[Any], request: Request) -> Conversions:
    versions = {name: importlib.metadata.version(name) for name in ("openvino", recipe.library)}
    key = {**recipe.key, **versions, "format": _FORMAT}
    conversions = Conversions(request.cache_dir, key)
    conversions.make_folder()
    return conversions


def _in_torch(recipe: Recipe[_Model], reason: str = "") -> _Model:
    if reason:
        _log.warning("%s: computed by torch; %s", recipe.label, reason)
    return recipe.in_precision(recipe.load_torch())


def _opened(
    recipe: Recipe[_Model], request: Request, conversions: Conversions, verdict: Verdict
) -> _Model | None:
    """The model as an earlier load left it, if that is whole and still passes its trial."""
    conversion = conversions.find()
    if conversion is None:
        return None
    try:
        model = recipe.open(conversion, _precision(request), request.threads)
        found = recipe.results(model, conversion.inputs)
    except Exception as error:  # OpenVINO's have no common class
        _log.warning("%s: a converted model is made anew: %r", recipe.label, error)
        return None
    differences = recipe.differences(conversion.expected, found)
    return model if _within(differences, verdict.limits) else None


def _compared(recipe: Recipe[_Model], request: Request, conversions: Conversions) -> _Model:
    """Convert the model, choose by results and speed, and keep the outcome."""
    if not conversions.begin():
        return _in_torch(
            recipe,
            "converting it for OpenVINO was ended several times before it was done: "
            f"to try it again, delete the folder openvino in {ENV_PREFIX}CACHE_DIR",
        )
    model, verdict = _judged(recipe, request, conversions)
    try:
        if verdict.lasts:
            conversions.decide(request.circumstances, verdict)
        conversions.end()
    except OSError as error:
        _log.warning("%s: the choice of a runtime is not kept: %s", recipe.label, error.strerror)
    if verdict.reason:
        _log.warning("%s: computed by torch; %s", recipe.label, verdict.reason)
    return model


def _judged(
    recipe: Recipe[_Model], request: Request, conversions: Conversions
) -> tuple[_Model, Verdict]:
    exact = recipe.load_torch()
    inputs = recipe.trial(exact)
    expected = recipe.results(exact, inputs)
    try:
        converted = _converted(recipe, request, conversions, exact, (inputs, expected))
        differences = recipe.differences(expected, recipe.results(converted, inputs))
    except Exception as error:  # neither torch's tracing nor OpenVINO has errors of its own
        _log.info("%s: not converted: %r", recipe.label, error)
        return recipe.in_precision(exact), _failure(error)
    in_torch = recipe.in_precision(exact)
    own = expected if in_torch is exact else recipe.results(in_torch, inputs)
    limits = recipe.limits(recipe.differences(expected, own))
    if not _within(differences, limits):
        return in_torch, Verdict("torch", "OpenVINO's results differ too much", limits)
    if request.runtime == "auto" and not is_faster(recipe.work(converted), recipe.work(in_torch)):
        return in_torch, Verdict("torch", limits=limits)
    return converted, Verdict("openvino", limits=limits)


def _converted(
    recipe: Recipe[_Model],
    request: Request,
    conversions: Conversions,
    exact: _Model,
    trial: tuple[Arrays, Arrays],
) -> _Model:
    """The model by OpenVINO, from the files that are kept: what torch has in memory may change."""
    graphs, facts = recipe.convert(exact)
    try:
        conversion = conversions.keep(graphs, facts, *trial)
    except Exception as error:  # OpenVINO's own, where the disk is full
        raise NotKeptError from error
    return recipe.open(conversion, _precision(request), request.threads)


class NotKeptError(Exception):
    """A conversion could not be written."""


def _failure(error: Exception) -> Verdict:
    if isinstance(error, NotKeptError):
        reason = f"its conversion for OpenVINO could not be written to {ENV_PREFIX}CACHE_DIR"
        return Verdict("torch", reason, lasts=False)
    return Verdict("torch", "OpenVINO does not convert it")


def _precision(request: Request) -> Precision:
    """What OpenVINO computes in; where it has no bf16, fp32 is as fast as it gets."""
    return "bf16" if request.precision == "bf16" and computes_bf16() else "fp32"


def _within(differences: Sequence[float], limits: Sequence[float]) -> bool:
    # Written so that a NaN counts as far.
    return all(one <= limit for one, limit in zip(differences, limits, strict=True))


def is_faster(ours: Sequence[Callable[[], Any]], theirs: Sequence[Callable[[], Any]]) -> bool:
    """Whether calls take less processor time than others in their place, by the mean of the ratios.

    Processor time, as others have the cores while a service starts: on two cores with ten times the
    work that fits, wall clocks made a runtime that takes 0.38 of the time twice as slow. They take
    turns for about a second; the first of each counts for nothing.
    """
    pairs = list(zip(ours, theirs, strict=True))
    best = [[math.inf, math.inf] for _ in pairs]
    began = time.monotonic()
    for turn in range(_MOST_ROUNDS + 1):
        for pair, times in zip(pairs, best, strict=True):
            for side, call in enumerate(pair):
                seconds = _seconds(call)
                times[side] = min(times[side], seconds) if turn else math.inf
        if turn >= _LEAST_ROUNDS and time.monotonic() - began > _MEASURE_S:
            break
    ratios = [math.log(one / other) for one, other in best]
    _log.info("OpenVINO to torch, in time: %s", ", ".join(f"{math.exp(r):.2f}" for r in ratios))
    return sum(ratios) < 0


def _seconds(call: Callable[[], Any]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def cpu(info: Path = Path("/proc/cpuinfo")) -> str:
    """What tells one kind of CPU from another: its name and instructions, as far as is known."""
    try:
        lines = [line.split(":", 1) for line in info.read_text().splitlines() if ":" in line]
    except OSError:
        lines = []
    known = {name.strip(): value.strip() for name, value in reversed(lines)}
    names = ("model name", "flags", "CPU implementer", "CPU part", "Features")
    return json.dumps([platform.machine(), *(known.get(name, "") for name in names)])
