"""ultralytics' published weights and their download; the environment to import ultralytics in."""

import difflib
import logging
import os
from pathlib import Path

from runners.errors import UnknownModelError
from runners.settings import ENV_PREFIX
from runners.weights.download import PATIENCE_S, Download, watched
from runners.weights.source import WeightsSource

_HOST = "github.com"
_log = logging.getLogger(__name__)


def tame_ultralytics(cache_dir: Path) -> None:
    """Set the environment that ultralytics reads at its import; call this before importing it.

    `ULTRALYTICS_SAFE_LOAD` loads checkpoints with torch's restricted unpickler.
    `YOLO_AUTOINSTALL` off keeps it from running pip for modules that a checkpoint names.
    `YOLO_OFFLINE` skips two DNS look-ups at import and all telemetry, and makes a failed download
    fail at once rather than after three retries; it does not forbid downloads (8.4
    `utils.downloads.safe_download`). `YOLO_CONFIG_DIR` is where it writes its settings file:
    beside the weights, as a service's home may be read-only.
    """
    os.environ["ULTRALYTICS_SAFE_LOAD"] = "1"
    os.environ["YOLO_AUTOINSTALL"] = "False"
    os.environ["YOLO_OFFLINE"] = "True"
    os.environ.setdefault("YOLO_VERBOSE", "False")
    os.environ.setdefault("YOLO_CONFIG_DIR", str(cache_dir))


def join_log() -> None:
    """Let ultralytics log as the service does; call this after importing it.

    It has a handler of its own, which writes plain text (8.4 `utils.set_logging`).
    """
    logger = logging.getLogger("ultralytics")
    logger.handlers.clear()
    logger.propagate = True


def fetch(source: WeightsSource, cache_dir: Path, patience_s: float = PATIENCE_S) -> Path:
    """Path of a published checkpoint, downloaded into `cache_dir` if need be.

    Raises:
        UnknownModelError: If ultralytics publishes no such model.
        WeightsDownloadError: If the weights are not in the cache and cannot be downloaded.
    """
    target = cache_dir / str(source.name)
    if target.is_file():
        return target
    tame_ultralytics(cache_dir)
    from ultralytics.utils.downloads import (  # noqa: PLC0415 - brings torch, needs the line above
        GITHUB_ASSETS_NAMES,
        attempt_download_asset,
    )

    _check_published(source, sorted(GITHUB_ASSETS_NAMES))

    def run() -> Path:
        attempt_download_asset(str(target), retry=0, progress=False)
        if not target.is_file():
            raise FileNotFoundError(target)
        return target

    _log.info("%s: downloading the weights from %s", source.label, _HOST)
    download = Download(
        run=run,
        received=lambda: _folder_bytes(cache_dir),
        failure=f"{source.label}: the weights could not be downloaded from {_HOST}",
        way_out=f"set {ENV_PREFIX}YOLO_WEIGHTS to the path of a checkpoint",
    )
    return watched(download, patience_s)


def _check_published(source: WeightsSource, assets: list[str]) -> None:
    known = [name for name in assets if name.endswith(".pt")]
    name = str(source.name)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=4, cutoff=0.3)
        raise UnknownModelError(
            f"{source.label}: neither a file here nor a model that ultralytics publishes"
            f"; near it: {', '.join(near or ['yolo11n.pt', 'yolo26n.pt'])}"
        )


def _folder_bytes(folder: Path) -> int:
    """Size of the files in a folder, half-written ones included."""
    total = 0
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # renamed or removed by the download meanwhile
            continue
    return total
