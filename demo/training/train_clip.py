"""Trains the demo's CLIP: a small open_clip model, contrastively, on scenes drawn here."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
from safetensors.torch import save_file
from torch.nn import functional

from demo.models import CLIP_ARCHITECTURE, register_clip
from demo.scenes.captions import Item
from demo.scenes.phrases import Phrase, say, shown
from demo.scenes.scenes import draw_scene

logger = logging.getLogger(__name__)

PREPROCESS = open_clip.transform.PreprocessCfg(size=96)
BATCH_SIZE = 128
LEARNING_RATE = 1.5e-3
MAX_LOGIT_SCALE = 30.0
"""Caps the sharpness of the softmax. CLIP's own cap, 100, would let the order of pictures hang on
score differences of a hundredth."""
SILENCE = 0.1
"""How much less a picture fits a text for each of its shapes which the text leaves unsaid."""
STRANGE_SCALE = 0.02
_DRAWN_SIZES = (112, 144, 192, 256)


@dataclass(frozen=True)
class DrawnScenes:
    """Scenes ready to learn from: uint8 [n, 3, side, side], and each one's shapes."""

    pixels: torch.Tensor
    items: list[list[Item]]


def train_clip(target: Path, seeds: range, steps: int) -> None:
    """Trains on the scenes of `seeds` and writes fp16 safetensors for `open_clip.create_model`."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    register_clip()
    model = open_clip.create_model(CLIP_ARCHITECTURE)
    scenes = _draw(seeds)
    _freeze_unknown_words(model, scenes.items, rng)
    learner = _Learner(model, steps)
    strange_words = _strange_words()
    for step in range(steps):
        chosen = rng.integers(len(scenes.items), size=BATCH_SIZE)
        phrases = [say(scenes.items[i], strange_words, rng) for i in chosen]
        pixels = _augment(scenes.pixels[torch.from_numpy(chosen)], rng)
        targets = fit([scenes.items[i] for i in chosen], phrases)
        loss = learner.step(pixels, [phrase.text for phrase in phrases], targets)
        if step % 50 == 0 or step == steps - 1:
            logger.info("clip: step %d of %d, loss %.3f", step + 1, steps, loss)
    state = model.half().state_dict()  # integers, as a batch norm's count, stay what they are
    save_file({name: value.contiguous() for name, value in state.items()}, target)


def fit(pictures: list[list[Item]], phrases: list[Phrase]) -> torch.Tensor:
    """How well each text fits each picture of a batch, for pictures are often of the same thing.

    A text which is true of a picture fits it fully where it names all its shapes, and less where
    it leaves some unsaid, so that "a red circle" finds first the pictures of nothing else. Without
    this the loss would push a picture away from its own caption on another picture.

    Returns:
        float32 [pictures, texts], within [0, 1].
    """
    has = torch.from_numpy(np.stack([shown(items) for items in pictures]))
    wanted = torch.from_numpy(np.stack([phrase.wanted for phrase in phrases]))
    counts = torch.tensor([phrase.count for phrase in phrases])
    unsaid = torch.tensor([len(items) for items in pictures])[:, None] - counts[None, :]
    true = has @ wanted.T == wanted.sum(dim=1)
    return true * SILENCE ** unsaid.clamp(min=0).float()


class _Learner:
    """The model with its optimizer: one `step` per batch."""

    def __init__(self, model: open_clip.CLIP, steps: int) -> None:
        # Convolutions of few channels run twice as fast on a CPU with the channels last.
        self._model = model.to(memory_format=torch.channels_last).train()
        self._tokenize = open_clip.get_tokenizer(CLIP_ARCHITECTURE)
        embedding = model.token_embedding.weight
        decayed = [p for p in model.parameters() if p.ndim >= 2 and p is not embedding]
        free = [p for p in model.parameters() if p.ndim < 2 or p is embedding]
        groups = [{"params": decayed, "weight_decay": 0.02}, {"params": free, "weight_decay": 0.0}]
        self._optimizer = torch.optim.AdamW(groups)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, max_lr=LEARNING_RATE, total_steps=steps + 1, pct_start=0.1
        )

    def step(self, pixels: torch.Tensor, texts: list[str], targets: torch.Tensor) -> float:
        """Learns from a batch; `targets` is what `fit` says of it. Returns the loss."""
        logits = self._model.logit_scale.exp() * (
            self._model.encode_image(pixels, normalize=True)
            @ self._model.encode_text(self._tokenize(texts), normalize=True).T
        )
        loss = (_divergence(logits, targets) + _divergence(logits.T, targets.T)) / 2
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it so
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()
        with torch.no_grad():
            self._model.logit_scale.clamp_(0, np.log(MAX_LOGIT_SCALE))
        return float(loss.detach())


def _divergence(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    shares = targets / targets.sum(dim=1, keepdim=True)
    return functional.kl_div(functional.log_softmax(logits, dim=1), shares, reduction="batchmean")


def _draw(seeds: range) -> DrawnScenes:
    """Draws scenes in several sizes and prepares them as open_clip will at search time."""
    resize = open_clip.transform.image_transform_v2(PREPROCESS, is_train=False).transforms[:2]
    pixels, items = [], []
    for seed in seeds:
        scene = draw_scene(seed, _DRAWN_SIZES[seed % len(_DRAWN_SIZES)])
        picture = scene.picture
        for transform in resize:
            picture = transform(picture)
        pixels.append(torch.from_numpy(np.array(picture)).permute(2, 0, 1))
        items.append([Item(thing.color, thing.class_name) for thing in scene.objects])
    return DrawnScenes(torch.stack(pixels), items)


def _augment(pixels: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Mirrors, shifts and tints: uint8 [n, 3, side, side] to normalised float32 of that shape."""
    count, side = len(pixels), pixels.shape[-1]
    shift = torch.from_numpy(rng.uniform(-0.06, 0.06, (count, 2)).astype(np.float32))
    zoom = torch.from_numpy(rng.uniform(0.9, 1.1, count).astype(np.float32))
    mirror = torch.from_numpy(rng.choice(np.array([-1, 1], np.float32), count))
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = zoom * mirror, zoom, shift
    grid = functional.affine_grid(theta, [count, 3, side, side], align_corners=False)
    moved = functional.grid_sample(
        pixels.float() / 255, grid, padding_mode="border", align_corners=False
    )
    tint = torch.from_numpy(rng.uniform(0.94, 1.06, (count, 3, 1, 1)).astype(np.float32))
    mean = torch.tensor(PREPROCESS.mean)[:, None, None]
    std = torch.tensor(PREPROCESS.std)[:, None, None]
    normalised = ((moved * tint).clamp(0, 1) - mean) / std
    return normalised.contiguous(memory_format=torch.channels_last)


def _strange_words() -> list[str]:
    """Whole words of the tokenizer's vocabulary, nearly all of them of nothing a scene shows."""
    vocabulary = open_clip.get_tokenizer(CLIP_ARCHITECTURE).encoder
    words = (token.removesuffix("</w>") for token in vocabulary if token.endswith("</w>"))
    return sorted({word for word in words if word.isascii() and word.isalpha() and len(word) > 2})


def _freeze_unknown_words(
    model: open_clip.CLIP, scenes: list[list[Item]], rng: np.random.Generator
) -> None:
    """Leaves the embeddings of words that no phrase uses as they started: two values at random.

    Such words then differ from each other, mean nothing (the strange words in the phrases teach the
    rest of the tower so), and nine tenths of the file, which they are, compress well.
    """
    tokenize = open_clip.get_tokenizer(CLIP_ARCHITECTURE)
    texts = [say(items, (), rng).text for items in scenes]
    known = torch.zeros(model.vocab_size, 1)
    known[tokenize(texts).unique()] = 1
    weight = model.token_embedding.weight
    weight.data = STRANGE_SCALE * torch.sign(weight.data)
    weight.register_hook(lambda gradient: gradient * known)
