"""Chooses what computes a model: torch, or OpenVINO where that is near enough, and faster.

The first load on a machine converts the model, compares both runtimes on a trial, measures them,
and keeps the outcome; the next ones open what it left, and run the trial again.
"""

import importlib.metadata
import importlib.util
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from runners.device.cpu import cpu
from runners.device.precision import Precision
from runners.errors import UnsupportedModelError
from runners.runtime.conversions import Arrays, Conversion, Conversions, Verdict
from runners.runtime.graph import computes_bf16
from runners.runtime.recipe import Recipe, Request
from runners.runtime.speed import is_faster
from runners.settings import ENV_PREFIX

_FORMAT = 3
"""Of what is kept; raised when the graphs, the trial or the verdicts change."""

_log = logging.getLogger(__name__)
_Model = TypeVar("_Model")


Way = Literal["torch", "open", "compare"]


@dataclass(frozen=True)
class Outlook:
    """What a load will do, as long as what is kept is whole.

    Attributes:
        way: Load it by torch; open what an earlier load has left, which takes neither the weights
            nor torch; or compare the runtimes, which may take some seconds more.
        reason: Why it is torch, for the log; empty where torch is only faster, or asked for.
        conversions: What is kept of the model, if it may be computed by OpenVINO.
    """

    way: Way
    reason: str = ""
    conversions: Conversions | None = None


def outlook(recipe: Recipe[Any], request: Request) -> Outlook:
    """Tell what a load will do."""
    if request.runtime == "torch":
        return Outlook("torch")
    try:
        conversions = conversions_of(recipe, request)
    except importlib.metadata.PackageNotFoundError:
        return Outlook("torch", "OpenVINO is not installed")
    verdict = conversions.verdict(circumstances(conversions, request))
    if verdict is not None and verdict.runtime == "torch":
        return Outlook("torch", verdict.reason)
    # What was converted elsewhere has no verdict here. It is used where only it may be or can be,
    # and where the outcome of a comparison could not be kept.
    is_open = verdict or request.runtime == "openvino" or conversions.is_locked
    may_open = is_open or not _has_torch(recipe)
    is_there = conversions.limits(request.precision) is not None
    return Outlook("open" if may_open and is_there else "compare", conversions=conversions)


def load(recipe: Recipe[_Model], request: Request) -> _Model:
    """Load a model by the runtime that the request, this machine and the trial lead to.

    Raises:
        RunnerError: If it cannot be loaded by torch either.
    """
    ahead = outlook(recipe, request)
    if ahead.conversions is None:
        return _in_torch(recipe, request, ahead.reason)
    model = _opened(recipe, request, ahead.conversions) if ahead.way == "open" else None
    return model or _compared(recipe, request, ahead.conversions)


def conversions_of(recipe: Recipe[Any], request: Request) -> Conversions:
    """What is kept of a model.

    Raises:
        importlib.metadata.PackageNotFoundError: OpenVINO is not installed.
    """
    versions = {"openvino": importlib.metadata.version("openvino")}
    with suppress(importlib.metadata.PackageNotFoundError):
        versions[recipe.library] = importlib.metadata.version(recipe.library)
    return Conversions(request.cache_dir, {**recipe.key, "format": _FORMAT}, versions)


def circumstances(conversions: Conversions, request: Request) -> dict[str, Any]:
    """What a verdict depends on beside the model."""
    return {
        "cpu": cpu(),
        "precision": request.precision,
        "threads": request.threads,
        "runtime": request.runtime,
        "versions": conversions.versions,
    }


def _has_torch(recipe: Recipe[Any]) -> bool:
    return all(importlib.util.find_spec(module) for module in recipe.modules)


def check_loads(recipe: Recipe[Any], request: Request) -> None:
    """See that a model can be loaded here at all.

    Raises:
        UnsupportedModelError: it takes packages that are not installed, and is not converted.
    """
    if outlook(recipe, request).way != "open":
        _check_torch(recipe)


def _check_torch(recipe: Recipe[Any]) -> None:
    if not _has_torch(recipe):
        raise UnsupportedModelError(
            f"{recipe.label}: {' and '.join(recipe.modules)} are not installed, and there is no "
            f"converted model of it in {ENV_PREFIX}CACHE_DIR that does without them: make it with "
            "image-search convert, where they are"
        )


def _in_torch(recipe: Recipe[_Model], request: Request, reason: str = "") -> _Model:
    _check_torch(recipe)
    if reason:
        _log.warning("%s: computed by torch; %s", recipe.label, reason)
    return _precise(recipe, request, recipe.load_torch())


def _precise(recipe: Recipe[_Model], request: Request, exact: _Model) -> _Model:
    """The model in torch and the precision that is wanted; the one in fp32 is not usable then."""
    return exact if request.precision == "fp32" else recipe.in_precision(exact, request.precision)


def _opened(recipe: Recipe[_Model], request: Request, conversions: Conversions) -> _Model | None:
    """The model as an earlier load left it, if that is whole and still passes its trial."""
    conversion, limits = conversions.find(), conversions.limits(request.precision)
    if conversion is None or limits is None:
        return None
    try:
        model = recipe.open(conversion, _precision(request), request.threads)
        found = recipe.results(model, conversion.inputs)
    except Exception as error:  # OpenVINO's have no common class
        _log.warning("%s: a converted model is made anew: %r", recipe.label, error)
        return None
    return model if _within(recipe.differences(conversion.expected, found), limits) else None


def _compared(recipe: Recipe[_Model], request: Request, conversions: Conversions) -> _Model:
    reason = _hindrance(recipe, conversions)
    if reason is not None:
        return _in_torch(recipe, request, reason)
    model, verdict = compare(recipe, request, conversions)
    if verdict.reason:
        _log.warning("%s: computed by torch; %s", recipe.label, verdict.reason)
    return model


def compare(
    recipe: Recipe[_Model], request: Request, conversions: Conversions
) -> tuple[_Model, Verdict]:
    """Convert a model, choose by results and speed, and keep the outcome.

    Raises:
        RunnerError: If it cannot be loaded by torch.
    """
    model, verdict = _judged(recipe, request, conversions)
    try:
        if verdict.lasts:
            conversions.decide(circumstances(conversions, request), verdict)
        conversions.end()
    except OSError as error:
        _log.warning("%s: the choice of a runtime is not kept: %s", recipe.label, error.strerror)
    return model, verdict


def _hindrance(recipe: Recipe[Any], conversions: Conversions) -> str | None:
    """Why a model is not to be converted; notes that it is, where it is."""
    if not _has_torch(recipe):
        return ""
    try:
        conversions.make_folder()
        may_begin = conversions.begin()
    except OSError as error:
        return f"OpenVINO cannot be used: {error.strerror}"
    if may_begin:
        return None
    return (
        "converting it for OpenVINO was ended several times before it was done: "
        f"to try it again, delete the folder openvino in {ENV_PREFIX}CACHE_DIR"
    )


def _judged(
    recipe: Recipe[_Model], request: Request, conversions: Conversions
) -> tuple[_Model, Verdict]:
    """Convert a model, compare it with torch's, and say which of them is to be used."""
    exact = recipe.load_torch()
    inputs = recipe.trial(exact)
    expected = recipe.results(exact, inputs)
    try:
        conversion = _kept(recipe, conversions, exact, (inputs, expected))
        converted = recipe.open(conversion, _precision(request), request.threads)
        differences = recipe.differences(expected, recipe.results(converted, inputs))
    except Exception as error:  # neither torch's tracing nor OpenVINO has errors of its own
        _log.info("%s: not converted: %r", recipe.label, error)
        return _precise(recipe, request, exact), _failure(error)
    in_torch = _precise(recipe, request, exact)
    own = expected if in_torch is exact else recipe.results(in_torch, inputs)
    limits = recipe.limits(request.precision, recipe.differences(expected, own))
    with suppress(OSError):  # as is said of the verdict then
        conversions.keep_limits(request.precision, limits)
    if not _within(differences, limits):
        return in_torch, Verdict("torch", "OpenVINO's results differ too much")
    if request.runtime == "auto" and not is_faster(recipe.work(converted), recipe.work(in_torch)):
        return in_torch, Verdict("torch")
    return converted, Verdict("openvino")


def _kept(
    recipe: Recipe[_Model], conversions: Conversions, exact: _Model, trial: tuple[Arrays, Arrays]
) -> Conversion:
    """The conversion as files, which OpenVINO opens: what torch has in memory may change."""
    made = recipe.convert(exact)
    try:
        return conversions.keep(made, *trial)
    except Exception as error:  # OpenVINO's own, where the disk is full
        raise NotKeptError from error


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
