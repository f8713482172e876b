"""Check before any worker starts that the models' weights are on this machine.

This belongs in a child process: published weights need open_clip's and ultralytics' lists of what
is published, which bring torch. Files, and the demo models, are only looked at.
"""

import os
from collections.abc import Collection

from runners.clip.recipe import ClipRecipe
from runners.runtime.choice import check_loads, outlook
from runners.runtime.recipe import Request
from runners.settings import ModelSettings
from runners.weights.source import check_sha256
from runners.yolo.recipe import YoloRecipe

MODELS = frozenset({"clip", "yolo"})


def ensure_weights(settings: ModelSettings, models: Collection[str] = MODELS) -> None:
    """Check the models' weights, and download what is published and missing.

    What is converted already needs no weights.

    Args:
        settings: of the models.
        models: those that are computed on this machine.

    Raises:
        RunnerError: If one of them takes packages that are not installed; or is missing and cannot
            be downloaded, within a minute of the last byte received.
    """
    # The Hub's warnings of each retry would bury the one line that counts.
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    if not models:
        return
    request = Request.of(settings)
    # Both recipes first: what can be seen to be wrong is told before anything is downloaded.
    clip = ClipRecipe.of(settings, request) if "clip" in models else None
    yolo = YoloRecipe.of(settings, request) if "yolo" in models else None
    if clip:
        check_loads(clip, request)
    if yolo:
        check_loads(yolo, request)
    if clip and clip.source.path is None and outlook(clip, request).way != "open":
        from runners.clip import weights as clip_weights  # noqa: PLC0415 - brings torch

        check_sha256(clip_weights.fetch(clip.source), clip.source)
    if yolo and yolo.source.path is None and outlook(yolo, request).way != "open":
        from runners.yolo import weights as yolo_weights  # noqa: PLC0415 - may bring torch

        check_sha256(yolo_weights.fetch(yolo.source, settings.cache_dir), yolo.source)
