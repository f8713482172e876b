"""Which runtime a model gets, and what is left for the next start."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from runners.clip import openvino_forward
from runners.clip.recipe import load_clip
from runners.device.cpu import cpu, multiplies_bf16
from runners.runtime import choice
from runners.runtime.speed import is_faster
from runners.settings import ModelSettings
from runners.yolo.recipe import load_yolo
from tests.runners.models import clip_of
from tests.runners.yolo.test_yolo_model import TINY_RTDETR

Settings = Callable[..., ModelSettings]
Make = Callable[..., ModelSettings]
TEXTS = ["a red disc", "two blue squares"]


def test_the_second_load_opens_what_the_first_has_left(
    ours: Make, settings: Settings, conversions: list[object], tmp_path: Path
) -> None:
    first = load_clip(ours())
    assert len(conversions) == 2
    second = load_clip(ours())
    assert len(conversions) == 2
    assert (first.forward.runtime, second.forward.runtime) == ("openvino", "openvino")
    assert second.info == first.info
    np.testing.assert_allclose(second.encode_texts(TEXTS), first.encode_texts(TEXTS), atol=1e-6)
    folder = tmp_path / "cache" / "openvino"
    assert [path.stat().st_mode & 0o077 for path in (folder, *folder.iterdir())] == [0, 0]
    names = {path.name for path in next(folder.iterdir()).iterdir() if "verdict" not in path.name}
    assert names == {"graphs", "limits-fp32.json"}
    assert load_clip(settings(cache_dir=tmp_path / "cache")).forward.runtime == "torch"


@pytest.mark.parametrize(
    ("faster", "runtime", "graphs"), [(True, "openvino", 2), (False, "torch", 2)]
)
def test_auto_takes_what_is_faster_and_remembers_it(
    ours: Make,
    conversions: list[object],
    monkeypatch: pytest.MonkeyPatch,
    faster: bool,
    runtime: str,
    graphs: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    measured: list[object] = []

    def watched(*works: object) -> bool:
        measured.append(works)
        return faster

    monkeypatch.setattr(choice, "is_faster", watched)
    with caplog.at_level(logging.WARNING):
        loaded = [load_clip(ours(runtime="auto")) for _ in range(2)]
    assert [clip.forward.runtime for clip in loaded] == [runtime, runtime]
    assert (len(measured), len(conversions)) == (1, graphs)
    assert not caplog.messages


def test_the_faster_takes_less_processor_time() -> None:
    def busy(seconds: float) -> Callable[[], None]:
        def run() -> None:
            until = time.process_time() + seconds
            while time.process_time() < until:
                pass

        return run

    def idle() -> None:
        time.sleep(0.05)  # as one that waits for a core

    assert is_faster([busy(0.002), idle], [busy(0.004), busy(0.004)])
    assert not is_faster([busy(0.002), busy(0.03)], [busy(0.004), busy(0.004)])


def damage(folder: Path, how: str) -> None:
    weights = folder / "texts.bin"
    content = bytearray(weights.read_bytes())
    if how == "flipped":
        content[len(content) // 2] ^= 1
        weights.write_bytes(content)
    elif how == "gone":
        weights.unlink()
    else:
        (folder / "manifest.json").write_text(how)


@pytest.mark.parametrize("how", ["flipped", "gone", "[]"])
def test_what_is_damaged_is_made_anew(
    ours: Make, settings: Settings, converted: Path, conversions: list[object], how: str
) -> None:
    damage(converted, how)
    again = load_clip(ours())
    assert (again.forward.runtime, len(conversions)) == ("openvino", 2)
    expected = clip_of(settings(precision="fp32")).encode_texts(TEXTS)
    np.testing.assert_allclose(again.encode_texts(TEXTS), expected, atol=1e-5)


@pytest.mark.usefixtures("converted")
def test_results_that_differ_are_made_anew_and_then_left_to_torch(
    ours: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    compute = openvino_forward.OpenVinoForward.encode_texts
    monkeypatch.setattr(
        openvino_forward.OpenVinoForward,
        "encode_texts",
        lambda *arguments: np.roll(compute(*arguments), 1, axis=1),
    )
    for _ in range(2):
        caplog.clear()
        assert load_clip(ours()).forward.runtime == "torch"
        (line,) = caplog.messages
        assert "computed by torch; OpenVINO's results differ too much" in line
        assert "IMAGE_SEARCH_CLIP_PRETRAINED" in line


def test_what_does_not_convert_stays_on_torch(
    ours: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """RT-DETR keeps numbers of the shape that it is traced with."""
    from ultralytics import RTDETR

    (tmp_path / "tiny-rtdetr.yaml").write_text(TINY_RTDETR)
    torch.manual_seed(0)
    RTDETR(str(tmp_path / "tiny-rtdetr.yaml")).save(str(tmp_path / "tiny.pt"))
    for _ in range(2):
        caplog.clear()
        yolo = load_yolo(ours(yolo_weights=str(tmp_path / "tiny.pt")))
        assert yolo.forward.runtime == "torch"
        assert yolo.detect([np.zeros((64, 64, 3), np.uint8)])[0].shape[1] == 6
        (line,) = [line for line in caplog.messages if "computed by torch" in line]
        assert "OpenVINO" in line


def test_an_operation_that_openvino_does_not_know(
    ours: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from open_clip.transformer import VisionTransformer

    forward = VisionTransformer.forward
    monkeypatch.setattr(
        VisionTransformer, "forward", lambda *a: torch.special.bessel_j0(forward(*a)) + forward(*a)
    )
    clip = load_clip(ours())
    assert clip.forward.runtime == "torch"
    assert "computed by torch; OpenVINO does not convert it" in caplog.text
    again = load_clip(ours(runtime="auto"))
    assert again.forward.runtime == "torch"


KILLED = """
import os, signal
from pathlib import Path
import open_clip
from runners.clip.recipe import load_clip
from runners.runtime import conversions
from runners.settings import ModelSettings
save = conversions.save
def killed(graph, path):
    save(graph, path)
    os.kill(os.getpid(), signal.SIGKILL)
conversions.save = killed
open_clip.add_model_config({config!r})
load_clip(ModelSettings(**{settings!r}))
"""


def test_a_conversion_that_is_killed_leaves_nothing_that_looks_finished(
    ours: Make, tiny_clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = ours().model_dump()
    settings["cache_dir"] = str(settings["cache_dir"])
    config = str(tiny_clip.with_name(f"{settings['clip_model']}.json"))
    code = KILLED.format(config=config, settings=settings)
    killed = subprocess.run([sys.executable, "-c", code], check=False, timeout=300)
    assert killed.returncode == -signal.SIGKILL
    (folder,) = tmp_path.glob("cache/openvino/*")
    (left,) = folder.glob(".unfinished-*")
    assert not (folder / "graphs").exists()

    os.utime(left, (0, 0))  # long ago
    assert load_clip(ours()).forward.runtime == "openvino"
    assert not left.exists()
    assert not caplog.messages


def test_after_three_conversions_without_an_end_there_is_no_fourth(
    ours: Make,
    conversions: list[object],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(choice, "_judged", lambda *_: sys.exit(1))
        for _ in range(3):
            with pytest.raises(SystemExit):
                load_clip(ours())
    assert load_clip(ours()).forward.runtime == "torch"
    assert "ended several times" in caplog.text
    assert not conversions


def test_a_cache_that_cannot_be_written(
    ours: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    clip = load_clip(ours(cache_dir=tmp_path / "file"))
    assert clip.forward.runtime == "torch"
    assert "computed by torch; OpenVINO cannot be used: " in caplog.text


def test_a_disk_that_is_full_is_not_remembered(
    ours: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("no space left")

    with monkeypatch.context() as disk:
        disk.setattr("runners.runtime.conversions.save", full)
        assert load_clip(ours()).forward.runtime == "torch"
    assert "could not be written to IMAGE_SEARCH_CACHE_DIR" in caplog.text
    assert load_clip(ours()).forward.runtime == "openvino"


def test_torch_alone_needs_no_openvino(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # an import of it fails
    assert load_clip(settings()).forward.runtime == "torch"
    assert not caplog.messages


def test_fp16_is_torchs(ours: Make, caplog: pytest.LogCaptureFixture) -> None:
    clip = load_clip(ours(precision="fp16"))
    assert (clip.forward.runtime, clip.precision) == ("torch", "fp16")
    assert "IMAGE_SEARCH_RUNTIME=openvino: cpu in fp16" in caplog.text


def test_openvino_reports_nothing() -> None:
    code = (
        "import sys; from runners.runtime.graph import openvino; openvino().Core()\n"
        "assert sys.modules['openvino_telemetry'] is None\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.usefixtures("converted")
def test_other_weights_precisions_and_threads_are_other_questions(
    ours: Make, tmp_path: Path, tiny_clip: Path
) -> None:
    clip = load_clip(ours(threads=2))
    compiled = clip.forward._pictures._compiled  # type: ignore[attr-defined]
    names = ("INFERENCE_NUM_THREADS", "NUM_STREAMS", "ENABLE_CPU_PINNING")
    assert [compiled.get_property(name) for name in names] == [2, 1, False]
    load_clip(ours(clip_pretrained=str(tiny_clip.with_suffix(".pt"))))
    assert load_clip(ours(runtime="auto", threads=1)).forward.runtime in {"torch", "openvino"}
    runtimes = [
        json.loads(path.read_text())["about"]["runtime"]
        for path in tmp_path.glob("cache/openvino/*/verdict-*")
    ]
    assert sorted(runtimes) == ["auto", "openvino", "openvino"]
    assert len(list(tmp_path.glob("cache/openvino/*/graphs"))) == 2


def test_a_cpu_is_known_by_its_name_and_instructions(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor : 0\nmodel name : A\nflags : x y\n\nprocessor : 1\nflags : x y\n")
    assert json.loads(cpu(info))[1:3] == ["A", "x y"]
    assert json.loads(cpu(tmp_path / "none"))[1:3] == ["", ""]
    assert not multiplies_bf16(info)
    info.write_text("flags : fpu avx512_bf16 amx\n")
    assert multiplies_bf16(info)
    assert not multiplies_bf16(tmp_path / "none")
    # As torch sees this machine.
    seen: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    assert multiplies_bf16() == bool(seen.get("avx512_bf16") or seen.get("amx_bf16"))
