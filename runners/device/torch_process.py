"""Prepares a process for torch: idle threads sleep, and torch's compiler is not loaded."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

_COMPILER = "torch._dynamo"


def prepare_torch(*packages: str) -> None:
    """Import torch with threads that wait without spinning, and without torch's compiler.

    For a worker, and for whatever else runs a model in a process of its own. A model computes the
    same without it.

    Args:
        packages: of `torchvision` and `open_clip`, what the model needs. They are imported here, as
            either brings the compiler in for nothing.
    """
    wait_passively()
    import torch  # noqa: F401, PLC0415 - whole, before a part of it is hidden

    for package in packages:
        _import_without_compiler(package)


def wait_passively() -> None:
    """Let torch's threads sleep while they wait for each other.

    Its OpenMP library reads this once, when it is loaded. By default a thread that waits for
    another one spins, and so takes the core that the other one, a decoder or the other model needs:
    two models at once on two cores slow each other down tenfold. Only what is computed on several
    threads together waits at all (`runners.device.cores.Cores`), so that this costs a batch
    nothing.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")


def _import_without_compiler(package: str) -> None:
    """Import a package that asks torch's compiler something, but compiles nothing here.

    `torchvision.ops.roi_align` (0.30) asks `torch._dynamo.utils` whether compiling is supported,
    and `timm.models.naflexvit` (1.0), which open_clip imports, marks functions as not to be
    compiled. Either brings the compiler, sympy and triton: 100 MB and some seconds for each worker.
    Whatever asks for the compiler later gets the real one.
    """
    if _COMPILER not in sys.modules:
        with _stand_in(), suppress(ImportError, AttributeError):
            importlib.import_module(package)
    importlib.import_module(package)  # where more was asked for: with the compiler


@contextmanager
def _stand_in() -> Iterator[None]:
    """Context manager: a module in the compiler's place that says that it cannot compile."""
    package, utils = ModuleType(_COMPILER), ModuleType(f"{_COMPILER}.utils")
    package.__path__ = []
    setattr(package, "disable", _as_it_is)  # noqa: B010 - a module has no such attribute to mypy
    setattr(utils, "is_compile_supported", lambda _device: False)  # noqa: B010
    stand_ins = {module.__name__: module for module in (package, utils)}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]


def _as_it_is(function: Callable[..., Any] | None = None, *_: Any, **__: Any) -> Any:
    """`torch._dynamo.disable`, a decorator with or without arguments."""
    return function or (lambda decorated: decorated)
