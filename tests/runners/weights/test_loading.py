"""What cannot be loaded ends with one clear line, and nothing that a file holds is run."""

import importlib.util
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from runners.clip.recipe import load_clip
from runners.errors import (
    DeviceError,
    RunnerError,
    UnknownModelError,
    UnsupportedModelError,
    WeightsHashError,
    WeightsInvalidError,
    WeightsMissingError,
)
from runners.settings import ModelSettings
from runners.weights.source import clip_source, sha256_of
from runners.yolo.recipe import load_yolo
from tests.runners.conftest import Hostile

Settings = Callable[..., ModelSettings]
MakeYolo = Callable[[str], Path]


def refused(kind: type[RunnerError], load: Callable[[], object], *words: str) -> None:
    """Loading fails with one line that holds the words."""
    with pytest.raises(kind) as caught:
        load()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", b"\x80\x02N."])
def test_a_file_that_is_no_checkpoint(
    settings: Settings, tmp_path: Path, suffix: str, content: bytes
) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    refused(
        WeightsInvalidError,
        lambda: load_clip(settings(clip_pretrained=str(path))),
        "IMAGE_SEARCH_CLIP_PRETRAINED",
    )
    refused(
        WeightsInvalidError,
        lambda: load_yolo(settings(yolo_weights=str(path))),
        "IMAGE_SEARCH_YOLO_WEIGHTS",
    )


def test_a_truncated_checkpoint(
    settings: Settings, tmp_path: Path, tiny_clip: Path, make_yolo: MakeYolo
) -> None:
    clip, yolo = tmp_path / "clip.safetensors", tmp_path / "yolo.pt"
    clip.write_bytes(tiny_clip.read_bytes()[:100_000])
    yolo.write_bytes(make_yolo("yolo11n").read_bytes()[:100_000])
    refused(WeightsInvalidError, lambda: load_clip(settings(clip_pretrained=str(clip))))
    refused(WeightsInvalidError, lambda: load_yolo(settings(yolo_weights=str(yolo))))


def test_weights_of_another_architecture(settings: Settings) -> None:
    refused(
        WeightsInvalidError,
        lambda: load_clip(settings(clip_model="RN50")),
        "does not hold weights of the architecture RN50",
    )


def test_weights_of_which_one_is_missing(
    settings: Settings, tmp_path: Path, tiny_clip: Path
) -> None:
    weights = load_file(tiny_clip)
    del weights["ln_final.weight"]
    torch.save(weights, tmp_path / "clip.pt")
    refused(
        WeightsInvalidError,
        lambda: load_clip(settings(clip_pretrained=str(tmp_path / "clip.pt"))),
    )


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".safetensors", ".npz", ".ckpt", ""])
@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_a_clip_checkpoint_that_holds_code_is_not_run(
    settings: Settings, hostile: Path, suffix: str, kind: str
) -> None:
    path = _written(hostile, kind, suffix)
    refused(WeightsInvalidError, lambda: load_clip(settings(clip_pretrained=str(path))))


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".safetensors", ".torchscript", ".onnx"])
@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_a_yolo_checkpoint_that_holds_code_is_not_run(
    settings: Settings, hostile: Path, suffix: str, kind: str
) -> None:
    path = _written(hostile, kind, suffix)
    refused(WeightsInvalidError, lambda: load_yolo(settings(yolo_weights=str(path))))


def _written(hostile: Path, kind: str, suffix: str) -> Path:
    """The trap under a name with that suffix, as torch saves it or as a bare pickle."""
    path = hostile.with_name(f"named{suffix}")
    if kind == "torch":
        path.write_bytes(hostile.read_bytes())
    else:
        path.write_bytes(
            pickle.dumps({"state_dict": Hostile(hostile.with_name("it-ran"))}, protocol=2)
        )
    return path


def test_safe_loading_does_not_depend_on_when_ultralytics_was_imported(
    settings: Settings, hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ultralytics.nn.tasks.SAFE_LOAD", False)
    refused(WeightsInvalidError, lambda: load_yolo(settings(yolo_weights=str(hostile))))


@pytest.mark.parametrize("task", ["seg", "cls", "obb", "pose"])
def test_only_detectors_detect(settings: Settings, make_yolo: MakeYolo, task: str) -> None:
    path = str(make_yolo(f"yolo11n-{task}"))
    refused(
        UnsupportedModelError,
        lambda: load_yolo(settings(yolo_weights=path)),
        "needs one for detection",
    )


def test_a_name_that_ultralytics_would_take_for_another(
    settings: Settings, make_yolo: MakeYolo, tmp_path: Path
) -> None:
    path = tmp_path / "it's.pt"
    path.write_bytes(make_yolo("yolo11n").read_bytes())
    refused(
        WeightsInvalidError,
        lambda: load_yolo(settings(yolo_weights=str(path))),
        "rename the file",
    )


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"clip_model": "ViT-B-33"}, UnknownModelError, ("ViT-B-33", "ViT-B-32")),
        ({"clip_model": "ViT-B-32", "clip_pretrained": "openia"}, UnknownModelError, ("openai",)),
        ({"clip_model": "ViT-M-32", "clip_pretrained": "openai"}, UnknownModelError, ("none",)),
        ({"clip_pretrained": "nowhere.safetensors"}, WeightsMissingError, ("nowhere",)),
        ({"clip_pretrained": "/"}, WeightsMissingError, ("not a file",)),
        ({"device": "cuda:99"}, DeviceError, ("cuda:99",)),
        ({"clip_sha256": "0" * 64}, WeightsHashError, ("0" * 64,)),
    ],
)
def test_clip_settings_that_lead_nowhere(
    settings: Settings, changes: dict[str, str], kind: type[RunnerError], words: tuple[str, ...]
) -> None:
    refused(kind, lambda: load_clip(settings(**changes)), *words)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"yolo_weights": "yolo13n.pt"}, UnknownModelError, ("yolo11n.pt",)),
        ({"yolo_weights": "./nowhere.pt"}, WeightsMissingError, ("nowhere.pt",)),
        ({"device": "cuda:99"}, DeviceError, ("cuda:99",)),
        ({"yolo_sha256": "0" * 64}, WeightsHashError, ("0" * 64,)),
    ],
)
def test_yolo_settings_that_lead_nowhere(
    settings: Settings, changes: dict[str, str], kind: type[RunnerError], words: tuple[str, ...]
) -> None:
    refused(kind, lambda: load_yolo(settings(**changes)), *words)


def test_an_architecture_that_needs_another_package(settings: Settings) -> None:
    """Its text tower comes from transformers, which this project does not install."""
    if importlib.util.find_spec("transformers"):
        pytest.skip("transformers is installed")
    refused(
        UnsupportedModelError,
        lambda: load_clip(settings(clip_model="roberta-ViT-B-32")),
        "needs the package transformers",
    )


def test_the_right_hash_is_accepted(settings: Settings, tiny_clip: Path) -> None:
    digest = sha256_of(tiny_clip)
    assert load_clip(settings(clip_sha256=digest.upper())).info.pretrained == (f"sha256:{digest}")


def test_both_spellings_of_a_tag_are_one_model() -> None:
    spellings = ("laion2b-s34b-b79k", "LAION2B_S34B_B79K")
    names = {clip_source(ModelSettings(clip_pretrained=tag)).name for tag in spellings}
    assert names == {"laion2b_s34b_b79k"}
