"""Half the precision changes next to nothing, and is not used where it would."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch

from demo.scenes.scenes import draw_scene
from demo.scenes.seeds import HELD_OUT_SEEDS
from runners.clip import build, recipe, torch_forward
from runners.clip.recipe import load_clip
from runners.clip.tokens import TextEnds
from runners.device import layers
from runners.device.layers import near
from runners.device.precision import resolve_precision
from runners.settings import ModelSettings
from runners.yolo.recipe import load_yolo
from tests.runners.clip.test_clip_model import prepare
from tests.runners.models import clip_of, yolo_of
from tests.runners.pictures import SIZES, drawn
from tests.runners.yolo.test_yolo_model import letterbox

Settings = Callable[..., ModelSettings]
TEXTS = ["a red disc", "", "two blue squares and one green star on a light ground", "x " * 40]


@pytest.mark.parametrize("models", ["pretrained", "demo"])
@pytest.mark.parametrize("shorter", ["bf16", "fp16"])
def test_embeddings_stay_near(settings: Settings, models: str, shorter: str) -> None:
    exact = clip_of(settings(models=models, precision="fp32"))
    clip = clip_of(settings(models=models, precision=shorter))
    # The demo model's pictures go through convolutions alone: there, texts are what changes.
    assert (exact.precision, clip.precision) == ("fp32", "fp32" if models == "demo" else shorter)
    assert clip.info == exact.info
    scenes = [draw_scene(seed).picture for seed in list(HELD_OUT_SEEDS)[:20]]
    pixels = np.stack([prepare(picture, clip.info) for picture in scenes])

    images, texts = clip.encode_images(pixels), clip.encode_texts(TEXTS)

    exact_images, exact_texts = exact.encode_images(pixels), exact.encode_texts(TEXTS)
    assert (np.sum(images * exact_images, axis=1) > 0.9999).all()
    assert (np.sum(texts * exact_texts, axis=1) > 0.9998).all()
    assert np.abs(images @ images.T - exact_images @ exact_images.T).max() < 0.003
    # Where torch emulates bf16 it rounds otherwise than the processor would: 0.0032.
    assert np.abs(texts @ images.T - exact_texts @ exact_images.T).max() < 0.004


def test_the_same_picture_scores_one_in_any_batch(settings: Settings) -> None:
    clip = clip_of(settings(precision="bf16", threads=2))
    pixels = np.stack([prepare(drawn(*size), clip.info) for size in SIZES * 3])
    together = clip.encode_images(pixels)
    alone = np.concatenate([clip.encode_images(pixels[i : i + 1]) for i in range(len(pixels))])
    assert (np.sum(together * alone, axis=1) > 0.99999).all()


@pytest.mark.parametrize("shorter", ["bf16", "fp16"])
def test_detections_stay_within_a_pixel(settings: Settings, shorter: str) -> None:
    exact = yolo_of(settings(models="demo", precision="fp32"))
    yolo = yolo_of(settings(models="demo", precision=shorter))
    assert (exact.precision, yolo.precision) == ("fp32", shorter)
    pictures = [letterbox(draw_scene(s).picture, yolo.info)[0] for s in list(HELD_OUT_SEEDS)[:30]]
    for ours, theirs in zip(yolo.detect(pictures), exact.detect(pictures), strict=True):
        assert len(ours) == len(theirs) > 0
        np.testing.assert_allclose(ours[:, :4], theirs[:, :4], atol=1.0)
        np.testing.assert_allclose(ours[:, 4], theirs[:, 4], atol=0.01)
        np.testing.assert_array_equal(ours[:, 5], theirs[:, 5])


def test_a_model_that_differs_too_much_is_computed_in_fp32(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    exact = clip_of(settings(precision="fp32"))
    for module in (layers, recipe):
        monkeypatch.setattr(module, "MIN_COSINE", 1.1)
    with caplog.at_level(logging.WARNING):
        clip = load_clip(settings(precision="bf16"))
        yolo = load_yolo(settings(precision="bf16"))
    assert (clip.precision, yolo.precision) == ("fp32", "fp32")
    said = [line for line in caplog.messages if "computed in fp32" in line]
    assert [line.partition("=")[0] for line in said] == [
        "IMAGE_SEARCH_CLIP_PRETRAINED",
        "IMAGE_SEARCH_YOLO_WEIGHTS",
    ]
    np.testing.assert_array_equal(clip.encode_texts(TEXTS), exact.encode_texts(TEXTS))


def test_far_is_what_points_elsewhere_or_is_no_number() -> None:
    rows = torch.eye(3)
    assert near(rows, rows + 0.001)
    assert not near(rows, rows.roll(1, 0))
    assert not near(rows, rows * float("nan"))


@pytest.mark.parametrize(
    ("asked", "device", "hardware", "found"),
    [
        ("fp32", "cpu", True, "fp32"),
        ("bf16", "cpu", False, "bf16"),
        ("auto", "cpu", True, "bf16"),
        ("auto", "cpu", False, "fp32"),
        ("auto", "cuda:1", (8, 0), "fp16"),
        ("auto", "cuda:1", (6, 1), "fp32"),
    ],
)
def test_auto_takes_what_the_hardware_is_fast_in(
    monkeypatch: pytest.MonkeyPatch, asked: str, device: str, hardware: object, found: str
) -> None:
    monkeypatch.setattr("runners.device.precision.multiplies_bf16", lambda: hardware)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda _: hardware)
    assert resolve_precision(asked, device) == found  # type: ignore[arg-type]


def test_a_tower_without_blocks_is_told_of_as_fp32() -> None:
    resnet = open_clip.CLIPVisionCfg(layers=(1, 1, 1, 1), width=16, image_size=64)
    text = open_clip.CLIPTextCfg(width=32, heads=1, layers=1, context_length=8, vocab_size=99)
    model = open_clip.CLIP(embed_dim=32, vision_cfg=resnet, text_cfg=text)
    assert not build.compute_blocks_in(model, "bf16")
    assert {weight.dtype for weight in model.visual.parameters()} == {torch.float32}
    assert model.transformer.resblocks[0].attn.in_proj_weight.dtype == torch.bfloat16


@pytest.mark.parametrize("shorter", ["fp32", "bf16"])
def test_the_padding_of_texts_is_not_computed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, shorter: str, tiny_clip: Path
) -> None:
    cut = load_clip(settings(models="demo", precision=shorter))
    lengths: list[int] = []
    assert isinstance(cut.forward, torch_forward.TorchForward)
    cut.forward.model.transformer.register_forward_hook(
        lambda *call: lengths.append(call[2].shape[1])
    )
    monkeypatch.setattr(torch_forward, "_ends_of", lambda _: TextEnds(cuts=False))
    whole = load_clip(settings(models="demo", precision=shorter))

    for texts in (["red"], ["red", "a large blue square"], ["word " * 100], [""]):
        ours, theirs = cut.encode_texts(texts), whole.encode_texts(texts)
        np.testing.assert_allclose(ours, theirs, atol=1e-6 if shorter == "fp32" else 2e-3)

    assert lengths == [3, 6, cut.info.context_length, 2]
