"""What Prometheus would be told of this process."""

from collections.abc import Callable

from prometheus_client import REGISTRY


def value(name: str, **labels: str) -> float:
    """Of a metric of this project; 0 where there is none."""
    return REGISTRY.get_sample_value(f"image_search_{name}", labels) or 0.0


def rise(name: str, **labels: str) -> Callable[[], float]:
    """How much it has risen since now."""
    before = value(name, **labels)
    return lambda: value(name, **labels) - before
