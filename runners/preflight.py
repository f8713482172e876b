"""Check before any worker starts that the models' weights are on this machine.

This belongs in a child process: published weights need open_clip's and ultralytics' lists of what
is published, which bring torch. Files, and the demo models, are only looked at.
"""

import os

from runners.settings import ModelSettings
from runners.weights.source import check_sha256, clip_source, yolo_source


def ensure_weights(settings: ModelSettings) -> None:
    """Check both models' weights, and download what is published and missing.

    Raises:
        RunnerError: If one of them is missing and cannot be downloaded; within a minute of the last
            byte received.
    """
    # The Hub's warnings of each retry would bury the one line that counts.
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    clip, yolo = clip_source(settings), yolo_source(settings)
    clip_path, yolo_path = clip.path, yolo.path
    if clip_path is None:
        from runners.clip import weights as clip_weights  # noqa: PLC0415 - brings torch

        clip_path = clip_weights.fetch(clip)
    if yolo_path is None:
        from runners.yolo import weights as yolo_weights  # noqa: PLC0415 - may bring torch

        yolo_path = yolo_weights.fetch(yolo, settings.cache_dir)
    check_sha256(clip_path, clip)
    check_sha256(yolo_path, yolo)
