"""Make sure that the models' weights are on this machine, before any worker starts.

`python -m runners.preflight` ends with 0, or with 1 and one line on stderr. It belongs in a child
process: published weights need open_clip's and ultralytics' lists of what is published, which
bring torch. Files, and the demo models, are only looked at.
"""

import os
import sys

from runners.errors import RunnerError
from runners.settings import ModelSettings
from runners.weights import check_sha256, clip_source, yolo_source


def ensure_weights(settings: ModelSettings) -> None:
    """Look for both models' weights, and download what is published and not yet here.

    Raises:
        RunnerError: If one of them cannot be had, within a minute of the last byte received.
    """
    clip, yolo = clip_source(settings), yolo_source(settings)
    clip_path, yolo_path = clip.path, yolo.path
    if clip_path is None:
        from runners import clip_weights  # noqa: PLC0415 - brings torch

        clip_path = clip_weights.fetch(clip)
    if yolo_path is None:
        from runners import yolo_weights  # noqa: PLC0415 - may bring torch

        yolo_path = yolo_weights.fetch(yolo, settings.cache_dir)
    check_sha256(clip_path, clip)
    check_sha256(yolo_path, yolo)


def main() -> int:
    """Run the check on the environment's settings; the exit status."""
    # Its warnings of each retry would bury the one line that counts.
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    try:
        ensure_weights(ModelSettings.from_environment())
    except RunnerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
