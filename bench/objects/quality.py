"""How much better are pictures of many things found by their objects than as a whole?

A real service with the demo models indexes mosaics of drawn scenes, 2 x 2 and 3 x 3, and is asked
by parts of mosaics that it has not seen, by texts, and by several texts. A picture is relevant if
it shows something of the same colour and shape; both baselines are asked in the same run. And is it
the right box that is told? Then pictures that make it hard: with small objects, hidden ones, more
than are indexed, of a class that the detector lacks. Other scenes than those of the last run,
unless a seed is given::

    uv run python -m bench objects --pictures 400
"""

import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from bench.objects.axes import ARROW, AXES, LACKING
from bench.objects.questions import Indexed
from bench.report import Limit, Report, ratio
from bench.service.models import PREFIX, service_settings
from bench.service.running import started
from demo.scenes.mosaics import Mosaic, mosaic
from demo.server import PictureServer
from image_search import Client

GRIDS = (2, 3)
_SEEDS = 50_000_000
_SCENES = 16
"""Of a picture, at most."""
_USUAL_MOST = 16
"""Objects of a picture that are indexed by default."""


class Seeds:
    """Scenes that no model was trained on, each once."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self._next = _SEEDS + int(self.rng.integers(10_000_000))

    def drawn(self, by: Callable[[int], Mosaic]) -> Mosaic:
        """The next picture, of some scenes."""
        self._next += _SCENES
        return by(self._next)


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--pictures", type=int, default=400, help="of each size")
    parser.add_argument("--hard", type=int, default=200, help="pictures of each hard kind, or 0")
    parser.add_argument("--objects-max", type=int, default=48)
    parser.add_argument("--seed", type=int, default=int(time.time()))


def run(given: Namespace, report: Report) -> list[Limit]:
    report.say(f"seed {given.seed}\n")
    seeds, limits = Seeds(given.seed), []
    for most, kinds, count in (
        (
            given.objects_max,
            {f"{n} x {n}": partial(mosaic, across=n) for n in GRIDS},
            given.pictures,
        ),
        (_USUAL_MOST, AXES, given.hard),
    ):
        if count:
            limits += _asked(kinds, count, most, seeds, report)
    return limits


def _asked(
    kinds: Mapping[str, Callable[[int], Mosaic]],
    count: int,
    most: int,
    seeds: Seeds,
    report: Report,
) -> list[Limit]:
    """Index so many pictures of each kind, with so many objects at most, and ask about them."""
    settings = {
        **service_settings("demo"),
        f"{PREFIX}OBJECTS": "on",
        f"{PREFIX}OBJECTS_MAX": str(most),
    }
    limits = []
    with (
        tempfile.TemporaryDirectory() as name,
        PictureServer() as server,
        started(settings, Path(name)) as process,
        Client(process.url) as client,
    ):
        for kind, by in kinds.items():
            of = Indexed(client, server, kind, partial(seeds.drawn, by), seeds.rng)
            of.fill(count)
            lacks = kind == LACKING
            of.ask_by_parts(ARROW if lacks else None)
            if not lacks:  # nor does the demo's embedder know its name
                of.ask_by_texts()
            limits += _told(of, kind, report, is_hard=kind in AXES)
    return limits


def _told(of: Indexed, name: str, report: Report, *, is_hard: bool) -> list[Limit]:
    rows = [
        (name, len(score.precisions), score.precision, score.average, score.right)
        for name, score in sorted(of.scores.items())
    ]
    title = f"{name}: {of.drawn_objects} objects drawn, {of.shown} found, {of.left_out} left out"
    report.table(["asked", "questions", "P@10", "mAP", "right box"], rows, title)
    scores = of.scores
    both = [
        Limit(
            f"{name} both less whole, by {by}",
            scores[f"{by} -> both"].precision - scores[f"{by} -> whole"].precision,
            least=-0.01,
        )
        for by in ("part", "text")
        if f"{by} -> both" in scores
    ]
    if is_hard:
        return both
    part, text = scores["part -> objects"], scores["text -> objects"]
    return [
        Limit(f"{name} part to objects, P@10", part.precision, least=0.97),
        Limit(f"{name} part to objects, mAP", part.average, least=0.95),
        Limit(
            f"{name} part to objects by whole to whole, P@10",
            ratio(part.precision, scores["whole -> whole"].precision),
            least=3,
        ),
        Limit(
            f"{name} part to objects by part to whole, P@10",
            ratio(part.precision, scores["part -> whole"].precision),
            least=2,
        ),
        Limit(f"{name} text to objects, P@10", text.precision, least=0.98),
        Limit(f"{name} right box", min(part.right, text.right), least=0.98),
        *(
            Limit(
                f"{name} {few} terms, P@10", scores[f"{few} terms -> objects"].precision, least=0.95
            )
            for few in ("two", "three")
            if f"{few} terms -> objects" in scores
        ),
        *both,
    ]
