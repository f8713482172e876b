"""A fuzzer for the decoder in its process: `python -m tests.images.fuzz --minutes 10`.

Files of every kind are damaged and decoded, their EXIF is read, and they are prepared and drawn as
the service does it. What must
hold for each: a picture of the promised size and type, or an error of this room; in time; from a
process that lives on and stays small. Execution number n of a seed is always the same file.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
import psutil

from images.errors import BrokenImageError, ImageError, ImageLimitError, NotAnImageError
from images.schemas import (
    ClipTask,
    DecodeLimits,
    ExifData,
    LabelledBox,
    LetterboxTask,
    SharedPicture,
)
from images.workers.decoders import Decoders
from tests.images.exif import FORMATS, camera_exif, with_exif
from tests.images.mutations import mutated
from tests.images.samples import all_files
from tests.images.workers.decoder_processes import pids

LIMITS = DecodeLimits(1_000_000, 50, 1000)
EXPECTED = (BrokenImageError, ImageLimitError, NotAnImageError)
TIMEOUT_S, SLOW_S = 10.0, 2.0
MEMORY_BYTES = MAX_PROCESS_BYTES = 256 << 20
SIDE, BOXED_SIDE, STRIDE = 32, 64, 32
CLIP = ClipTask(SIDE, "bicubic", "shortest", 0, digest=True, thumbnail_side=SIDE, exif=True)
LETTERBOX = LetterboxTask(BOXED_SIDE, STRIDE)
BOXES = [LabelledBox((2, 2, 20, 15), 0.5, 1, "thing")]


@dataclass
class Outcome:
    """What a run found.

    Attributes:
        executions: files that were decoded.
        answers: how many of them were a picture, or which error.
        findings: what must not be, by kind; with the number of the execution.
    """

    executions: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[str, int]] = field(default_factory=list)


def damaged(seeds: Sequence[bytes], seed: int, number: int) -> bytes:
    """The file of one execution."""
    random = Random(f"{seed}:{number}")
    return mutated(random.choice(seeds), random, seeds)


async def fuzz(seconds: float, seed: int, folder: Path | None = None) -> Outcome:
    """Decode damaged files for some time.

    Args:
        seconds: how long.
        seed: another one makes other files.
        folder: gets the files of the findings.
    """
    seeds, outcome = [*all_files(), *(with_exif(one, camera_exif()) for one in FORMATS)], Outcome()
    decoders = Decoders(LIMITS, processes=1, timeout_s=TIMEOUT_S)
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            data = damaged(seeds, seed, outcome.executions)
            finding = await _executed(decoders, data, outcome)
            if finding is not None:
                outcome.findings.append((finding, outcome.executions))
                _save(folder, finding, outcome.executions, data)
            outcome.executions += 1
    finally:
        decoders.close()
    return outcome


async def _executed(decoders: Decoders, data: bytes, outcome: Outcome) -> str | None:
    """Decode one file; the kind of finding it is, if it is one."""
    started_s, restarts = _processor_s(decoders), decoders.restarts.copy()
    try:
        answer = await (_clip if outcome.executions % 2 else _drawn)(decoders, data)
    except EXPECTED as error:
        answer = type(error).__name__
    except ImageError as error:
        return f"{type(error).__name__}: {error.detail}"[:60]
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:60]
    outcome.answers[answer] += 1
    if gone := decoders.restarts - restarts:
        outcome.answers["the limit of memory reached"] += gone["memory"]
        return None if gone == Counter(memory=1) else "restart"
    if _processor_s(decoders) - started_s > SLOW_S:
        return "slow"
    if outcome.executions % 100 == 0 and _resident_bytes(decoders) > MAX_PROCESS_BYTES:
        return "large"
    return None


async def _clip(decoders: Decoders, data: bytes) -> str:
    picture = await decoders.clip(data, CLIP, MEMORY_BYTES)
    assert picture.pixels.shape == (SIDE, SIDE, 3)
    assert picture.pixels.dtype == np.uint8
    assert picture.digest is not None
    assert len(picture.digest) == 64
    assert picture.thumbnail is not None
    assert picture.exif is not None
    return "picture" if picture.exif == ExifData() else "picture with EXIF"


async def _drawn(decoders: Decoders, data: bytes) -> str:
    with SharedPicture() as held:
        boxed, _ = await decoders.letterbox(data, LETTERBOX, MEMORY_BYTES, held)
        height, width, channels = boxed.pixels.shape
        assert (height % STRIDE, width % STRIDE, channels) == (0, 0, 3)
        assert held.size[0] * held.size[1] <= LIMITS.max_image_pixels
        jpeg = await decoders.draw(held, BOXES, 90)
        assert jpeg.startswith(b"\xff\xd8")
    return "picture"


def _processor_s(decoders: Decoders) -> float:
    """Seconds of processor that the decoder has used: other work does not make a file slow."""
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids(decoders))


def _resident_bytes(decoders: Decoders) -> int:
    return max(psutil.Process(pid).memory_info().rss for pid in pids(decoders))


def _save(folder: Path | None, finding: str, number: int, data: bytes) -> None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        name = "".join(letter if letter.isalnum() else "-" for letter in finding)
        (folder / f"{number}-{name}").write_bytes(data)


def main(arguments: Sequence[str]) -> int:
    """Fuzz and report; the exit status is 1 when there are findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    given = parser.parse_args(arguments)
    outcome = asyncio.run(fuzz(60 * given.minutes, given.seed, given.findings))
    rate = outcome.executions / (60 * given.minutes)
    print(f"{outcome.executions:,} executions, {rate:.0f} per second, seed {given.seed}")
    for answer, count in outcome.answers.most_common():
        print(f"  {count:9,}  {answer}")
    kinds = Counter(finding for finding, _ in outcome.findings)
    print(f"{len(outcome.findings)} findings" + (f", saved in {given.findings}" if kinds else ""))
    for finding, count in kinds.most_common():
        print(f"  {count:9,}  {finding}")
    return 1 if kinds else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
