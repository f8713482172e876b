"""open_clip's published weights: their names, and their download."""

import difflib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import open_clip
from huggingface_hub import (
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import EntryNotFoundError
from huggingface_hub.utils.tqdm import tqdm
from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

from runners.errors import UnknownModelError
from runners.settings import ENV_PREFIX
from runners.weights.download import PATIENCE_S, Download, watched
from runners.weights.source import CLIP_PINS, WeightsSource

_PROBE_TIMEOUT_S = 10.0
_CHUNK_BYTES = 256 * 1024
_log = logging.getLogger(__name__)


def check_published(source: WeightsSource) -> None:
    """Refuse an architecture or a tag that open_clip does not know, naming the near ones.

    An architecture that comes with the weights (`source.config`) is made known first.

    Raises:
        UnknownModelError: If either is not known.
    """
    if source.config is not None and source.architecture not in open_clip.list_models():
        open_clip.add_model_config(source.config)
    if source.architecture not in (known := open_clip.list_models()):
        raise UnknownModelError(
            f"{ENV_PREFIX}CLIP_MODEL={source.architecture}: open_clip knows no such architecture"
            + _near(source.architecture, known)
        )
    tags = open_clip.list_pretrained_tags_by_model(source.architecture)
    if source.name is not None and source.name not in tags:
        raise UnknownModelError(
            f"{source.label}: neither a file here nor a published tag of {source.architecture}"
            + (_near(source.name, tags) if tags else ", which has none: give the path of a file")
        )


def warn_of_wrong_activation(source: WeightsSource) -> None:
    """Log a warning if a tag was trained with another activation than its architecture has.

    open_clip 3.3 loads such weights without complaint but for a Python warning
    (`factory.create_model`), and the embeddings are then worse than published.
    """
    if source.name is None or source.architecture.endswith("-quickgelu"):
        return
    published = open_clip.get_pretrained_cfg(source.architecture, source.name)
    config = open_clip.get_model_config(source.architecture)
    if published.get("quick_gelu", False) and not config.get("quick_gelu", False):
        _log.warning(
            "%s was trained with QuickGELU: %sCLIP_MODEL=%s-quickgelu gives better embeddings",
            source.label,
            ENV_PREFIX,
            source.architecture,
        )


def preprocessing(source: WeightsSource) -> dict[str, Any] | None:
    """Preprocessing that a published tag changes of its architecture's; None for a file."""
    if source.name is None:
        return None
    published: dict[str, Any] = open_clip.get_pretrained_cfg(source.architecture, source.name)
    keys = ("mean", "std", "interpolation", "resize_mode", "fill_color")
    return {key: published[key] for key in keys if published.get(key) is not None}


def fetch(source: WeightsSource, patience_s: float = PATIENCE_S) -> Path:
    """Path of a published checkpoint, downloaded into Hugging Face's cache if need be.

    The cache is asked first, so a machine without a network starts as fast as one with it.

    Raises:
        UnknownModelError: If open_clip knows no such architecture, or no such tag of it.
        WeightsDownloadError: If the weights are not in the cache and cannot be downloaded.
    """
    check_published(source)
    files = _on_the_hub(source)
    for filename in files.names:
        if cached := _cached(files, filename):
            return cached
    host = urlsplit(constants.ENDPOINT).netloc
    _log.info("%s: downloading the weights from %s", source.label, host)
    received = _Received()
    download = Download(
        run=lambda: _download(files, received),
        received=lambda: received.bytes,
        failure=f"{source.label}: the weights of {source.architecture} could not be downloaded "
        f"from {host}",
        way_out=f"set {ENV_PREFIX}CLIP_PRETRAINED to the path of a checkpoint",
    )
    return watched(download, patience_s)


@dataclass(frozen=True)
class _Files:
    """Files on the Hub that would do: the first of these names, at a revision if it is known."""

    repo: str
    names: list[str]
    revision: str | None = None


def _on_the_hub(source: WeightsSource) -> _Files:
    """Repository of a tag and the file names to try, safetensors first as open_clip does.

    Of weights whose hash is known, only the file that has it.
    """
    published = open_clip.get_pretrained_cfg(source.architecture, str(source.name))["hf_hub"]
    repo, _, filename = published.rpartition("/")
    if pin := CLIP_PINS.get((source.architecture, str(source.name))):
        return _Files(repo, [pin.file], pin.revision)
    if not filename:
        return _Files(repo, [HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME])
    if filename.endswith((".bin", ".pth")):
        return _Files(repo, [str(Path(filename).with_suffix(".safetensors")), filename])
    return _Files(repo, [filename])


def _cached(files: _Files, filename: str) -> Path | None:
    """A file in Hugging Face's cache, of the revision or of whatever is newest there."""
    for revision in (files.revision, None):
        path = try_to_load_from_cache(files.repo, filename, revision=revision)
        if isinstance(path, str):
            return Path(path)
    return None


class _Received:
    """Bytes that came in, written by the downloading thread and read by the watching one."""

    bytes = 0


def _download(files: _Files, received: _Received) -> Path:
    """Download the first file that exists; hf_hub_download alone would retry for minutes."""

    class Bar(tqdm):
        """Counts what comes in; drawn only on a terminal, as huggingface_hub's own."""

        def update(self, n: float | None = 1) -> bool | None:
            received.bytes += int(n or 0)
            drawn: bool | None = super().update(n)
            return drawn

    # It reports its progress once per chunk of 10 MB, which would make a slow link look like a dead
    # one (huggingface_hub 2.4 `file_download.http_get`).
    constants.DOWNLOAD_CHUNK_SIZE = _CHUNK_BYTES
    for filename in files.names:
        url = hf_hub_url(files.repo, filename, revision=files.revision)
        try:
            get_hf_file_metadata(url, timeout=_PROBE_TIMEOUT_S)
        except EntryNotFoundError:
            continue
        return Path(hf_hub_download(files.repo, filename, revision=files.revision, tqdm_class=Bar))
    raise FileNotFoundError(f"{files.repo} holds none of {files.names}")


def _near(name: str, known: Sequence[str]) -> str:
    matches = difflib.get_close_matches(name, known, n=4, cutoff=0.3)
    return f"; near it: {', '.join(matches or known[:4])}"
