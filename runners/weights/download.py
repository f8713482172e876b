"""Downloads of weights that are given up when nothing comes in any more.

huggingface_hub retries an unreachable server for minutes and ultralytics waits 300 s for a
silent one (huggingface_hub 2.4 `file_download._ETAG_RETRY_TIMEOUT`, ultralytics 8.4
`safe_download`). Here a download may take as long as it likes while bytes come in, and is given
up once none has come for `PATIENCE_S`.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runners.errors import WeightsDownloadError
from runners.settings import ENV_PREFIX

PATIENCE_S = 25.0
_POLL_S = 0.2


@dataclass(frozen=True)
class Download:
    """A download and the message if it fails.

    Attributes:
        run: Does it, returning the local file.
        received: Grows while bytes come in.
        failure: What could not be downloaded, from where.
        way_out: Which setting avoids the download.
    """

    run: Callable[[], Path]
    received: Callable[[], int]
    failure: str
    way_out: str


def watched(download: Download, patience_s: float = PATIENCE_S) -> Path:
    """Run a download in a thread that is left behind when nothing comes any more.

    Raises:
        WeightsDownloadError: If it fails or stalls.
    """
    done: list[Path] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            done.append(download.run())
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="weights-download", daemon=True)
    thread.start()
    _wait(thread, download.received, patience_s)
    if done:
        return done[0]
    reason = _reason(failed[0]) if failed else f"nothing came for {patience_s:g} s"
    raise WeightsDownloadError(
        f"{download.failure} ({reason}); {download.way_out}, or {ENV_PREFIX}MODELS=demo for the "
        "small models that ship with the project",
        detail=repr(failed[0]) if failed else "",
    )


def _wait(thread: threading.Thread, received: Callable[[], int], patience_s: float) -> None:
    """Return when the thread has ended, or nothing has come in for too long."""
    seen, moved_at = received(), time.monotonic()
    while thread.is_alive():
        thread.join(_POLL_S)
        if (now_seen := received()) != seen:
            seen, moved_at = now_seen, time.monotonic()
        elif time.monotonic() - moved_at > patience_s:
            return


def _reason(error: Exception) -> str:
    """Why a download failed, in a few words and without addresses or paths."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"the server answered {status}"
    if isinstance(error, FileNotFoundError):
        return "it is not there"
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"its cache folder: {error.strerror}"
    return "no answer" if "Timeout" in type(error).__name__ else "no connection"
