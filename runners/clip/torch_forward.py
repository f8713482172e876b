"""Both towers of a CLIP model in torch, as they are computed and as they are converted."""

import threading
from typing import Any

import torch

from runners.clip.build import compute_blocks_in
from runners.clip.tokens import TextEnds, Tokens
from runners.device.cores import Cores, to_device
from runners.device.precision import Precision
from runners.schemas import ClipInfo, Embeddings, Pixels, Runtime


class PictureTower(torch.nn.Module):
    """Pictures to embeddings."""

    _mean: torch.Tensor
    _std: torch.Tensor

    def __init__(self, model: Any, info: ClipInfo) -> None:
        super().__init__()
        self._model = model
        self.register_buffer("_mean", torch.tensor(info.mean).view(1, 3, 1, 1))
        self.register_buffer("_std", torch.tensor(info.std).view(1, 3, 1, 1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Embed uint8 [n, size, size, 3] to float32 [n, dim] of unit length."""
        batch = pixels.permute(0, 3, 1, 2).float()
        batch = batch.div_(255.0).sub_(self._mean).div_(self._std)
        return self._model.encode_image(batch.contiguous(), normalize=True).float()  # type: ignore[no-any-return]


class TextTower(torch.nn.Module):
    """Tokens [n, context_length] to embeddings, computed only as far as the texts need.

    What comes after the end of a text changes nothing, and is most of a context: a text of nine
    words takes 37 ms in place of 99 (ViT-B-32 on one core).
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._model = model
        self._of_thread = threading.local()
        tower = getattr(model, "text", model)
        self.ends = _ends_of(tower)
        if self.ends.cuts:
            tower.transformer.register_forward_pre_hook(self._shorten, with_kwargs=True)

    def forward(self, tokens: torch.Tensor, positions: torch.Tensor | None = None) -> torch.Tensor:
        """Embed texts.

        Args:
            tokens: int [n, context_length].
            positions: 0 to the last one that is to be computed, where the padding can be cut off. A
                tensor, as a conversion would keep the number that it was made with.
        """
        self._of_thread.positions = positions
        try:
            return self._model.encode_text(tokens, normalize=True).float()  # type: ignore[no-any-return]
        finally:
            del self._of_thread.positions  # that of a tracing would keep all that was traced

    def _shorten(self, _: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
        mask, positions = kwargs.get("attn_mask"), self._of_thread.positions
        if mask is None or mask.dim() != 2:
            return args, kwargs
        shorter = mask.index_select(0, positions).index_select(1, positions)
        return (args[0].index_select(1, positions), *args[1:]), {**kwargs, "attn_mask": shorter}


def _ends_of(tower: Any) -> TextEnds:
    """Where a text tower finds the end of a text."""
    pool = getattr(tower, "pool_type", getattr(tower, "text_pool_type", None))
    mask = getattr(tower, "attn_mask", None)
    if not torch.is_tensor(mask) or getattr(tower, "cls_emb", None) is not None:
        return TextEnds(cuts=False)
    causal = torch.full_like(mask, float("-inf")).triu(1)
    if not torch.equal(mask, causal) or pool not in {"argmax", "eos"}:
        return TextEnds(cuts=False)
    eos = getattr(tower, "eos_id", None) or getattr(tower, "text_eos_id", None)
    return TextEnds(cuts=True, eos=eos if pool == "eos" else None)


class TorchForward:
    """Forward passes in torch on one device and all given cores, for any number of threads.

    Attributes:
        precision: What the tower of pictures computes in. Where that has no blocks that could
            change (ResNet, ConvNeXt), it stays fp32 although texts are computed in less.
        cores: that share a batch.
    """

    runtime: Runtime = "torch"

    def __init__(self, model: torch.nn.Module, info: ClipInfo, device: str, cores: Cores) -> None:
        self.precision: Precision = "fp32"
        self.cores = cores
        self.model: Any = model.eval().to(device)
        self.pictures = PictureTower(self.model, info).to(device)
        self.texts = TextTower(self.model).to(device)
        self._device = device

    def compute_in(self, precision: Precision) -> None:
        """Change to a shorter precision."""
        if compute_blocks_in(self.model, precision):
            self.precision = precision

    def release(self) -> None:
        """Nothing is left that could be given back."""

    def encode_images(self, pixels: Pixels) -> Embeddings:
        """Embeddings of pictures in one pass."""
        # The bytes travel to the device, not the four times larger floats.
        with torch.inference_mode():
            return self.pictures(to_device(pixels, self._device)).cpu().numpy()  # type: ignore[no-any-return]

    def encode_texts(self, tokens: Tokens) -> Embeddings:
        """Embeddings of texts in one pass."""
        positions = torch.arange(self.texts.ends.length(tokens), device=self._device)
        with torch.inference_mode():
            found = self.texts(torch.from_numpy(tokens).to(self._device), positions)
            return found.cpu().numpy()  # type: ignore[no-any-return]
