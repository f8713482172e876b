"""Plan of a bulk run and the folder of its state: which shards there are, and how far each is.

A shard is a fixed range of the source's rows. Each file appears under its name when it is whole,
and of a shard's files the mark comes last: whoever is killed leaves nothing that looks done.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, Literal

from image_search.cli.output import made_whole, opened_notes

Stage = Literal["staged", "done"]
"""Of a shard: embedded and written down; committed to the index."""

Models = tuple[tuple[str, str, int], tuple[str, str] | None]
"""The embedder and the detector, as a plan has them."""

_IN_A_FOLDER = 1000
_PLAN = "plan.json"


class BulkError(Exception):
    """A bulk run cannot go on; the message is one line."""


@dataclass(frozen=True)
class Plan:
    """What a run is of; it stays the same until its last shard, but for what is tried again.

    Attributes:
        id: of the run.
        source: what its rows were read from, and how.
        model: name, pretrained and length of the vectors.
        detector: name and recipe of what finds the objects; None where none are indexed.
        moment: when it began; the dates of its images count on from there.
        shard_rows: rows of a shard at most.
        rows: of the source.
        shards: how many there are.
        retried: those before this one have failures that later shards have tried again.
        left_out: what of folders is no row, by the reason.
        skip_duplicates: leave out new images whose pixels another image has.
        exif: add what EXIF tells to the metadata.
    """

    id: str
    source: Any
    model: tuple[str, str, int]
    detector: tuple[str, str] | None
    moment: datetime
    shard_rows: int
    rows: int = 0
    shards: int = 0
    retried: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    skip_duplicates: bool = False
    exif: bool = False

    def date_of(self, number: int) -> datetime:
        """When the image of a row counts as added: each its own moment, in the rows' order."""
        return self.moment + timedelta(microseconds=number)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "moment": self.moment.isoformat()}

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> "Plan":
        """What `to_json` made."""
        name, pretrained, dim = told["model"]
        found = told["detector"]
        detector = None if found is None else (found[0], found[1])
        moment = datetime.fromisoformat(told["moment"])
        rest = {"model": (name, pretrained, dim), "detector": detector, "moment": moment}
        return cls(**{**told, **rest})


def named_models(models: Models) -> str:
    """Models as a message has them."""
    (name, pretrained, _), detector = models
    found = "without objects" if detector is None else f"with objects by {detector[0]}"
    return f"the model {name}/{pretrained} {found}"


class State:
    """The folder of a run. Every machine that works for it must see it under this path.

    Args:
        folder: made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def locked(self) -> IO[bytes]:
        """A file that is open for as long as this run is the only one on the folder.

        Raises:
            BulkError: another run is at it.
            OSError: the folder cannot be written.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = opened_notes(self.folder / "lock")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise BulkError(f"another `image-search bulk` is at {self.folder}") from None
        return file

    def plan(self) -> Plan | None:
        """The plan; None where there is none that is whole.

        Raises:
            BulkError: it was made by another release.
        """
        path = self.folder / _PLAN
        try:
            return Plan.from_json(json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            raise BulkError(f"{path} is no plan of this release: name another --state") from error

    def write_plan(self, plan: Plan) -> None:
        """Make this the plan."""
        self._write(self.folder / _PLAN, plan.to_json())

    def rows_file(self, shard: int) -> Path:
        """The rows of a shard as JSON lines; its folder is made."""
        path = self._file(shard, "rows.jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def staged_file(self, shard: int, name: str) -> Path:
        """The images of a shard as their mark names the file."""
        return self._file(shard, f"{name}.parquet")

    def mark(self, shard: int, stage: Stage) -> dict[str, Any] | None:
        """What is told of a shard that has come so far; None where it has not."""
        try:
            told: dict[str, Any] = json.loads(self._file(shard, f"{stage}.json").read_bytes())
        except FileNotFoundError:
            return None
        return told

    def set_mark(self, shard: int, stage: Stage, told: dict[str, Any]) -> None:
        """Say that a shard has come so far."""
        self._write(self._file(shard, f"{stage}.json"), told)

    def forget(self, shard: int, stage: Stage) -> None:
        """Take a mark away."""
        self._file(shard, f"{stage}.json").unlink(missing_ok=True)

    def having(self, stage: Stage) -> set[int]:
        """The shards that have come so far."""
        return {
            int(name.partition(".")[0])
            for name in self._names()
            if name.endswith(f".{stage}.json") and not name.startswith(".")
        }

    def is_done(self, plan: Plan) -> bool:
        """Whether all shards of a plan are in the index, so that all that failed is known."""
        return len(self.having("done")) == plan.shards

    def failures(self, plan: Plan) -> Iterator[dict[str, Any]]:
        """The rows that failed and were not tried again, each with its number in the source."""
        for shard in range(plan.retried, plan.shards):
            for stage in ("staged", "done"):
                yield from (self.mark(shard, stage) or {}).get("failures", ())

    def _file(self, shard: int, kind: str) -> Path:
        return self.folder / "shards" / f"{shard // _IN_A_FOLDER:06}" / f"{shard:08}.{kind}"

    def _names(self) -> Iterator[str]:
        for folder in (self.folder / "shards").glob("*"):
            yield from os.listdir(folder)  # noqa: PTH208 - a hundred thousand of them

    def _write(self, path: Path, told: Any) -> None:
        with made_whole(path) as file:
            file.write(json.dumps(told).encode())
