"""Parts of a request's time, read from the service's own metrics before and after it.

One request at a time, so that the difference of each histogram's sum is that request's own. What
the service does not time itself is the rest.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from bench.load.generator import OK
from bench.load.http import Client, request_bytes

_SETTLES_S = 0.005
"""After the answer, the last of its timers stop."""
FETCH, FORWARD = "fetch", "forward"
DOWNLOAD, DECODE, CALL, BATCH, SEARCH, DRAW, WAIT = (
    f"image_search_{name}_seconds"
    for name in ("download", "decode", "model_call", "model_batch", "index_search", "draw", "wait")
)
WITHIN = "bentoml_service_request_duration_seconds"
_ENTRY = "ImageSearch"
_NAMED = frozenset({DOWNLOAD, DECODE, CALL, BATCH, SEARCH, DRAW, WAIT, WITHIN})
_PARTS_OF_OTHERS = ("image_search_index_", "image_search_model_")


@dataclass(frozen=True)
class Stages:
    """One request: its time for the client, and its parts, in milliseconds, which add up to it."""

    total: float
    parts: dict[str, float]

    @property
    def over(self) -> float:
        """What the service adds to the fetch and the forward pass of this very request."""
        return self.total - self.parts[FETCH] - self.parts[FORWARD]


def sums(text: str) -> dict[str, float]:
    """Sums of all histograms in seconds, from the text of `/metrics`, labels together; of
    BentoML's own timer the API's alone, as calls to the models are requests to it as well.
    """
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name.removesuffix("_sum")
            if name == sample.name or not name.endswith("_seconds"):
                continue
            if name != WITHIN or _ENTRY in sample.labels.values():
                found[name] = found.get(name, 0.0) + sample.value
    return found


def between(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Milliseconds that each histogram has grown."""
    grown = {name: (value - before.get(name, 0.0)) * 1e3 for name, value in after.items()}
    return {name: ms for name, ms in grown.items() if ms > 0}


def stages(total: float, grown: Mapping[str, float]) -> Stages:
    """Parts of one request; `grown` as `between` has it, `total` in milliseconds."""
    ms = {name: grown.get(name, 0.0) for name in _NAMED}
    parts = {
        "HTTP, middleware": total - ms[WITHIN],
        "waits to be let in": ms[WAIT],
        FETCH: ms[DOWNLOAD],
        "decode, prepare": ms[DECODE],
        "way to the model, its queue": ms[CALL] - ms[BATCH],
        FORWARD: ms[BATCH],
        "store": ms[SEARCH],
        "draw, encode": ms[DRAW],
    }
    for name in grown.keys() - _NAMED:  # a stage of its own that has no name here yet
        if name.startswith("image_search_") and not name.startswith(_PARTS_OF_OTHERS):
            parts[name.removeprefix("image_search_").removesuffix("_seconds")] = grown[name]
    return Stages(total, {**parts, "rest": total - sum(parts.values())})


def watched(port: int, requests: Iterable[bytes]) -> list[Stages]:
    """Send one request after the other, and read the metrics between them."""
    return asyncio.run(_watched(port, requests))


async def _watched(port: int, requests: Iterable[bytes]) -> list[Stages]:
    loop, client = asyncio.get_running_loop(), Client(port)
    metrics, found = request_bytes("GET", "metrics"), []
    before = sums((await client.ask(metrics)).body.decode())
    for request in requests:
        reply = await client.ask(request)
        took = loop.time() - reply.sent
        if reply.status != OK:
            raise RuntimeError(f"answered {reply.status} {reply.body[:200]!r}")
        await asyncio.sleep(_SETTLES_S)
        after = sums((await client.ask(metrics)).body.decode())
        found.append(stages(took * 1e3, between(before, after)))
        before = after
    client.close()
    return found
