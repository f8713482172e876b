"""Loads a model in its worker, which torch stays out of where OpenVINO computes the model.

What torch and a conversion take of memory stays with a process for as long as it lives. So what
converts and compares is a process of its own, and the worker opens what that has left.
"""

import logging
import os
import subprocess
import sys
from dataclasses import replace
from typing import TypeVar

from runners.runtime.choice import load, outlook
from runners.runtime.recipe import Recipe, Request

_CONVERT = "runners.convert"
_log = logging.getLogger(__name__)
_Model = TypeVar("_Model")


def load_apart(model: str, recipe: Recipe[_Model], request: Request) -> _Model:
    """Load a model, after a process of its own has converted it if need be.

    Args:
        model: `clip` or `yolo`, as the environment's settings name it.
        recipe: of that model.
        request: likewise of the environment's settings.

    Raises:
        RunnerError: If it cannot be loaded.
    """
    if outlook(recipe, request).way == "compare":
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-P", "-m", _CONVERT, model]
        subprocess.run(command, env=environment, check=False)
        if outlook(recipe, request).way == "compare":
            reason = "its conversion did not come to an end, or could not be kept"
            _log.warning("%s: computed by torch; %s", recipe.label, reason)
            request = replace(request, runtime="torch")
    return load(recipe, request)
