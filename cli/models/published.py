"""Published models and their figures, as `published.toml` has them; which of them are here.

Nothing here imports torch or uses the network.
"""

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from huggingface_hub import constants

from runners.settings import ModelSettings
from runners.weights.source import clip_source, yolo_source

_FILE = Path(__file__).with_name("published.toml")
_BYTES_PER_PARAMETER = 4


@dataclass(frozen=True)
class ClipEntry:
    """A published CLIP model; None is what nobody has published.

    Attributes:
        model: open_clip architecture.
        pretrained: its tag.
        hub: repository on huggingface.co that has the weights.
        coco: share of MSCOCO's captions for which the right picture comes first, 0 to 1.
        flickr: the same of Flickr30k.
        languages: the same as a mean over 36 languages.
        parameters: of both towers, in millions.
        picture: billions of floating-point operations for a picture.
        text: the same for a text.
        side: of the square picture that it takes, in pixels.
        dim: length of a vector.
        licence: of the weights.
        tower: model whose tower for pictures it has; empty if its own.
        needs: package that has to be installed besides; empty if none.
    """

    model: str
    pretrained: str
    hub: str
    parameters: float
    picture: float
    text: float
    side: int
    dim: int
    coco: float | None = None
    flickr: float | None = None
    languages: float | None = None
    licence: str | None = None
    tower: str = ""
    needs: str = ""

    @property
    def disk_gb(self) -> float:
        """Size of the weights in GB: all are published in fp32."""
        return self.parameters * _BYTES_PER_PARAMETER / 1000

    def is_set(self, settings: ModelSettings) -> bool:
        """Whether the settings name this one."""
        source = clip_source(settings)
        return (source.architecture, source.name) == (self.model, self.pretrained)

    def is_here(self, _settings: ModelSettings) -> bool:
        """Whether there are weights of it in Hugging Face's cache."""
        folder = Path(constants.HF_HUB_CACHE) / f"models--{self.hub.replace('/', '--')}"
        files = ("*.safetensors", "*.bin")
        return any(any(folder.glob(f"snapshots/*/{name}")) for name in files)


@dataclass(frozen=True)
class YoloEntry:
    """A published detector.

    Attributes:
        weights: ultralytics' name.
        map: mAP 50-95 on COCO val2017 at 640 pixels, in percent.
        parameters: in millions.
        picture: billions of floating-point operations for a picture of 640 x 640.
    """

    weights: str
    map: float
    parameters: float
    picture: float

    def is_set(self, settings: ModelSettings) -> bool:
        """Whether the settings name this one."""
        return yolo_source(settings).name == self.weights

    def is_here(self, settings: ModelSettings) -> bool:
        """Whether its weights were downloaded."""
        return (settings.cache_dir / self.weights).is_file()


def clip_entries() -> tuple[ClipEntry, ...]:
    """The CLIP models: of one language first, from fast to slow within each."""
    return tuple(ClipEntry(**values) for values in _tables()["clip"])


def yolo_entries() -> tuple[YoloEntry, ...]:
    """The detectors, from fast to slow."""
    return tuple(YoloEntry(**values) for values in _tables()["yolo"])


@lru_cache(maxsize=1)
def _tables() -> dict[str, list[dict[str, Any]]]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))
