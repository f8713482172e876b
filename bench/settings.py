"""The settings of the service that a benchmark measures, and how it says what they are."""

import os
from collections.abc import Mapping
from typing import Any

from bench.report import Report
from bench.weights import ModelSize, model_environment
from runners.settings import ENV_PREFIX, ModelSettings


def service_settings(size: ModelSize, precision: str | None, **more: str) -> dict[str, str]:
    """Environment of a service: the models' settings, the caller's own `IMAGE_SEARCH_*`, and more.

    Args:
        size: of the models.
        precision: of both models; None leaves it to the default.
        more: by field, such as `store_uri`.

    Raises:
        SystemExit: the models have no such setting here.
    """
    if precision is not None and "precision" not in ModelSettings.model_fields:
        raise SystemExit("--precision: the models of this version have no such setting")
    own = {name: value for name, value in os.environ.items() if name.startswith(ENV_PREFIX)}
    given = {**more, **({} if precision is None else {"precision": precision})}
    added = {ENV_PREFIX + name.upper(): value for name, value in given.items()}
    return {**model_environment(size), **own, **added}


def models_of(settings: Mapping[str, str]) -> ModelSettings:
    """The models' settings of a service with this environment."""
    fields = {name.removeprefix(ENV_PREFIX).lower(): value for name, value in settings.items()}
    known: dict[str, Any] = {k: v for k, v in fields.items() if k in ModelSettings.model_fields}
    return ModelSettings(**known)


def numbers(text: str) -> tuple[int, ...]:
    """Numbers as they stand on a command line: `1,8,32`."""
    return tuple(int(each) for each in text.split(","))


def tell_settings(report: Report, settings: dict[str, str]) -> None:
    """Print what differs from the defaults, one setting a line."""
    rows = [(name.removeprefix(ENV_PREFIX), value) for name, value in sorted(settings.items())]
    report.table(["setting", "value"], rows, "settings; all others have their defaults")
