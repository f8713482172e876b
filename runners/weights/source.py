"""Where a model's weights come from: a file, a published name or the demo; their SHA-256.

Nothing here imports torch or uses the network, so that the API worker can call it.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from runners.errors import WeightsHashError, WeightsMissingError
from runners.settings import ENV_PREFIX, ModelSettings
from runners.weights import pins

DEMO_CLIP = "image-search-demo"
_DEMO_WEIGHTS = Path(__file__).resolve().parents[2] / "demo" / "weights"
_CHECKPOINT_SUFFIXES = (".pt", ".pth", ".bin", ".safetensors")


@dataclass(frozen=True)
class WeightsSource:
    """One model's weights, not yet loaded.

    Attributes:
        label: How messages name the setting and its value.
        architecture: open_clip's architecture; empty for YOLO, whose files hold their own.
        name: Published tag (CLIP) or ultralytics name (YOLO); None for a file.
        path: The file; None for something published.
        config: JSON of an architecture that open_clip does not know, or None.
        sha256: SHA-256 that the settings require; empty if they require none.
        official: SHA-256 of the published file; empty for a file, and where it is not known.
    """

    label: str
    architecture: str
    name: str | None
    path: Path | None
    config: Path | None = None
    sha256: str = ""
    official: str = ""


def clip_source(settings: ModelSettings) -> WeightsSource:
    """Where the CLIP weights come from.

    Raises:
        WeightsMissingError: If they are a file that is missing or not readable.
    """
    if settings.models == "demo":
        return _demo("clip.safetensors", DEMO_CLIP)
    value = settings.clip_pretrained
    label = f"{ENV_PREFIX}CLIP_PRETRAINED={value}"
    path = _file(value, label, bare_suffixes=_CHECKPOINT_SUFFIXES)
    architecture = settings.clip_model.replace("/", "-")
    # open_clip takes tags in either spelling; one of them must be the identity.
    tag = None if path else value.lower().replace("-", "_")
    pin = pins.CLIP.get((architecture, tag)) if tag else None
    official = pin.sha256 if pin else ""
    return WeightsSource(label, architecture, tag, path, None, settings.clip_sha256, official)


def yolo_source(settings: ModelSettings) -> WeightsSource:
    """Where the YOLO weights come from; a name counts as a file once it was downloaded.

    Raises:
        WeightsMissingError: If they are a file that is missing or not readable.
    """
    if settings.models == "demo":
        return _demo("yolo.pt")
    value = settings.yolo_weights
    label = f"{ENV_PREFIX}YOLO_WEIGHTS={value}"
    path = _file(value, label)
    name, official = (None, "") if path else (value, pins.YOLO.get(value, ""))
    return WeightsSource(label, "", name, path, None, settings.yolo_sha256, official)


def identity_of(source: WeightsSource) -> str:
    """Name of weights in a table's record: the published one, or `sha256:<hex>` of the file."""
    if source.path is None:
        return source.name or ""
    return f"sha256:{sha256_of(source.path)}"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: Path, source: WeightsSource) -> None:
    """Refuse a file that has another SHA-256 than the settings require, or the official file.

    Raises:
        WeightsHashError: If the file has another hash.
    """
    expected = source.sha256 or source.official
    if not expected or (found := sha256_of(path)) == expected:
        return
    if source.sha256:
        raise WeightsHashError(
            f"{source.label}: the file has SHA-256 {found}, but the settings ask for "
            f"{expected}; it is not the file that was meant"
        )
    raise WeightsHashError(
        f"{source.label}: {path} has SHA-256 {found}, but the official file has {expected}; delete "
        "it, so that it is downloaded again, or name a file of your own by its path"
    )


def _demo(file: str, architecture: str = "") -> WeightsSource:
    label = f"{ENV_PREFIX}MODELS=demo"
    path = _readable(_DEMO_WEIGHTS / file, label)
    config = _readable(_DEMO_WEIGHTS / f"{architecture}.json", label) if architecture else None
    return WeightsSource(label, architecture, None, path, config)


def _file(value: str, label: str, bare_suffixes: tuple[str, ...] = ()) -> Path | None:
    """The file that a setting names, or None if it names something published."""
    has_folder = os.sep in value or value.startswith("~")
    if has_folder or value.endswith(bare_suffixes) or Path(value).is_file():
        return _readable(Path(value).expanduser(), label)
    return None


def _readable(path: Path, label: str) -> Path:
    if not path.exists():
        raise WeightsMissingError(f"{label}: there is no file {path.name} there", str(path))
    if not path.is_file():
        raise WeightsMissingError(f"{label}: that is not a file", str(path))
    if not os.access(path, os.R_OK):
        raise WeightsMissingError(f"{label}: the file {path.name} may not be read", str(path))
    return path.resolve()
