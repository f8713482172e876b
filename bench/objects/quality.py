"""How much better are pictures of many things found by their objects than as a whole?

A real service with the demo models indexes mosaics of drawn scenes, 2 x 2 and 3 x 3, and is asked
by parts of mosaics that it has not seen, by texts, and by several texts. A picture is relevant if
it shows something of the same colour and shape; both baselines are asked in the same run. And is it
the right box that is told? Other scenes than those of the last run, unless a seed is given::

    uv run python -m bench objects --pictures 400
"""

import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from bench.report import Limit, Report, ratio
from bench.service.models import PREFIX, service_settings
from bench.service.running import started
from demo.scenes.mosaics import Mosaic, Shown, mosaic, overlap
from demo.server import PictureServer
from image_search import Client, Hit

GRIDS = (2, 3)
TOP = 10
_QUERIES = 24
"""Mosaics that parts are taken from."""
_MOST = 80
"""Questions of each kind."""
_SEEDS = 50_000_000
_ADDED_AT_ONCE = 16
Found = Sequence[Hit]


@dataclass
class Score:
    """P@10 and mean average precision of the questions of one kind, and the boxes of their hits."""

    precisions: list[float] = field(default_factory=list)
    averages: list[float] = field(default_factory=list)
    boxes: Counter[bool] = field(default_factory=Counter)

    def take(self, hits: Found, relevant: set[str]) -> None:
        """Count an answer, of which the whole ranking is there."""
        marks = np.array([hit.id in relevant for hit in hits])
        self.precisions.append(float(marks[:TOP].mean()))
        places = np.flatnonzero(marks)
        found = (np.arange(len(places)) + 1) / (places + 1)
        self.averages.append(float(found.sum()) / len(relevant))

    @property
    def precision(self) -> float:
        return float(np.mean(self.precisions)) if self.precisions else float("nan")

    @property
    def average(self) -> float:
        return float(np.mean(self.averages)) if self.averages else float("nan")


class Indexed:
    """The mosaics of one size in the index, and questions about them."""

    def __init__(self, client: Client, server: PictureServer, across: int, seeds: "Seeds") -> None:
        self._client, self._server, self._across = client, server, across
        self._seeds = seeds
        self._mosaics: dict[str, Mosaic] = {}
        self._having: defaultdict[str, set[str]] = defaultdict(set)
        self.scores: defaultdict[str, Score] = defaultdict(Score)
        self.left_out = self.shown = 0

    def fill(self, count: int) -> None:
        made = {f"grid{self._across}-{n}": self._seeds.mosaic(self._across) for n in range(count)}
        self._mosaics = made
        for own, each in made.items():
            for one in each.shown:
                self._having[one.words].add(own)
        images = [
            {"url": self._put_up(own, each), "id": own, "metadata": {"across": self._across}}
            for own, each in made.items()
        ]
        for at in range(0, count, _ADDED_AT_ONCE):
            for added in self._client.add_many(images[at : at + _ADDED_AT_ONCE]):
                self.left_out += getattr(added, "objects_left_out", 0)
                self.shown += getattr(added, "objects", 0) + getattr(added, "objects_left_out", 0)

    def ask_by_parts(self) -> None:
        """By objects of mosaics that are not in the index: their picture, and the part of it."""
        parts = []
        for n in range(_QUERIES):
            each = self._seeds.mosaic(self._across)
            url = self._put_up(f"query{self._across}-{n}", each)
            parts += [(url, one) for one in each.shown if len(self._having[one.words]) >= TOP]
        for url, one in parts[:: max(1, len(parts) // _MOST)]:
            relevant = self._having[one.words]
            part: dict[str, Any] = {"url": url, "region": one.xyxy}
            self._ask("whole -> whole", relevant, url=url)
            self._ask("part -> whole", relevant, **part)
            self._ask("part -> objects", relevant, one.words, search="objects", **part)
            self._ask("part -> both", relevant, search="both", **part)

    def ask_by_texts(self) -> None:
        """By one thing, and by two and three that a picture has each."""
        known = sorted(words for words, own in self._having.items() if len(own) >= TOP)
        for words in known[:_MOST]:
            relevant = self._having[words]
            self._ask("text -> whole", relevant, text=words)
            self._ask("text -> objects", relevant, words, search="objects", text=words)
            self._ask("text -> both", relevant, search="both", text=words)
        for count, name in ((2, "two"), (3, "three")):
            for several, relevant in self._together(known, count)[:_MOST]:
                self._ask(f"{name} in one text -> whole", relevant, text=" and ".join(several))
                terms = [{"text": words} for words in several]
                self._ask(f"{name} terms -> objects", relevant, search="objects", query=terms)

    def _together(self, known: Sequence[str], count: int) -> list[tuple[tuple[str, ...], set[str]]]:
        """Things that enough pictures show together, in the order of a shuffle."""
        found = []
        for several in combinations(known, count):
            having = set.intersection(*(self._having[words] for words in several))
            if len(having) >= TOP:
                found.append((several, having))
        return [found[n] for n in self._seeds.rng.permutation(len(found))]

    def _ask(self, name: str, relevant: set[str], words: str = "", **asked: Any) -> None:
        """Ask one question; of hits for some words, look whether the box is of that."""
        hits = self._client.search(limit=1000, filter={"across": self._across}, **asked)
        score = self.scores[name]
        score.take(hits, relevant)
        for hit in hits[:TOP] if words else ():
            if hit.id in relevant and hit.object is not None:
                score.boxes[self._is_right(self._mosaics[hit.id], words, hit.object.xyxy)] += 1

    @staticmethod
    def _is_right(of: Mosaic, words: str, box: tuple[float, float, float, float]) -> bool:
        right: list[Shown] = [one for one in of.shown if one.words == words]
        return any(overlap(one.xyxy, box) >= 0.5 for one in right)

    def _put_up(self, name: str, each: Mosaic) -> str:
        self._server.add_file(f"{name}.jpg", each.file)
        return f"{self._server.url}{name}.jpg"


class Seeds:
    """Scenes that no model was trained on, each once."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self._next = _SEEDS + int(self.rng.integers(10_000_000))

    def mosaic(self, across: int) -> Mosaic:
        """The next one."""
        self._next += across * across
        return mosaic(self._next, across)


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--pictures", type=int, default=400, help="of each size")
    parser.add_argument("--objects-max", type=int, default=48)
    parser.add_argument("--seed", type=int, default=int(time.time()))


def run(given: Namespace, report: Report) -> list[Limit]:
    report.say(f"seed {given.seed}\n")
    settings = {
        **service_settings("demo"),
        f"{PREFIX}OBJECTS": "on",
        f"{PREFIX}OBJECTS_MAX": str(given.objects_max),
    }
    seeds, limits = Seeds(given.seed), []
    with (
        tempfile.TemporaryDirectory() as name,
        PictureServer() as server,
        started(settings, Path(name)) as process,
        Client(process.url) as client,
        ThreadPoolExecutor(2) as threads,
    ):
        for across in GRIDS:
            of = Indexed(client, server, across, seeds)
            of.fill(given.pictures)
            asking: Sequence[Callable[[], None]] = (of.ask_by_parts, of.ask_by_texts)
            for done in [threads.submit(ask) for ask in asking]:
                done.result()
            limits += _told(of, across, report)
    return limits


def _told(of: Indexed, across: int, report: Report) -> list[Limit]:
    rows = [
        (name, len(score.precisions), score.precision, score.average, _right(score))
        for name, score in sorted(of.scores.items())
    ]
    title = f"{across} x {across}: {of.shown} objects, {of.left_out} left out"
    report.table(["asked", "questions", "P@10", "mAP", "right box"], rows, title)
    scores, name = of.scores, f"{across} x {across}"
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
        Limit(f"{name} right box", min(_right(part), _right(text)), least=0.98),
        *(
            Limit(
                f"{name} {few} terms, P@10", scores[f"{few} terms -> objects"].precision, least=0.95
            )
            for few in ("two", "three")
            if f"{few} terms -> objects" in scores
        ),
        Limit(
            f"{name} both less whole, by text",
            scores["text -> both"].precision - scores["text -> whole"].precision,
            least=-0.01,
        ),
    ]


def _right(score: Score) -> float:
    """The share of the relevant hits among the first ten that told the right box."""
    return ratio(score.boxes[True], score.boxes.total())
