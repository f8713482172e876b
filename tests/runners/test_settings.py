"""Settings are checked where they are read, and say what is wrong in one line."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from runners.device.cores import resolve_device
from runners.errors import DeviceError
from runners.settings import ModelSettings


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("MODELS", "best", "'pretrained' or 'demo'"),
        ("DEVICE", "gpu", "auto, cpu, cuda or cuda:N"),
        ("DEVICE", "cuda:", "auto, cpu, cuda or cuda:N"),
        ("DEVICE", "cuda:-1", "auto, cpu, cuda or cuda:N"),
        ("PRECISION", "int8", "'auto', 'fp32', 'bf16' or 'fp16'"),
        ("RUNTIME", "onnx", "'auto', 'torch' or 'openvino'"),
        ("THREADS", "-1", "greater than or equal to 0"),
        ("THREADS", "many", "integer"),
        ("YOLO_MIN_CONFIDENCE", "1.5", "less than or equal to 1"),
        ("YOLO_MIN_CONFIDENCE", "nan", "less than or equal to 1"),
        ("CLIP_SHA256", "abc", "64 hexadecimal digits"),
        ("CLIP_MODEL", "", "at least 1 character"),
    ],
)
def test_a_wrong_value_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, word: str
) -> None:
    monkeypatch.setenv(f"IMAGE_SEARCH_{name}", value)
    with pytest.raises(ValidationError) as caught:
        ModelSettings()
    fault = caught.value.errors()[0]
    assert fault["loc"] == (name.lower(),)
    assert word in fault["msg"]
    assert "\n" not in fault["msg"]


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_DEVICE", "CUDA:1")
    monkeypatch.setenv("IMAGE_SEARCH_CACHE_DIR", "~/weights")
    settings = ModelSettings()
    assert settings.device == "cuda:1"
    assert settings.cache_dir == Path.home() / "weights"


def test_every_field_is_described() -> None:
    assert all(field.description for field in ModelSettings.model_fields.values())


def test_devices_resolve_to_what_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runners.device.cores._installed_gpus", lambda: 2)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    resolved = [resolve_device(name) for name in ("cpu", "auto", "cuda", "cuda:1")]
    assert resolved == ["cpu", "cuda:0", "cuda:0", "cuda:1"]
    assert [resolve_device(f"auto:{n}") for n in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    with pytest.raises(DeviceError, match="sees 2 CUDA"):
        resolve_device("cuda:2")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert [resolve_device(name) for name in ("auto", "auto:1")] == ["cpu", "cpu"]
    with pytest.raises(DeviceError):
        resolve_device("cuda")
