"""Creates an open_clip model, describes it, and converts its blocks to bf16 or fp16."""

import pickle
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors import SafetensorError

from runners.clip import weights as clip_weights
from runners.device.layers import compute_in
from runners.device.precision import Precision
from runners.errors import UnsupportedModelError, WeightsInvalidError
from runners.schemas import ClipInfo
from runners.weights.source import WeightsSource, identity_of


def create(source: WeightsSource, checkpoint: Path) -> torch.nn.Module:
    """A model of the source's architecture with a checkpoint, of which only tensors are unpickled.

    Raises:
        WeightsInvalidError: If the file is damaged, or holds other weights.
        UnsupportedModelError: If a package is missing that the architecture needs.
    """
    try:
        model: torch.nn.Module = open_clip.create_model(
            source.architecture,
            pretrained=str(checkpoint),
            force_preprocess_cfg=clip_weights.preprocessing(source),
            weights_only=True,
        )
    except (pickle.UnpicklingError, SafetensorError, EOFError, StopIteration) as error:
        raise WeightsInvalidError(
            f"{source.label}: the file is damaged or holds more than weights; "
            "a checkpoint is a state dict of tensors, as .safetensors or torch.save",
            detail=repr(error),
        ) from error
    except Exception as error:  # what wrong weights make open_clip raise has no common class
        _check_packages(source, error)
        raise WeightsInvalidError(
            f"{source.label}: the file does not hold weights of the architecture "
            f"{source.architecture}",
            detail=repr(error),
        ) from error
    return model


def tokenizer_of(source: WeightsSource) -> Any:
    """The architecture's own tokenizer; some need the transformers package and a download.

    Raises:
        UnsupportedModelError: If it cannot be loaded.
    """
    try:
        tokenizer = open_clip.get_tokenizer(source.architecture)
    except Exception as error:  # open_clip, transformers and the Hub each raise their own
        _check_packages(source, error)
        raise UnsupportedModelError(
            f"{source.label}: the tokenizer of {source.architecture} could not be loaded",
            detail=repr(error),
        ) from error
    return tokenizer


def _check_packages(source: WeightsSource, error: Exception) -> None:
    """Raise UnsupportedModelError if a package is missing, which open_clip says in two ways."""
    if isinstance(error, ImportError) or "pip install" in str(error):
        raise UnsupportedModelError(
            f"{source.label}: the architecture {source.architecture} needs the package "
            "transformers, which is not installed",
            detail=repr(error),
        ) from error


def describe(model: Any, tokenizer: Any, source: WeightsSource) -> ClipInfo:
    """Description of a model: what it is, and how pictures must be prepared for it.

    Raises:
        UnsupportedModelError: If it takes pictures that are not square.
    """
    preprocess = open_clip.get_model_preprocess_cfg(model)
    size = preprocess["size"]
    height, width = (size, size) if isinstance(size, int) else size
    if height != width:
        raise UnsupportedModelError(
            f"{source.label}: {source.architecture} takes pictures of {width}x{height} pixels; "
            "only square ones are supported"
        )
    return ClipInfo(
        model=source.architecture,
        pretrained=identity_of(source),
        dim=open_clip.get_model_config(source.architecture)["embed_dim"],
        image_size=height,
        interpolation=preprocess["interpolation"],
        resize_mode=preprocess["resize_mode"],
        fill_color=preprocess["fill_color"],
        mean=tuple(preprocess["mean"]),
        std=tuple(preprocess["std"]),
        context_length=getattr(tokenizer, "context_length", None) or model.context_length,
    )


def compute_blocks_in(model: Any, precision: Precision) -> bool:
    """Let the transformer blocks of both towers compute in a shorter number format.

    Every block of open_clip and timm has its attention and its MLP under these names. Towers
    without such blocks, as ResNets and ConvNeXts, stay as they are. `requires_grad` of the
    parameters stays True: without it torch multiplies some by a path that takes thirty times as
    long (2.15 `should_fold` in LinearAlgebra.cpp, for attention on a batch of two or more).

    Returns:
        Whether the tower of pictures has such blocks.
    """
    if isinstance(model.visual, open_clip.transformer.VisionTransformer):
        compute_in(model.visual.conv1, precision)
    pictures = {id(module) for module in model.visual.modules()}
    blocks: list[Any] = list(model.modules())
    changed = False
    for block in blocks:
        attention, mlp = getattr(block, "attn", None), getattr(block, "mlp", None)
        if not (isinstance(attention, torch.nn.Module) and isinstance(mlp, torch.nn.Module)):
            continue
        changed = changed or id(block) in pictures
        compute_in(attention, precision)
        compute_in(mlp, precision)
        if hasattr(mlp, "c_fc"):
            # open_clip casts what it embeds to the format of this layer, but asks here first what
            # the layer takes (3.3 `ResidualAttentionBlock.get_weight_dtype`).
            block.mlp.c_fc.int8_original_dtype = torch.float32
    return changed
