"""A YOLO model in torch, made with ultralytics; and what a conversion makes of it."""

from pathlib import Path

from runners.device.cores import Cores
from runners.device.precision import Precision
from runners.runtime.conversions import Converted
from runners.schemas import YoloInfo
from runners.weights.source import WeightsSource, check_sha256
from runners.yolo import weights
from runners.yolo.build import describe, load_checkpoint, prepared
from runners.yolo.convert import graphs_of
from runners.yolo.parts import can_be_cut
from runners.yolo.torch_forward import TorchForward, computes_in


def load(
    source: WeightsSource, cache_dir: Path, device: str, cores: Cores
) -> tuple[TorchForward, YoloInfo]:
    """A model in fp32, its published weights downloaded if they are not here yet.

    Raises:
        UnknownModelError: If ultralytics publishes no model of that name.
        UnsupportedModelError: If the model is not a detector.
        WeightsError: If the weights are missing, cannot be downloaded or are unsafe.
    """
    checkpoint = source.path or weights.fetch(source, cache_dir)
    check_sha256(checkpoint, source)
    weights.tame_ultralytics(cache_dir)
    model = load_checkpoint(checkpoint, source)
    info = describe(model, source)
    return TorchForward(prepared(model.model, device), "fp32", device, cores), info


def computed_in(
    precision: Precision, forward: TorchForward, image_size: int, device: str, cores: Cores
) -> TorchForward | None:
    """The same in a shorter precision, None where that is too far; `forward` is not usable then."""
    if not computes_in(precision, forward.network, image_size):
        return None
    return TorchForward(forward.network, precision, device, cores)


def converted(forward: TorchForward, info: YoloInfo) -> Converted:
    """A model in fp32, converted."""
    network = {"end2end": forward.end2end, "is_cut": can_be_cut(forward.network)}
    facts = {"info": info.to_dict(), "network": network}
    return Converted(graphs_of(forward, info.stride), facts)
