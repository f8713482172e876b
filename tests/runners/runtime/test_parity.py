"""What OpenVINO computes is what torch computes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from demo.scenes.scenes import draw_scene
from demo.scenes.seeds import HELD_OUT_SEEDS
from runners.runtime.graph import computes_bf16
from runners.settings import ModelSettings
from runners.yolo.parts import Stem, Tail, can_be_cut
from runners.yolo.recipe import load_yolo
from runners.yolo.torch_forward import TorchForward
from runners.yolo.weights import tame_ultralytics
from tests.runners.clip.test_clip_model import prepare
from tests.runners.models import clip_of, yolo_of
from tests.runners.pictures import SIZES, drawn
from tests.runners.yolo.test_yolo_model import letterbox

Settings = Callable[..., ModelSettings]
TEXTS = ["a red disc", "", "ein Bild: Straße, 図", "two blue squares and one star", "word " * 500]
LEAST = {"fp32": 0.9999, "bf16": 0.999}


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def computed_in(precision: str) -> str:
    return precision if computes_bf16() else "fp32"


@pytest.mark.parametrize("models", ["pretrained", "demo"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_embeddings_are_those_of_torch(
    settings: Settings, cache_dir: Path, models: str, precision: str
) -> None:
    exact = clip_of(settings(models=models, precision="fp32"))
    ours = settings(models=models, precision=precision, runtime="openvino", cache_dir=cache_dir)
    clip = clip_of(ours)
    assert (clip.forward.runtime, clip.precision) == ("openvino", computed_in(precision))
    assert clip.info == exact.info  # so that their vectors share a table
    pixels = np.stack([prepare(drawn(*size), clip.info) for size in SIZES])
    pixels.flags.writeable = False  # as it arrives from another process

    pairs = [
        (clip.encode_images(pixels), exact.encode_images(pixels)),
        (clip.encode_images(pixels[:1]), exact.encode_images(pixels[:1])),
        (clip.encode_texts(TEXTS), exact.encode_texts(TEXTS)),
        *((clip.encode_texts([text]), exact.encode_texts([text])) for text in TEXTS),
    ]

    for found, expected in pairs:
        assert found.dtype == np.float32
        assert (np.sum(found * expected, axis=1) > LEAST[precision]).all()
    assert clip.encode_texts([]).shape == (0, clip.info.dim)
    assert clip.encode_images(pixels[:0]).shape == (0, clip.info.dim)


def test_the_padding_of_texts_is_not_computed(settings: Settings, cache_dir: Path) -> None:
    """What a graph is given beside the tokens is how many positions there are to compute."""
    clip = clip_of(
        settings(models="demo", precision="fp32", runtime="openvino", cache_dir=cache_dir)
    )
    graph = clip.forward._texts  # type: ignore[attr-defined]
    lengths = []

    class Watched:
        def __call__(self, tokens: np.ndarray, positions: np.ndarray) -> list[np.ndarray]:
            lengths.append(positions.tolist())
            found: list[np.ndarray] = graph(tokens, positions)
            return found

    clip.forward._texts = Watched()  # type: ignore[attr-defined]
    try:
        for texts in (["red"], ["red", "a large blue square"], [""]):
            clip.encode_texts(texts)
    finally:
        clip.forward._texts = graph  # type: ignore[attr-defined]
    assert lengths == [list(range(n)) for n in (3, 6, 2)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_demo_detections_are_those_of_torch(
    settings: Settings, cache_dir: Path, precision: str
) -> None:
    exact = yolo_of(settings(models="demo", precision="fp32"))
    yolo = yolo_of(
        settings(models="demo", precision=precision, runtime="openvino", cache_dir=cache_dir)
    )
    assert (yolo.forward.runtime, yolo.precision) == ("openvino", computed_in(precision))
    assert yolo.info == exact.info
    scenes = [draw_scene(seed).picture for seed in list(HELD_OUT_SEEDS)[:12]]
    pictures = [letterbox(each, yolo.info)[0] for each in (*scenes, *(drawn(*s) for s in SIZES))]

    found = yolo.detect(pictures)

    for ours, theirs in zip(found, exact.detect(pictures), strict=True):
        assert len(ours) == len(theirs) > 0
        np.testing.assert_allclose(ours[:, :4], theirs[:, :4], atol=0.5)
        np.testing.assert_allclose(ours[:, 4], theirs[:, 4], atol=0.01)
        np.testing.assert_array_equal(ours[:, 5], theirs[:, 5])
    assert yolo.detect([]) == []


@pytest.mark.parametrize("name", ["yolo12n", "yolo26n"])
def test_every_kind_of_head_is_converted(
    settings: Settings, tmp_path: Path, cache_dir: Path, name: str
) -> None:
    """The raw predictions of untrained models, as those that are made sure of something are chaos:
    torch's own in fp32 are 600 pixels from those in fp64.
    """
    weights = {"yolo_weights": str(untrained(name, tmp_path)), "precision": "fp32"}
    exact = load_yolo(settings(**weights)).forward
    ours = load_yolo(settings(**weights, runtime="openvino", cache_dir=cache_dir)).forward
    assert (ours.runtime, ours.end2end) == ("openvino", exact.end2end)
    rng = np.random.default_rng(0)
    for count, height, width in [(1, 96, 128), (2, 64, 32), (3, 128, 128)]:
        batch = rng.integers(0, 255, (count, height, width, 3), dtype=np.uint8)
        found, expected = ours.predict(batch), exact.predict(batch)
        if exact.end2end:  # equals are ranked as rounding has it
            found, expected = np.sort(found, axis=1), np.sort(expected, axis=1)
        np.testing.assert_allclose(found, expected, atol=0.01)


def untrained(name: str, folder: Path) -> Path:
    """A checkpoint of an architecture for small pictures, so that a trial takes less time."""
    tame_ultralytics(folder)
    from ultralytics import YOLO

    torch.manual_seed(0)
    model = YOLO(f"{name}.yaml")
    model.model.args["imgsz"] = 128
    model.save(str(folder / "untrained.pt"))
    return folder / "untrained.pt"


def test_several_threads_are_answered_alike(settings: Settings, cache_dir: Path) -> None:
    changes = {"models": "demo", "precision": "fp32", "runtime": "openvino", "cache_dir": cache_dir}
    clip, yolo = clip_of(settings(**changes)), yolo_of(settings(**changes))
    rng = np.random.default_rng(0)
    size = clip.info.image_size
    pixels = [rng.integers(0, 255, (n, size, size, 3), dtype=np.uint8) for n in (1, 3, 5)] * 4
    pictures = [[np.asarray(drawn(160 + 32 * n, 128))] for n in range(3)] * 4
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(clip.encode_images, pixels))
        boxes = list(pool.map(yolo.detect, pictures))
    for found, batch in zip(images, pixels, strict=True):
        np.testing.assert_allclose(found, clip.encode_images(batch), atol=1e-5)
    for (rows,), each in zip(boxes, pictures, strict=True):
        np.testing.assert_allclose(rows, yolo.detect(each)[0], atol=1e-2)
        assert len(rows) > 0


def test_wrong_shapes_are_refused(settings: Settings, cache_dir: Path) -> None:
    changes = {"models": "demo", "precision": "fp32", "runtime": "openvino", "cache_dir": cache_dir}
    with pytest.raises(ValueError, match="expected uint8"):
        clip_of(settings(**changes)).encode_images(np.zeros((1, 31, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="multiples of 32"):
        yolo_of(settings(**changes)).detect([np.zeros((64, 65, 3), np.uint8)])


@pytest.mark.parametrize(
    "name", ["yolov8n", "yolov9t", "yolov10n", "yolo11n", "yolo12n", "yolo26n"]
)
def test_a_network_that_is_cut_is_the_same_network(
    settings: Settings, make_yolo: Callable[[str], Path], name: str
) -> None:
    yolo = load_yolo(settings(yolo_weights=str(make_yolo(name)), precision="fp32"))
    assert isinstance(yolo.forward, TorchForward)
    network = yolo.forward.network
    assert can_be_cut(network)
    rng = np.random.default_rng(0)
    for count, height, width in [(1, 96, 128), (2, 64, 32)]:
        batch = rng.integers(0, 255, (count, height, width, 3), dtype=np.uint8)
        with torch.inference_mode():
            stem, tail = Stem(network).eval(), Tail(network).eval()
            found = tail(*stem(torch.from_numpy(batch))).numpy()
        np.testing.assert_allclose(found, yolo.forward.predict(batch), atol=1e-4, rtol=1e-5)
