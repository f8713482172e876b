import itertools
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from demo.models import CLIP_CONFIG_NAME, CLIP_NAME, WEIGHTS, YOLO_NAME
from demo.quality import measure
from demo.scenes.scenes import draw_scene
from demo.scenes.seeds import ALL_SEEDS, HELD_OUT_SEEDS
from demo.scenes.shapes import KINDS
from demo.training.dataset import IMAGE_SIZE
from demo.training.retrieval import DemoClip


@pytest.fixture(scope="module")
def clip() -> DemoClip:
    return DemoClip(WEIGHTS / CLIP_NAME)


def test_no_scene_serves_two_ends() -> None:
    for (_, one), (_, other) in itertools.combinations(ALL_SEEDS.items(), 2):
        assert max(one.start, other.start) >= min(one.stop, other.stop)


def test_weights_are_small() -> None:
    names = (CLIP_NAME, CLIP_CONFIG_NAME, YOLO_NAME)
    assert sum((WEIGHTS / name).stat().st_size for name in names) <= 15e6


def test_quality_on_some_held_out_scenes() -> None:
    measures = measure(WEIGHTS, HELD_OUT_SEEDS[:400], detection_scenes=150, k=5)
    assert len(measures) == 5
    assert [each.name for each in measures if not each.passed] == []


def test_embeddings_have_unit_length(clip: DemoClip) -> None:
    pictures = clip.encode_images([draw_scene(seed).picture for seed in HELD_OUT_SEEDS[:3]])
    texts = clip.encode_texts(["a red circle", "", "word " * 100])
    np.testing.assert_allclose(np.linalg.norm(pictures, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("a red circle", "a red circle"),
        ("show me a crimson disc, please", "a red circle"),
        ("RED CIRCLE", "a red circle"),
        ("wonderful zyzzyva blue star on my grandmother's table", "a blue star"),
        ("green box next to a pink heart", "a green square and a pink heart"),
    ],
)
def test_free_phrasing_means_the_caption(clip: DemoClip, said: str, meant: str) -> None:
    captions = sorted({draw_scene(seed, 64).caption for seed in HELD_OUT_SEEDS[:300]} | {meant})
    scores = clip.encode_texts([said]) @ clip.encode_texts(captions).T
    assert captions[int(scores.argmax())] == meant


def test_words_it_never_saw_differ_from_each_other(clip: DemoClip) -> None:
    one, other = clip.encode_texts(["zebra", "locomotive"])
    assert not np.allclose(one, other)


def test_yolo_loads_under_the_safe_loader(tmp_path: Path) -> None:
    script = (
        "import json, sys; from ultralytics import YOLO; from ultralytics.utils import SAFE_LOAD;"
        "assert SAFE_LOAD; model = YOLO(sys.argv[1]);"
        "print(json.dumps([list(model.names.values()), model.overrides['imgsz']]))"
    )
    settings = {"ULTRALYTICS_SAFE_LOAD": "1", "YOLO_OFFLINE": "1", "YOLO_CONFIG_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script, str(WEIGHTS / YOLO_NAME)],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [list(KINDS), IMAGE_SIZE]


def test_yolo_tells_nothing_of_the_machine_it_was_trained_on() -> None:
    with zipfile.ZipFile(WEIGHTS / YOLO_NAME) as archive:
        pickled = b"".join(archive.read(name) for name in archive.namelist() if "pkl" in name)
    assert not re.search(rb"/(tmp|home|root|Users)", pickled)
    assert b"git" not in pickled
