"""OpenVINO graphs: converted from torch modules, compiled for this CPU, run by any thread.

Imports torch only to convert, and OpenVINO only once a graph is made or opened.
"""

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, LifoQueue
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runners.device.memory import page_out

if TYPE_CHECKING:
    import torch

    from runners.device.precision import Precision

_HINTS = {"fp32": "f32", "bf16": "bf16"}


def openvino() -> Any:
    """The package, imported so that it reports nothing.

    `import openvino` alone tells Google Analytics of it, unless a file in the user's home forbids
    that (2026.4 `tools.ovc`); without the package `openvino_telemetry` it has a stand-in.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino as package  # noqa: PLC0415 - see above

    return package


def convert(module: "torch.nn.Module", example: Sequence["torch.Tensor"], shapes: Any) -> Any:
    """An `openvino.Model` of a torch module, whose numbers are not checked here.

    It may use the module's weights in place, and so is to be saved before the module changes.

    Args:
        module: computes tensors of tensors.
        example: arguments to trace it with.
        shapes: of each argument, -1 for what changes from call to call.

    Raises:
        Exception: Of torch's or OpenVINO's own, if it cannot be traced or has an operation that
            OpenVINO does not know.
    """
    import torch  # noqa: PLC0415 - see above

    with _traceable(), _own_log(), torch.no_grad():
        # The check would run the module twice more, and import torch's compiler.
        trace: Any = torch.jit.trace
        traced = trace(module.eval(), tuple(example), check_trace=False, strict=False)
        model = openvino().convert_model(traced, example_input=tuple(example))
    model.reshape(dict(zip(model.inputs, shapes, strict=True)))
    return model


@contextmanager
def _traceable() -> Iterator[None]:
    """Context manager: attention in steps, as its fused kernel means nothing to OpenVINO."""
    import torch  # noqa: PLC0415 - see above

    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings():
            # torch.jit.trace is deprecated (2.15), and constants of the traced shapes are meant.
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def _own_log() -> Iterator[None]:
    """Context manager: the process's log goes on as it was, which OpenVINO's converter changes.

    It sets the root logger to errors only, and leaves that where it fails (2026.4 `ovc.logger`).
    """
    root = logging.getLogger()
    state = root.level, root.filters[:], root.handlers[:]
    try:
        yield
    finally:
        root.setLevel(state[0])
        root.filters[:], root.handlers[:] = state[1:]


def save(model: Any, path: Path) -> None:
    """Write a converted model as `path` (.xml) and its weights, in full precision, beside it."""
    openvino().save_model(model, path, compress_to_fp16=False)


def computes_bf16() -> bool:
    """Whether OpenVINO multiplies in bf16 on this CPU."""
    return "BF16" in openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class Graph:
    """A compiled model, for any number of threads, which share its threads of computation.

    It computes one batch at a time, on all of its threads: two at once on half of the threads each
    take 0.96 of the processor time in fp32 and as much in bf16 (ViT-B-32, batches of 32 on two
    cores), but twice the memory, as a lone picture needs all threads.

    Args:
        path: of a saved model.
        precision: fp32 or bf16.
        threads: that compute; they sleep while there is nothing to do, and are bound to no core, as
            decoders and the other model need the cores too.
    """

    def __init__(self, path: Path, precision: "Precision", threads: int) -> None:
        core = openvino().Core()
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        self._weights = path.with_suffix(".bin")
        self._compiled = core.compile_model(core.read_model(path), "CPU", settings)
        self._requests: LifoQueue[Any] = LifoQueue()

    def __call__(self, *inputs: NDArray[Any]) -> list[NDArray[Any]]:
        """Compute the outputs of a batch, in their order, each an array of its own."""
        try:
            request = self._requests.get_nowait()
        except Empty:
            request = self._compiled.create_infer_request()
        try:
            given = dict(enumerate(map(np.ascontiguousarray, inputs)))
            found = request.infer(given, share_inputs=True, share_outputs=False)
            return [np.array(found[output], copy=None) for output in self._compiled.outputs]
        finally:
            self._requests.put(request)

    def release(self) -> None:
        """Give back the memory of the saved weights, once the graph has computed something.

        By then it has them in an order of its own, but for what it reads a few rows of each time,
        as the embeddings of tokens (OpenVINO 2026.4, which keeps the whole file mapped).
        """
        page_out(self._weights)
