"""What a load is told: how a kind of model is loaded, and what the settings want of it here."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from runners.device.cores import Cores, available_cores, resolve_device
from runners.device.precision import Precision, resolve_precision
from runners.runtime.conversions import Arrays, Conversion, Converted
from runners.settings import ENV_PREFIX, ModelSettings

_log = logging.getLogger(__name__)
_Model = TypeVar("_Model")


class Recipe(Protocol[_Model]):
    """How one kind of model is loaded by either runtime, and how the two are compared."""

    @property
    def library(self) -> str:
        """Package that defines the architectures, as it is installed."""

    @property
    def modules(self) -> tuple[str, ...]:
        """What must be there to compute by torch, and to convert."""

    @property
    def label(self) -> str:
        """How messages name the setting and its value."""

    @property
    def key(self) -> Mapping[str, Any]:
        """What a conversion depends on, beside the versions of libraries; known without torch."""

    def load_torch(self) -> _Model:
        """The model in torch and fp32."""

    def in_precision(self, model: _Model, precision: Precision) -> _Model:
        """The same in another precision; `model` is not usable any more."""

    def trial(self, model: _Model) -> Arrays:
        """Inputs to compare both runtimes by."""

    def results(self, model: _Model, inputs: Arrays) -> Arrays:
        """What a model makes of the trial's inputs."""

    def differences(self, expected: Arrays, found: Arrays) -> tuple[float, ...]:
        """How far results are from others, by kind of difference."""

    def limits(self, precision: Precision, in_torch: tuple[float, ...]) -> tuple[float, ...]:
        """How far they may be, where torch in the same precision is so far from fp32 itself."""

    def convert(self, model: _Model) -> Converted:
        """A model in fp32, converted."""

    def open(self, conversion: Conversion, precision: Precision, threads: int) -> _Model:
        """The model as OpenVINO computes it."""

    def work(self, model: _Model) -> Sequence[Callable[[], Any]]:
        """Calls to measure a model by."""


@dataclass(frozen=True)
class Request:
    """What the settings want of a model on this machine.

    Attributes:
        runtime: what may be used.
        device: of torch.
        precision: what torch would compute in.
        threads: that compute.
        cache_dir: where conversions are kept.
    """

    runtime: Literal["auto", "torch", "openvino"]
    device: str
    precision: Precision
    threads: int
    cache_dir: Path

    @classmethod
    def of(cls, settings: ModelSettings) -> "Request":
        """The request of these settings.

        Raises:
            DeviceError: If the device is not there.
        """
        device = resolve_device(settings.device)
        precision = resolve_precision(settings.precision, device)
        runtime = settings.runtime if device == "cpu" else "torch"
        if precision == "fp16":  # OpenVINO computes in it on few CPUs, and on those for itself
            runtime = "torch"
        if runtime != settings.runtime == "openvino":
            way = f"{device} in {precision}"
            _log.warning("%sRUNTIME=openvino: %s is computed by torch alone", ENV_PREFIX, way)
        threads = settings.threads or available_cores()
        return cls(runtime, device, precision, threads, settings.cache_dir)

    def cores(self) -> Cores:
        """What torch computes on: on a GPU a batch is not divided."""
        return Cores(self.threads if self.device == "cpu" else 1)
