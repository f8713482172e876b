"""Where a model's weights come from: a file, a published name or the demo; their SHA-256.

Nothing here imports torch or uses the network, so that the API worker can call it.

Each official SHA-256 here is recorded for that very file by several public projects that do not
look related (pins in their code, reports of what they ran, a comparison with the Hub's own LFS
metadata); none was taken from one alone, and none could be compared with a download where this was
written. For the two of CLIP they name the commit of the Hugging Face repository that holds the
file. What is not listed could not be confirmed in that way and is loaded without a comparison, as
safely as any file (`runners.clip.model`, `runners.yolo.model`); `IMAGE_SEARCH_CLIP_SHA256` and
`IMAGE_SEARCH_YOLO_SHA256` compare any file, and go before the values here.

- `laion/CLIP-ViT-B-32-laion2B-s34B-b79K`, `open_clip_model.safetensors`, 605,143,316 bytes.
- `timm/vit_base_patch32_clip_224.openai`, `open_clip_model.safetensors`, 605,143,284 bytes: the
  weights that OpenAI published as ViT-B-32.pt, in the form that open_clip 3 downloads.
- `ultralytics/assets`, releases v8.3.0 and v8.4.0, which have the same files under these names.
"""

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from runners.errors import WeightsHashError, WeightsMissingError
from runners.settings import ENV_PREFIX, ModelSettings

DEMO_CLIP = "image-search-demo"
OF_A_FILE = "sha256:"
"""How the name of weights from a file begins in a table's record."""
_DEMO_WEIGHTS = Path(__file__).resolve().parents[2] / "demo" / "weights"
_CHECKPOINT_SUFFIXES = (".pt", ".pth", ".bin", ".safetensors")


@dataclass(frozen=True)
class ClipPin:
    """A published file of CLIP weights.

    Attributes:
        file: its name in the repository that open_clip names for the tag.
        revision: commit of that repository.
        sha256: of the file.
    """

    file: str
    revision: str
    sha256: str


_OPENAI_VIT_B_32 = ClipPin(
    "open_clip_model.safetensors",
    "a6f597a30f7b82c51704746581f9a4e41421e878",
    "e6d1bd7789aa45192b3bf90570a789b478bae1b74ebcce7eddd908e83a2b7c31",
)

CLIP_PINS: dict[tuple[str, str], ClipPin] = {
    ("ViT-B-32", "laion2b_s34b_b79k"): ClipPin(
        "open_clip_model.safetensors",
        "1a25a446712ba5ee05982a381eed697ef9b435cf",
        "ac4f8c4b88af6d963118cbf40ad93176d092abbedfcb752601ae1866352656e6",
    ),
    ("ViT-B-32", "openai"): _OPENAI_VIT_B_32,
    ("ViT-B-32-quickgelu", "openai"): _OPENAI_VIT_B_32,
}
"""By architecture and tag, as `WeightsSource` has them."""

YOLO_PINS: dict[str, str] = {
    "yolo11n.pt": "0ebbc80d4a7680d14987a577cd21342b65ecfd94632bd9a8da63ae6417644ee1",
    "yolo11s.pt": "85a76fe86dd8afe384648546b56a7a78580c7cb7b404fc595f97969322d502d5",
    "yolo11m.pt": "d5ffc1a674953a08e11a8d21e022781b1b23a19b730afc309290bd9fb5305b95",
    "yolo26n.pt": "9b09cc8bf347f0fc8a5f7657480587f25db09b34bf33b0652110fb03a8ad4fef",
    "yolov8n.pt": "f59b3d833e2ff32e194b5bb8e08d211dc7c5bdf144b90d2c8412c47ccfc83b36",
    "yolov8s.pt": "1f47a78bf100391c2a140b7ac73a1caae18c32779be7d310658112f7ac9aa78a",
    "yolov8m.pt": "5d4a90cdc7a21786cc59cd19778e9eafff836df9e2da32524737c7ee6efe4fe5",
}
"""SHA-256 by ultralytics' name."""


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
    pin = CLIP_PINS.get((architecture, tag)) if tag else None
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
    name, official = (None, "") if path else (value, YOLO_PINS.get(value, ""))
    return WeightsSource(label, "", name, path, None, settings.yolo_sha256, official)


def identity_of(source: WeightsSource) -> str:
    """Name of weights in a table's record: the published one, or `sha256:<hex>` of the file."""
    if source.path is None:
        return source.name or ""
    return f"{OF_A_FILE}{sha256_of(source.path)}"


def checked(source: WeightsSource) -> WeightsSource:
    """The source, if its file is the one that it must be; something published is not looked at.

    Raises:
        WeightsHashError: If the file has another hash.
    """
    if source.path is not None:
        check_sha256(source.path, source)
    return source


def digest_of(source: WeightsSource) -> str:
    """What tells weights of a name from others: the SHA-256 that a file has, or a published one
    must have; empty where that is not known.
    """
    return sha256_of(source.path) if source.path else source.sha256 or source.official


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal; read once while it does not change."""
    state = path.stat()
    return _sha256_of(path, state.st_ino, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=16)
def _sha256_of(path: Path, *_state: int) -> str:
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
