"""Preparation for CLIP on the model's device, against Pillow's on the CPU."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from bench.chip import seconds_each
from bench.report import Cell
from images.decode.prepare import clip_pixels

_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Placed:
    """Where the model runs, and in what."""

    device: str
    dtype: torch.dtype


def scaled_on(device: str, pictures: Sequence[NDArray[np.uint8]], size: int) -> torch.Tensor:
    """Whole pictures, scaled and cropped on a device as open_clip's transform does on the CPU.

    Args:
        device: of torch.
        pictures: uint8 [height, width, 3], RGB, of any sizes.
        size: of the model's square input.

    Returns:
        float32 [n, 3, size, size] of whole numbers from 0 to 255.
    """
    return torch.cat([_scaled(torch.from_numpy(each).to(device), size) for each in pictures])


def compared(
    network: torch.nn.Module,
    pictures: Sequence[NDArray[np.uint8]],
    size: int,
    placed: Placed,
    seconds: float,
) -> tuple[list[tuple[Cell, ...]], float]:
    """Both ways from decoded pictures to embeddings.

    Args:
        network: open_clip's, in fp32 on the CPU; it is moved and converted.
        pictures: a batch, as `scaled_on` takes it.
        size: of the model's input.
        placed: where it is to run.
        seconds: to measure each way for.

    Returns:
        Rows of where, milliseconds and pictures per second; and the least cosine between the two.
    """
    device, dtype = placed.device, placed.dtype
    network = network.to(device, dtype).eval()
    images = [Image.fromarray(each) for each in pictures]

    def on_cpu() -> torch.Tensor:
        prepared = np.stack([clip_pixels(each, size, "bicubic", "shortest", 0) for each in images])
        return torch.from_numpy(prepared).to(device).permute(0, 3, 1, 2).float()

    def on_device() -> torch.Tensor:
        return scaled_on(device, pictures, size)

    def embedded(prepare: Callable[[], torch.Tensor]) -> torch.Tensor:
        with torch.inference_mode():
            pixels = _normalized(prepare()).to(dtype)
            return network.encode_image(pixels, normalize=True)  # type: ignore[operator, no-any-return]

    rows: list[tuple[Cell, ...]] = []
    for where, prepare in (("Pillow on the CPU", on_cpu), (f"torch on {device}", on_device)):
        alone = seconds_each(prepare, device, seconds)
        whole = seconds_each(lambda made=prepare: embedded(made), device, seconds)  # type: ignore[misc]
        n = len(pictures)
        rows.append((where, alone * 1e3 / n, whole * 1e3 / n, n / whole))
    cosines = (embedded(on_cpu).float() * embedded(on_device).float()).sum(1)
    return rows, float(cosines.min())


def _scaled(pixels: torch.Tensor, size: int) -> torch.Tensor:
    height, width = pixels.shape[:2]
    short = min(height, width)
    inner = (int(size * height / short), int(size * width / short))
    planes = pixels.permute(2, 0, 1)[None].float()
    planes = functional.interpolate(planes, inner, mode="bicubic", antialias=True)
    top, left = round((inner[0] - size) / 2), round((inner[1] - size) / 2)
    return planes[..., top : top + size, left : left + size].round().clamp(0, 255)


def _normalized(pixels: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(each, device=pixels.device).view(3, 1, 1) for each in (_MEAN, _STD))
    return (pixels / 255.0 - mean) / std
