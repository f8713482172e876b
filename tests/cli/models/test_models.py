"""`image-search models`: its figures, and those of its page, are of models that there are."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import open_clip
import pytest
import torch
from click.testing import CliRunner

from cli.models.published import ClipEntry, YoloEntry, clip_entries, yolo_entries
from demo.process import PROJECT
from image_search.cli.main import main
from runners.settings import ModelSettings
from runners.yolo.weights import tame_ultralytics

PAGE = (PROJECT / "docs" / "models.md").read_text(encoding="utf-8")


def _rows(head: str) -> list[list[str]]:
    """The cells of the page's table under a header that begins so."""
    table = PAGE[PAGE.index(f"| {head}") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def test_the_page_has_the_same_figures() -> None:
    assert _rows("`IMAGE_SEARCH_CLIP_MODEL`") == [
        [
            f"`{one.model}`, `{one.pretrained}`{' *' if one.needs else ''}",
            *map(_figure, (one.coco, one.flickr, one.languages)),
            *(f"{one.picture:g}", f"{one.text:g}", str(one.side), str(one.dim)),
            *(f"{one.disk_gb:.2f}", one.licence or ""),
        ]
        for one in clip_entries()
    ]
    assert _rows("`IMAGE_SEARCH_YOLO_WEIGHTS`") == [
        [f"`{one.weights}`", f"{one.map:g}", f"{one.picture:g}", f"{one.parameters:g}"]
        for one in yolo_entries()
    ]


def test_the_page_says_how_fast_each_is() -> None:
    names = [row[0].split("`")[1] for row in _rows("model | fp32")]
    clip = sorted(clip_entries(), key=lambda one: one.picture)
    assert names == [*(one.model for one in clip), *(one.weights for one in yolo_entries())]


def test_the_defaults_are_among_them() -> None:
    defaults = ModelSettings.model_construct()
    assert [one.is_set(defaults) for one in clip_entries()].count(True) == 1
    assert [one.is_set(defaults) for one in yolo_entries()].count(True) == 1


@pytest.mark.parametrize("one", clip_entries(), ids=lambda one: one.model)
def test_open_clip_knows_each(one: ClipEntry) -> None:
    published = open_clip.get_pretrained_cfg(one.model, one.pretrained)
    assert published["hf_hub"].rstrip("/") == one.hub
    config = open_clip.get_model_config(one.model)
    assert (config["embed_dim"], config["vision_cfg"]["image_size"]) == (one.dim, one.side)
    assert bool(one.needs) == ("hf_tokenizer_name" in config["text_cfg"])
    if one.tower:  # only the Hub knows how large the other one is, that of texts
        assert open_clip.get_model_config(one.tower)["vision_cfg"] == config["vision_cfg"]
        return
    with torch.device("meta"):  # no memory, and no time
        model = open_clip.create_model(one.model, device="meta")
    counted = sum(each.numel() for each in model.parameters()) / 1e6
    assert counted == pytest.approx(one.parameters, abs=0.02)


@pytest.mark.parametrize("one", yolo_entries(), ids=lambda one: one.weights)
def test_ultralytics_knows_each(one: YoloEntry, tmp_path: Path) -> None:
    tame_ultralytics(tmp_path)
    from ultralytics.nn.tasks import DetectionModel
    from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES

    assert one.weights in GITHUB_ASSETS_NAMES
    fused = DetectionModel(f"{Path(one.weights).stem}.yaml", verbose=False).fuse(verbose=False)
    counted = sum(each.numel() for each in fused.parameters()) / 1e6
    assert counted == pytest.approx(one.parameters, abs=0.06)


def _run(tmp_path: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, which fails if it imported torch or LanceDB."""
    code = (
        "import atexit, sys; from image_search.cli.main import main;"
        "atexit.register(lambda: [print('imported', each) for each in ('torch', 'lancedb')"
        " if each in sys.modules]); main()"
    )
    environment = {name: text for name, text in os.environ.items() if "IMAGE_SEARCH" not in name}
    own = {f"IMAGE_SEARCH_{name}": text for name, text in settings.items()}
    own |= {"IMAGE_SEARCH_CACHE_DIR": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "hub")}
    return subprocess.run(
        [sys.executable, "-c", code, "models", *words],
        env={**environment, **own},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_it_says_what_is_set_and_downloaded(tmp_path: Path) -> None:
    folder = tmp_path / "hub" / "models--timm--ViT-B-16-SigLIP" / "snapshots" / "c"
    folder.mkdir(parents=True)
    (folder / "open_clip_model.safetensors").touch()
    (tmp_path / "yolo26n.pt").touch()
    named = {"CLIP_MODEL": "ViT-B-16-SigLIP", "CLIP_PRETRAINED": "webli"}
    done = _run(tmp_path, "--json", **named)
    assert (done.returncode, done.stderr) == (0, "")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["kind"] for one in found] == ["clip"] * len(clip_entries()) + ["yolo"] * 5
    names = [one.get("model") or one["weights"] for one in found]
    assert [name for name, one in zip(names, found, strict=True) if one["set"]] == [
        "ViT-B-16-SigLIP",
        "yolo11n.pt",
    ]
    assert [name for name, one in zip(names, found, strict=True) if one["downloaded"]] == [
        "ViT-B-16-SigLIP",
        "yolo26n.pt",
    ]


def test_a_person_is_told_what_to_set(tmp_path: Path) -> None:
    done = _run(tmp_path, YOLO_WEIGHTS="yolo11x.pt")
    assert done.returncode == 0
    [line] = [line for line in done.stdout.splitlines() if line.endswith("set")]
    assert re.match(r"ViT-B-32\tlaion2b_s34b_b79k\t0\.393\t0\.668\t", line)
    assert "imported" not in done.stdout
    assert "Set here: yolo11x.pt." in done.stderr
    assert "IMAGE_SEARCH_CLIP_PRETRAINED" in done.stderr
    assert "MODELS=demo" in _run(tmp_path, MODELS="demo").stderr


def test_a_senseless_setting_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_DEVICE", "gpu")
    done = CliRunner().invoke(main, ["models"])
    assert done.exit_code == 1
    assert done.output.startswith("Error: IMAGE_SEARCH_DEVICE='gpu'")
