"""How many batches a model's process computes at the same time, and how large they are.

On a CPU each core has a lane. Where one batch has all cores, every core that is done with its part
waits for the slowest one, then all of them for the next batch to arrive: of 32 requests in flight,
two cores stood idle for a seventh of the time. Lanes wait for nobody. A GPU has one: no other
number was measured there.
"""

from runners.device.gpus import visible_gpus
from runners.device.threads import available_cores
from runners.settings import ModelSettings

MOST_LANES = 8
"""Of more cores, each lane has several: so many requests at once that each fills a lane of its own
are rare."""

_ITEMS_ON_CPU = 8
_ITEMS_ON_GPU = 16


def lanes_of(settings: ModelSettings) -> int:
    """Batches that each process of a model is to compute at the same time."""
    return 1 if _has_gpu(settings) else min(settings.threads or available_cores(), MOST_LANES)


def items_of(settings: ModelSettings) -> int:
    """Items of a call at most.

    On a CPU larger batches are no faster, and all of a batch wait for its end. What would fill a
    lane twice is in two of them sooner.
    """
    return _ITEMS_ON_GPU if _has_gpu(settings) else _ITEMS_ON_CPU


def _has_gpu(settings: ModelSettings) -> bool:
    return settings.device.startswith("cuda") or (settings.device == "auto" and visible_gpus() > 0)
