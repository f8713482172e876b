"""The metrics of a running service, and waiting until they say something."""

import time
from collections.abc import Callable, Mapping

import requests

from demo.process import ServiceProcess

REFRESH_S = 90  # what is looked at every 15 s must have been looked at by then, on busy cores too


class Metrics:
    """The values of `/metrics` now."""

    def __init__(self, service: ServiceProcess, headers: Mapping[str, str] | None = None) -> None:
        answer = requests.get(f"{service.url}/metrics", headers=headers, timeout=60)
        lines = (line.rpartition(" ") for line in answer.text.splitlines() if line[:1] != "#")
        self._values = {name: float(value) for name, _, value in lines}
        self.names = {name.partition("{")[0] for name in self._values}

    def __getitem__(self, name: str) -> float:
        """The sum over all that begin so; a label may be the last thing given."""
        return sum(value for known, value in self._values.items() if known.startswith(name))


def until(check: Callable[[], bool], seconds: float = REFRESH_S) -> bool:
    deadline = time.monotonic() + seconds
    while not (held := check()) and time.monotonic() < deadline:
        time.sleep(0.3)
    return held
