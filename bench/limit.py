"""The limit: what one process reaches with perfect batches and nothing else, and how.

Measured in a child process. It first looks for the fastest way to spread the work
(`bench.pipeline`), then measures that way alone, as often as it is asked to; in between it keeps
its models and does nothing. The libraries' own plain way in fp32 is told besides.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from bench.photos import NAMES
from bench.report import cores

if TYPE_CHECKING:
    from bench.pipeline import Pipeline, Way, Work

Model = Literal["clip", "yolo", "yolo, drawn"]
PASSIVE = "PASSIVE"
"""Threads that wait do not keep a core from those that decode: without it two torch threads beside
two that decode take up to ten times as long."""
BATCHES = ((16, 32), (4, 1))
"""Ever larger ones, and ever smaller ones, than the first."""
DRAWN: Model = "yolo, drawn"
_MOST_DRAWN = 8
"""Whole pictures are kept until they are drawn into: large batches take gigabytes."""
_FIRST_BATCH = 8
_FINALISTS = 2
_ENVIRONMENT = {
    # As the service's own decoders have it: fresh pages for every picture cost more than decoding.
    "PILLOW_BLOCKS_MAX": "16",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
}


@dataclass(frozen=True)
class Job:
    """What a child measures.

    Attributes:
        model: with what comes before it, and after it.
        files: JPEG files by the name of the photograph; see `bench.photos`.
        trial_s: for each way that is tried.
        seconds: for the best one.
        way: measure this one alone, as `Found.way` has it.
        plain: whether to measure the libraries' own way too.
    """

    model: Model
    files: dict[str, list[str]]
    trial_s: float = 2.0
    seconds: float = 10.0
    way: dict[str, int] | None = None
    plain: bool = False


@dataclass(frozen=True)
class Found:
    """The limit.

    Attributes:
        rate: pictures per second.
        way: how, as a `Way`'s fields.
        words: the same in words.
        waits: as the `Meter` had it.
        tried: pictures per second of every way that was tried, by its words.
        plain_rate: of the libraries' own fp32 way.
    """

    rate: float
    way: dict[str, int]
    words: str
    waits: str = PASSIVE
    tried: dict[str, float] = field(default_factory=dict)
    plain_rate: float | None = None


def grouped(files: Mapping[str, Path]) -> dict[str, list[str]]:
    """The files of `bench.photos` by their photograph, as a job takes them."""
    return {
        name: [str(path) for file, path in files.items() if file.startswith(f"{name}-")]
        for name in NAMES
    }


class Meter:
    """A child process that measures one job after the other, and keeps the models that it loaded.

    Args:
        settings: of the models.
        waits: how a torch thread waits for another, as `OMP_WAIT_POLICY`, which is read once, when
            torch is loaded; empty for the default.
    """

    def __init__(self, settings: Mapping[str, str], waits: str) -> None:
        environment = {**os.environ, **_ENVIRONMENT, **settings}
        if waits:
            environment["OMP_WAIT_POLICY"] = waits
        self._waits = waits
        self._child = subprocess.Popen(
            [sys.executable, "-m", "bench.limit"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child."""
        self._child.kill()
        self._child.communicate()

    def measure(self, job: Job) -> Found:
        """What a job comes to.

        Raises:
            RuntimeError: the child failed; what it said is on standard error.
        """
        assert self._child.stdin is not None  # noqa: S101 - for mypy; both are pipes
        assert self._child.stdout is not None  # noqa: S101
        with suppress(BrokenPipeError):  # it has ended, and there is no line to read
            self._child.stdin.write(json.dumps(asdict(job)) + "\n")
            self._child.stdin.flush()
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError(f"the limit of {job.model} could not be measured")
        found = Found(**json.loads(line))
        words = f"{found.words}, {self._waits.lower() or 'default'} waits"
        return replace(found, waits=self._waits, words=words)


def best_of(job: Job, settings: Mapping[str, str]) -> Found:
    """Look for the best way, and measure it with threads that wait in the default manner, too.

    In children of their own: they hold a model for each way that was tried.

    Raises:
        RuntimeError: as `Meter.measure`.
    """
    with Meter(settings, PASSIVE) as passive:
        best = passive.measure(job)
    with Meter(settings, "") as default:
        other = default.measure(replace(job, way=best.way, plain=False))
    if other.rate <= best.rate:
        return best
    return replace(best, rate=other.rate, words=other.words, waits="")


def few_whole(way: Mapping[str, int]) -> dict[str, int]:
    """The same way with batches of which the whole pictures can be kept until they are drawn."""
    return {**way, "batch": min(way["batch"], _MOST_DRAWN)}


def find(pipeline: "Pipeline", ways: Callable[[int], Sequence["Way"]], job: Job) -> Found:
    """Try all ways with one size of batch, the best with the others, the very best for longer.

    Larger batches are tried for as long as they are faster, and so are smaller ones.
    """
    tried = {way: pipeline.rate(way, job.trial_s) for way in ways(_FIRST_BATCH)}
    places = sorted(range(len(tried)), key=list(tried.values()).__getitem__)[-_FINALISTS:]
    for sizes in BATCHES:
        for batch in sizes:
            fastest = max(tried.values())
            finalists = [ways(batch)[place] for place in places]
            tried |= {way: pipeline.rate(way, job.trial_s) for way in finalists}
            if max(tried.values()) == fastest:
                break
    best = sorted(tried, key=tried.__getitem__)[-_FINALISTS:]
    rates = {way: pipeline.rate(way, job.seconds / _FINALISTS) for way in best}
    way = max(rates, key=rates.__getitem__)
    words = {str(each): found for each, found in tried.items()}
    return Found(rates[way], asdict(way), str(way), tried=words)


def _measured(job: Job, pipelines: dict[Model, "Pipeline"]) -> Found:
    from bench.pipeline import Way, ways  # noqa: PLC0415 - torch

    if job.model not in pipelines:
        pipelines[job.model] = _pipeline(job)
    pipeline = pipelines[job.model]
    if job.way is not None:
        way = Way(**job.way)  # type: ignore[arg-type] # JSON has kept the types
        return Found(pipeline.rate(way, job.seconds), job.way, str(way))
    return find(pipeline, lambda batch: ways(cores(), batch), job)


def _pipeline(job: Job) -> "Pipeline":
    from bench.pipeline import ClipWork, Pipeline, YoloWork  # noqa: PLC0415 - torch

    def make(threads: int) -> "Work":
        clip = job.model == "clip"
        return ClipWork(threads) if clip else YoloWork(threads, draws=job.model == DRAWN)

    return Pipeline(
        make, [[Path(path).read_bytes() for path in group] for group in job.files.values()]
    )


def _answers(job: Job, pipelines: dict[Model, "Pipeline"]) -> Found:
    found = _measured(job, pipelines)
    if not job.plain:
        return found
    from bench.plain import plain_rate  # noqa: PLC0415 - torch

    return replace(
        found, plain_rate=plain_rate(job.model, [p for g in job.files.values() for p in g])
    )


def main() -> None:
    """Measure the jobs of standard input, a line each, and write a line for each."""
    # What libraries print is not to come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    pipelines: dict[Model, Pipeline] = {}
    for line in sys.stdin:
        found = _answers(Job(**json.loads(line)), pipelines)
        print(json.dumps(asdict(found)), file=answers, flush=True)


if __name__ == "__main__":
    main()
