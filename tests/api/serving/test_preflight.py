"""The check before a start: one line where something is missing, and paths settled."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from api.serving.preflight import _absolute_paths
from api.settings import Settings
from runners.settings import ModelSettings
from runners.weights.source import clip_source, identity_of
from store.index import ImageIndex
from store.schemas import ModelIdentity, NewImage
from store.settings import StoreSettings
from tests.disks import small_disk
from tests.running import published_settings


def run(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run it as a process of its own, which fails if it imported torch."""
    code = (
        "import sys; from api.serving.preflight import main; status = main();"
        "assert 'torch' not in sys.modules; sys.exit(status)"
    )
    wanted = {"STORE_URI": str(folder / "index"), **settings}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **{f"IMAGE_SEARCH_{name}": text for name, text in wanted.items()}},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_demo_models_are_there(tmp_path: Path) -> None:
    done = run(tmp_path, MODELS="demo")
    assert (done.returncode, done.stderr) == (0, "")


def test_models_on_other_hosts_need_nothing_here(tmp_path: Path) -> None:
    settings = {"CLIP_URLS": "http://a:3000,http://b:3000", "YOLO_URLS": "https://c"}
    done = run(tmp_path, **settings, MODEL_TOKEN="x" * 16, CACHE_DIR="/no/such")
    assert (done.returncode, done.stderr) == (0, "")
    done = run(tmp_path, **settings, MODEL_TOKEN="x" * 16, YOLO_WEIGHTS="./nowhere.pt")
    assert done.returncode == 0
    assert "IMAGE_SEARCH_YOLO_WEIGHTS belongs" in done.stderr


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"CLIP_PRETRAINED": "./nowhere.pt"}, "nowhere.pt"),
        ({"DEVICE": "gpu"}, "IMAGE_SEARCH_DEVICE='gpu'"),
        ({"API_KEY": "secret"}, "IMAGE_SEARCH_API_KEYS"),
        ({"MODELS": "demo", "CORS_ORIGINS": "*"}, "IMAGE_SEARCH_CORS_ORIGINS=*"),
        ({"MODELS": "demo", "API_KEYS_FILE": "/no/such/keys"}, "/no/such/keys"),
        ({"MODELS": "demo", "API_KEYS_FILE": "/dev/null"}, "/dev/null"),
        ({"API_KEYS": "fifteen-of-them"}, "16 characters"),
        (
            {"CLIP_URLS": "http://gpu1:3000"},
            "CLIP_URLS needs IMAGE_SEARCH_MODEL_TOKEN",
        ),
        ({"YOLO_URLS": "gpu1:3000"}, "such as http://gpu1:3000"),
        ({"YOLO_URLS": "http://a:3, http://a:3/"}, "names a service twice"),
        ({"MODEL_TOKEN": "fifteen-of-them"}, "16 printable ASCII"),
    ],
)
def test_a_failure_is_one_line_and_status_1(
    tmp_path: Path, settings: dict[str, str], word: str
) -> None:
    done = run(tmp_path, **settings)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert word in done.stderr


def _demo() -> ModelIdentity:
    source = clip_source(ModelSettings(models="demo"))
    return ModelIdentity(source.architecture, identity_of(source), 2)


def _make_index(folder: Path, identity: ModelIdentity | None = None) -> Path:
    """An index with a version that was acknowledged, of the demo model; the table's folder."""
    uri = StoreSettings(store_uri=str(folder / "index"))
    identity = identity or _demo()

    async def make() -> None:
        index = await ImageIndex.open(uri, identity)
        await index.upsert(
            NewImage("https://example.org/1", np.eye(1, identity.dim, dtype=np.float32)[0])
        )
        await index.close()

    asyncio.run(make())
    return folder / "index" / "images.lance"


def _put_a_file(table: Path) -> None:
    table.rename(table.with_name("away"))
    table.write_text("x")


def _only_file(folder: Path) -> Path:
    [file] = folder.iterdir()
    return file


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda table: min(table.glob("_versions/*.manifest")).unlink(), ["acknowledged"]),
        (shutil.rmtree, ["is missing", "backup", "images.acknowledged"]),
        (lambda table: _only_file(table / "data").unlink(), ["images.lance/data/", "--repair"]),
        (_put_a_file, []),
    ],
)
def test_a_damaged_table_is_one_line(
    tmp_path: Path, harm: Callable[[Path], object], words: list[str]
) -> None:
    table = _make_index(tmp_path)
    assert run(tmp_path, MODELS="demo").returncode == 0
    harm(table)
    done = run(tmp_path, MODELS="demo")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    for word in words:
        assert word in done.stderr


def test_a_refused_start_says_nothing_else(tmp_path: Path) -> None:
    """What it would have warned of waits for a start that goes on; so does closing the folder."""
    table = _make_index(tmp_path)
    for path in (table, table.parent):
        path.chmod(0o755)
    settings = {"MODELS": "demo", "CLIP_MODEL": "ViT-L-14"}
    manifest = min(table.glob("_versions/*.manifest"))  # names count down: the newest
    away = manifest.rename(tmp_path / "away")
    refused = run(tmp_path, **settings)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1), refused.stderr
    assert table.parent.stat().st_mode & 0o077
    away.rename(manifest)
    started = run(tmp_path, **settings)
    assert (started.returncode, len(started.stderr.splitlines())) == (0, 2), started.stderr
    assert not table.parent.stat().st_mode & 0o077


PUBLISHED = ModelIdentity("ViT-B-16", "laion2b_s34b_b88k", 512)


def _prepared(environment: dict[str, str]) -> tuple[list[str], str]:
    """Architecture and tag for the workers of a service that starts; what the start has said."""
    code = (
        "from api.serving.preflight import prepare; from api.settings import Settings;"
        "prepare(Settings.from_environment()); models = Settings.from_environment().models;"
        "print(models.clip_model, models.clip_pretrained)"
    )
    command = [sys.executable, "-c", code]
    given = {**os.environ, "BENTOML_DO_NOT_TRACK": "True", **environment}
    done = subprocess.run(
        command, env=given, capture_output=True, text=True, timeout=200, check=False
    )
    return done.stdout.split(), done.stderr


def test_without_a_name_the_tables_own_model_is_taken(tmp_path: Path) -> None:
    _make_index(tmp_path, PUBLISHED)
    environment = published_settings(tmp_path)
    names, said = _prepared(environment)
    assert names == ["ViT-B-16", "laion2b_s34b_b88k"], said
    [line] = [line for line in said.splitlines() if "no CLIP model is named" in line]
    assert "ViT-B-16 (laion2b_s34b_b88k" in line
    other = {**environment, "IMAGE_SEARCH_CLIP_MODEL": "ViT-B-32"}
    names, said = _prepared(other)
    assert (names, len(said.splitlines())) == ([], 1), said
    assert "made with the model ViT-B-16" in said
    assert "cannot be used with ViT-B-32" in said
    shutil.rmtree(tmp_path / "hub")
    names, said = _prepared(environment)
    assert (names, len(said.splitlines())) == ([], 2), said
    assert "CLIP_PRETRAINED=laion2b_s34b_b88k" in said
    assert "the model of the index" in said


def test_a_table_of_a_model_without_a_published_name_says_what_to_set(tmp_path: Path) -> None:
    """A first start with the demo, or with a file's weights, and the next without the setting."""
    digest = "ab" * 32
    file = ModelIdentity("ViT-L-14", f"sha256:{digest}", 2)
    for folder, identity, words in (
        ("demo", _demo(), ["IMAGE_SEARCH_MODELS=demo"]),
        ("file", file, [digest, "IMAGE_SEARCH_CLIP_MODEL=ViT-L-14", "_CLIP_PRETRAINED to the"]),
    ):
        _make_index(tmp_path / folder, identity)
        done = run(tmp_path / folder)
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
        for word in words:
            assert word in done.stderr


def test_a_disk_that_takes_nothing_is_one_line(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2) as disk:
        disk.fill(1 << 19)
        full = run(disk.path, MODELS="demo")
        disk.make_room()
        disk.set_writable(False)
        read_only = run(disk.path, MODELS="demo")
    for done, word in ((full, "is full"), (read_only, "Read-only file system")):
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
        assert "IMAGE_SEARCH_STORE_URI" in done.stderr
        assert word in done.stderr


def test_settings_that_take_each_others_effect_away_are_told(tmp_path: Path) -> None:
    done = run(tmp_path, MODELS="demo", CLIP_MODEL="ViT-L-14", REQUEST_TIMEOUT_S="5")
    assert done.returncode == 0
    for word in ("FETCH_TIMEOUT_S=10", "IMAGE_SEARCH_CLIP_MODEL is not looked at"):
        assert word in done.stderr


def test_paths_are_settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.pt").write_bytes(b"weights")
    monkeypatch.setenv("IMAGE_SEARCH_CLIP_PRETRAINED", "./weights.pt")
    monkeypatch.setenv("IMAGE_SEARCH_STORE_URI", "table")
    settled = _absolute_paths(Settings.from_environment())
    assert settled["IMAGE_SEARCH_STORE_URI"] == str(tmp_path / "table")
    assert settled["IMAGE_SEARCH_CLIP_PRETRAINED"] == str(tmp_path / "weights.pt")
    assert len(settled["IMAGE_SEARCH_CLIP_SHA256"]) == 64
    monkeypatch.setenv("IMAGE_SEARCH_STORE_URI", "s3://bucket/index")
    assert "IMAGE_SEARCH_STORE_URI" not in _absolute_paths(Settings.from_environment())
