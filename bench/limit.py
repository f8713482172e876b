"""The limit: what one process reaches with perfect batches and nothing else, and how.

Measured in a child process, so that nothing of it is left beside the service. The child first
looks for the fastest way to spread the work (`bench.pipeline`), then measures that way alone. The
libraries' own plain way in fp32 is told besides.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

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
        waits: how a torch thread waits for another, as `OMP_WAIT_POLICY`; empty for the default.
    """

    model: Model
    files: dict[str, list[str]]
    trial_s: float = 2.0
    seconds: float = 10.0
    way: dict[str, int] | None = None
    plain: bool = False
    waits: str = PASSIVE


@dataclass(frozen=True)
class Found:
    """The limit.

    Attributes:
        rate: pictures per second.
        way: how, as a `Way`'s fields.
        words: the same in words.
        waits: as the job had it.
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


def best_of(job: Job, settings: Mapping[str, str]) -> Found:
    """Look for the best way, and measure it with threads that wait in the default manner, too.

    Raises:
        subprocess.CalledProcessError: as `limit_of`.
    """
    passive = limit_of(job, settings)
    default = limit_of(replace(job, way=passive.way, plain=False, waits=""), settings)
    if default.rate > passive.rate:
        return replace(passive, rate=default.rate, words=default.words, waits="")
    return passive


def limit_of(job: Job, settings: Mapping[str, str]) -> Found:
    """Measure in a child process with these settings.

    Raises:
        subprocess.CalledProcessError: it failed; what it said is on standard error.
    """
    with tempfile.NamedTemporaryFile("r") as output:
        command = [sys.executable, "-m", "bench.limit", output.name, json.dumps(asdict(job))]
        environment = {**os.environ, **_ENVIRONMENT, **settings}
        if job.waits:
            environment["OMP_WAIT_POLICY"] = job.waits
        subprocess.run(command, env=environment, check=True)
        found = Found(**json.loads(output.read()))
    words = f"{found.words}, {job.waits.lower() or 'default'} waits"
    return replace(found, waits=job.waits, words=words)


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


def _measured(job: Job) -> Found:
    from bench.pipeline import ClipWork, Pipeline, Way, YoloWork, ways  # noqa: PLC0415 - torch

    def make(threads: int) -> "Work":
        clip = job.model == "clip"
        return ClipWork(threads) if clip else YoloWork(threads, draws=job.model == DRAWN)

    groups = [[Path(path).read_bytes() for path in group] for group in job.files.values()]
    pipeline = Pipeline(make, groups)
    if job.way is not None:
        way = Way(**job.way)  # type: ignore[arg-type] # JSON has kept the types
        return Found(pipeline.rate(way, job.seconds), job.way, str(way))
    return find(pipeline, lambda batch: ways(cores(), batch), job)


def main() -> None:
    """Measure a job, and write what was found."""
    parser = argparse.ArgumentParser(description="A child of other benchmarks.")
    parser.add_argument("output", type=Path)
    parser.add_argument("job", type=lambda text: Job(**json.loads(text)))
    given = parser.parse_args()
    found = _measured(given.job)
    if given.job.plain:
        from bench.plain import plain_rate  # noqa: PLC0415 - torch

        rate = plain_rate(given.job.model, [p for g in given.job.files.values() for p in g])
        found = Found(**{**asdict(found), "plain_rate": rate})
    given.output.write_text(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
