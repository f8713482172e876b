"""Questions about pictures of one kind in a running service, and how well they are answered."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from bench.report import ratio
from demo.scenes.mosaics import Mosaic, Shown, overlap
from demo.server import PictureServer
from image_search import Client, Hit

TOP = 10
_QUERIES = 24
"""Pictures that parts are taken from."""
_MOST = 80
"""Questions of each kind."""
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

    @property
    def right(self) -> float:
        """The share of the relevant hits among the first ten that told the right box."""
        return ratio(self.boxes[True], self.boxes.total())


class Indexed:
    """The pictures of one kind in the index, and questions about them.

    Args:
        client: of the service.
        server: of the pictures.
        kind: as a hit's metadata have it.
        drawn: draws the next picture that nobody has seen.
        rng: shuffles what is asked.
    """

    def __init__(
        self,
        client: Client,
        server: PictureServer,
        kind: str,
        drawn: Callable[[], Mosaic],
        rng: np.random.Generator,
    ) -> None:
        self._client, self._server, self._kind = client, server, kind
        self._drawn, self._rng = drawn, rng
        self._mosaics: dict[str, Mosaic] = {}
        self._having: defaultdict[str, set[str]] = defaultdict(set)
        self.scores: defaultdict[str, Score] = defaultdict(Score)
        self.left_out = self.shown = self.drawn_objects = 0

    def fill(self, count: int) -> None:
        own = "".join(filter(str.isalnum, self._kind))
        made = {f"{own}-{n}": self._drawn() for n in range(count)}
        self._mosaics = made
        self.drawn_objects = sum(len(each.shown) for each in made.values())
        for name, each in made.items():
            for one in each.shown:
                self._having[one.words].add(name)
        images = [
            {"url": self._put_up(name, each), "id": name, "metadata": {"kind": self._kind}}
            for name, each in made.items()
        ]
        for at in range(0, count, _ADDED_AT_ONCE):
            for added in self._client.add_many(images[at : at + _ADDED_AT_ONCE]):
                self.left_out += getattr(added, "objects_left_out", 0)
                self.shown += getattr(added, "objects", 0) + getattr(added, "objects_left_out", 0)

    def ask_by_parts(self, class_name: str | None = None) -> None:
        """By objects, all or of a class, of pictures that are not in the index.

        The question is the whole picture, or the part of it.
        """
        parts = []
        for n in range(_QUERIES):
            each = self._drawn()
            url = self._put_up(f"query-{next(iter(self._mosaics))}-{n}", each)
            parts += [
                (url, one)
                for one in each.shown
                if class_name in (None, one.class_name) and len(self._having[one.words]) >= TOP
            ]
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
        return [found[n] for n in self._rng.permutation(len(found))]

    def _ask(self, name: str, relevant: set[str], words: str = "", **asked: Any) -> None:
        """Ask one question; of hits for some words, look whether the box is of that."""
        hits = self._client.search(limit=1000, filter={"kind": self._kind}, **asked)
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
