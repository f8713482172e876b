"""What a corpus must leave as it was: the service's processes, and their memory."""

import threading
from typing import Self

import psutil

SERVICES = ("ImageSearch", "ClipEmbedder", "YoloDetector")
_EVERY_S = 0.5


def workers(supervisor: int) -> dict[str, list[int]]:
    """The processes of each service, by the name in their command line."""
    found: dict[str, list[int]] = {name: [] for name in SERVICES}
    for child in psutil.Process(supervisor).children():
        words = " ".join(child.cmdline())
        for name in SERVICES:
            if name in words:
                found[name].append(child.pid)
    return found


def memory_bytes(supervisor: int) -> int:
    """Memory of all processes of a service, what they share counted once (PSS)."""
    parent = psutil.Process(supervisor)
    total = 0
    for process in (parent, *parent.children(recursive=True)):
        try:
            total += process.memory_full_info().pss
        except psutil.AccessDenied:  # shown to root only
            total += process.memory_info().rss
        except psutil.Error:  # it has ended
            continue
    return total


class Watch:
    """Takes the memory of a service now and again, until the `with` block ends."""

    def __init__(self, supervisor: int) -> None:
        self._supervisor = supervisor
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.before = memory_bytes(supervisor)
        self.highest = self.before
        self.after = self.before

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.after = memory_bytes(self._supervisor)

    @property
    def megabytes(self) -> tuple[int, int, int]:
        """Before, at its highest, and after."""
        return self.before >> 20, self.highest >> 20, self.after >> 20

    def _look(self) -> None:
        while not self._ended.wait(_EVERY_S):
            self.highest = max(self.highest, memory_bytes(self._supervisor))
