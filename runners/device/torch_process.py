"""What a process that computes models does before anything in it imports torch."""

import ctypes
import gc
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

_COMPILER = "torch._dynamo"


def prepare_torch(*packages: str) -> None:
    """Have torch's threads wait without spinning, and torch's compiler stay out of the memory.

    For the worker, and for whatever else measures or runs a model in a process of its own. A model
    computes the same without it.

    Args:
        packages: what of `torchvision` and `open_clip` the model needs. They are imported here, as
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


def trim_memory() -> None:
    """Give what loading a model has freed back to the system."""
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)


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
    """A compiler that says of itself that it is none."""
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
    """`torch._dynamo.disable`, as a decorator with or without arguments."""
    return function or (lambda decorated: decorated)
