"""Embeddings are open_clip's own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from runners.clip.model import ClipModel
from runners.clip.recipe import load_clip
from runners.clip.torch_forward import TorchForward
from runners.errors import ModelOutputError
from runners.schemas import ClipInfo
from runners.settings import ModelSettings
from runners.weights.source import clip_source, identity_of, sha256_of
from tests.runners.models import clip_of
from tests.runners.pictures import SIZES, drawn

Settings = Callable[..., ModelSettings]


@pytest.fixture
def clip(settings: Settings) -> ClipModel:
    return clip_of(settings())


def prepare(picture: Image.Image, info: ClipInfo) -> np.ndarray:
    """What the caller does: open_clip's own transform, up to where pixels become floats."""
    config = PreprocessCfg(
        size=info.image_size,
        mean=info.mean,
        std=info.std,
        interpolation=info.interpolation,
        resize_mode=info.resize_mode,
        fill_color=info.fill_color,
    )
    for step in image_transform_v2(config, is_train=False).transforms[:-2]:
        picture = step(picture)
    return np.asarray(picture)


def reference(architecture: str, checkpoint: Path, pictures: list[Image.Image]) -> np.ndarray:
    model, _, transform = open_clip.create_model_and_transforms(
        architecture, pretrained=str(checkpoint)
    )
    with torch.no_grad():
        batch = torch.stack([transform(picture) for picture in pictures])
        vectors: np.ndarray = model.eval().encode_image(batch, normalize=True).numpy()
        return vectors


@pytest.mark.parametrize("models", ["pretrained", "demo"])
def test_images_embed_as_with_open_clip(settings: Settings, tiny_clip: Path, models: str) -> None:
    clip = clip_of(settings(models=models))
    pictures = [drawn(*size) for size in SIZES]
    demo = Path(__file__).parents[3] / "demo" / "weights" / "clip.safetensors"

    ours = clip.encode_images(np.stack([prepare(picture, clip.info) for picture in pictures]))

    theirs = reference(clip.info.model, demo if models == "demo" else tiny_clip, pictures)
    assert ours.dtype == np.float32
    assert (np.sum(ours * theirs, axis=1) > 0.9999).all()


def test_texts_embed_as_with_open_clip(settings: Settings, tiny_clip: Path) -> None:
    clip = clip_of(settings())
    texts = ["a red disc", "", "ein Bild: Straße, 図", "word " * 500]
    model = open_clip.create_model(clip.info.model, pretrained=str(tiny_clip)).eval()
    with torch.no_grad():
        tokens = open_clip.get_tokenizer(clip.info.model)(texts)
        theirs = model.encode_text(tokens, normalize=True).numpy()

    ours = clip.encode_texts(texts)

    assert (np.sum(ours * theirs, axis=1) > 0.9999).all()


def test_the_end_of_a_very_long_word_does_not_count(clip: ClipModel) -> None:
    word = "ab" * 120  # 20 characters for each of the 12 tokens
    together = clip.encode_texts([word, word + "c" * 50_000])
    np.testing.assert_array_equal(together[0], together[1])


def test_white_space_does_not_count_as_length(clip: ClipModel) -> None:
    together = clip.encode_texts(["a red star", " \n a" + " " * 5_000 + "red\tstar "])
    np.testing.assert_allclose(together[0], together[1], atol=1e-6)


def test_pt_and_safetensors_are_the_same_model(
    settings: Settings, clip: ClipModel, tiny_clip: Path, rng: np.random.Generator
) -> None:
    pixels = rng.integers(0, 255, (2, 32, 32, 3), dtype=np.uint8)
    other = clip_of(settings(clip_pretrained=str(tiny_clip.with_suffix(".pt"))))
    np.testing.assert_allclose(other.encode_images(pixels), clip.encode_images(pixels), atol=1e-6)
    assert other.info.identity != clip.info.identity


def test_a_batch_gives_what_its_items_give_alone(clip: ClipModel, rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 255, (130, 32, 32, 3), dtype=np.uint8)
    pixels.flags.writeable = False  # as it arrives from another process
    together = clip.encode_images(pixels)
    alone = np.concatenate([clip.encode_images(pixels[i : i + 1]) for i in range(130)])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_no_items_give_no_embeddings(clip: ClipModel) -> None:
    assert clip.encode_texts([]).shape == (0, clip.info.dim)
    assert clip.encode_images(np.empty((0, 32, 32, 3), np.uint8)).shape == (0, clip.info.dim)


def test_info_says_what_was_loaded(settings: Settings, clip: ClipModel, tiny_clip: Path) -> None:
    info = clip.info
    assert (info.dim, info.image_size, info.context_length) == (24, 32, 12)
    assert info.pretrained == f"sha256:{sha256_of(tiny_clip)}"
    assert info.pretrained == identity_of(clip_source(settings()))
    assert ClipInfo.from_dict(info.to_dict()) == info


@pytest.mark.parametrize("shape", [(1, 32, 31, 3), (1, 3, 32, 32), (32, 32, 3)])
def test_other_shapes_are_refused(clip: ClipModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        clip.encode_images(np.zeros(shape, np.uint8))


def test_floats_are_refused(clip: ClipModel) -> None:
    with pytest.raises(ValueError, match="float32"):
        clip.encode_images(np.zeros((1, 32, 32, 3), np.float32))


def test_a_vector_that_is_not_finite_is_an_error(settings: Settings) -> None:
    clip = load_clip(settings())  # its own, as it is broken here
    assert isinstance(clip.forward, TorchForward)
    clip.forward.model.visual.conv1.weight.data[0, 0, 0, 0] = float("nan")
    with pytest.raises(ModelOutputError):
        clip.encode_images(np.zeros((1, 32, 32, 3), np.uint8))
