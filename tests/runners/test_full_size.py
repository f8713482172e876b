"""The default models at their real size, from random weights laid where downloads would lie."""

from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from runners.clip.recipe import load_clip
from runners.errors import WeightsHashError
from runners.settings import ModelSettings
from runners.weights.source import clip_source, identity_of, sha256_of
from runners.yolo.recipe import load_yolo


def test_the_default_models_load_from_the_caches(
    tmp_path: Path,
    make_yolo: Callable[[str], Path],
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    repo = tmp_path / "models--laion--CLIP-ViT-B-32-laion2B-s34B-b79K"
    snapshot = repo / "snapshots" / ("c" * 40)
    snapshot.mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("c" * 40)
    theirs = open_clip.create_model("ViT-B-32").eval()
    checkpoint = snapshot / "open_clip_model.safetensors"
    save_file(theirs.state_dict(), checkpoint)
    detector = tmp_path / "yolo11n.pt"
    detector.write_bytes(make_yolo("yolo11n").read_bytes())
    settings = ModelSettings(device="cpu", runtime="torch", threads=1, cache_dir=tmp_path)
    with pytest.raises(WeightsHashError, match="official file"):  # random weights are not theirs
        load_clip(settings)
    hashes = {"clip_sha256": sha256_of(checkpoint), "yolo_sha256": sha256_of(detector)}
    settings = settings.model_copy(update=hashes)

    clip, yolo = load_clip(settings), load_yolo(settings)
    clip.warm_up()
    yolo.warm_up()

    assert clip.info.pretrained == identity_of(clip_source(settings)) == "laion2b_s34b_b79k"
    assert (clip.info.dim, clip.info.image_size, clip.info.context_length) == (512, 224, 77)
    assert yolo.info.weights == "yolo11n.pt"
    pixels = rng.integers(0, 255, (2, 224, 224, 3), dtype=np.uint8)
    mean = torch.tensor(clip.info.mean).view(1, 3, 1, 1)
    std = torch.tensor(clip.info.std).view(1, 3, 1, 1)
    with torch.no_grad():
        batch = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - mean) / std
        expected = theirs.encode_image(batch, normalize=True).numpy()
    assert (np.sum(clip.encode_images(pixels) * expected, axis=1) > 0.9999).all()
