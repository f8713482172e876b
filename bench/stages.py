"""Where the time of a request goes, read from the service's own metrics before and after it.

One request at a time, so that the difference of each histogram's sum is that request's own. What
the service does not time itself is the rest.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from bench.lone import Lone
from bench.timing import each_now

_SETTLES_S = 0.005
"""After the answer, the last of its timers stop."""
Sums = Mapping[str, float]
"""Seconds that each histogram has added up, all its labels together."""

FETCH, FORWARD = "fetch", "forward"
DOWNLOAD, DECODE, CALL, BATCH, SEARCH, DRAW = (
    f"image_search_{name}_seconds"
    for name in ("download", "decode", "model_call", "model_batch", "index_search", "draw")
)
WAIT = "image_search_wait_seconds"
WITHIN = "bentoml_service_request_duration_seconds"
ENTRY = "ImageSearch"
HANDLED = "request, inside BentoML"


@dataclass(frozen=True)
class Stages:
    """One request: how long it took for its client, and in what parts, in milliseconds.

    Attributes:
        total: from sending to the last byte of the answer.
        parts: by name; they add up to the total.
        histograms: what each of the service's own histograms added, parts of others included.
    """

    total: float
    parts: dict[str, float]
    histograms: dict[str, float]

    @property
    def over(self) -> float:
        """What the service adds to the fetch and the forward pass of this very request."""
        return self.total - self.parts[FETCH] - self.parts[FORWARD]


def sums(text: str) -> dict[str, float]:
    """The sums of all histograms in seconds, from the text of `/metrics`.

    Of BentoML's own timer of requests it is the API's alone: the calls to the models are requests
    to it as well.
    """
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name.removesuffix("_sum")
            if name == sample.name or not name.endswith("_seconds"):
                continue
            if name != WITHIN or ENTRY in sample.labels.values():
                found[name] = found.get(name, 0.0) + sample.value
    return found


def between(before: Sums, after: Sums) -> dict[str, float]:
    """Milliseconds that each histogram has grown."""
    grown = {name: (value - before.get(name, 0.0)) * 1e3 for name, value in after.items()}
    return {name: ms for name, ms in grown.items() if ms > 0}


def stages(total: float, grown: Mapping[str, float]) -> Stages:
    """The parts of one request; `grown` as `between` has it, `total` in milliseconds."""
    ms = {name: grown.get(name, 0.0) for name in _PLACED}
    parts = {
        "HTTP and the guard in front": total - ms[WITHIN],
        "waits for a place": ms[WAIT],
        FETCH: ms[DOWNLOAD],
        "decode, prepare": ms[DECODE],
        "way to the model, its queue": ms[CALL] - ms[BATCH],
        FORWARD: ms[BATCH],
        "store": ms[SEARCH],
        "draw, encode": ms[DRAW],
    }
    parts |= {_words(name): value for name, value in grown.items() if _is_new(name)}
    return Stages(total, {**parts, "rest": total - sum(parts.values())}, dict(grown))


def watched(client: Lone, requests: Sequence[bytes]) -> list[Stages]:
    """Ask one thing after another, and look at the metrics between.

    Raises:
        RuntimeError: an answer was not 200.
    """
    found = []
    before = sums(client.read("/metrics"))
    for request in requests:
        asked = each_now(client.ask, [request])
        if asked.answers != [200]:
            raise RuntimeError(f"answered {asked.answers[0]}")
        time.sleep(_SETTLES_S)
        after = sums(client.read("/metrics"))
        found.append(stages(asked.ms(50), between(before, after)))
        before = after
    return found


_PLACED = frozenset({DOWNLOAD, DECODE, CALL, BATCH, SEARCH, DRAW, WAIT, WITHIN})
_PARTS_OF_OTHERS = ("image_search_index_", "image_search_model_")


def _is_new(name: str) -> bool:
    """Whether a histogram times a stage of its own that has no name here yet."""
    ours = name.startswith("image_search_") and not name.startswith(_PARTS_OF_OTHERS)
    return ours and name not in _PLACED


def _words(name: str) -> str:
    return name.removeprefix("image_search_").removesuffix("_seconds").replace("_", " ")
