"""What came of a run of `image-search index`, for programs and for people."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from image_search.cli.terminal import shown


@dataclass
class Outcome:
    """What came of a run.

    Attributes:
        indexed: images, in this run.
        done_before: images that earlier runs have indexed.
        failed: images, those included that earlier runs were refused for good.
        may_pass: of these, what the next call tries again.
        left_out: how many things in folders are no images to index, by the reason.
        seconds: from the first request that was sent to the last answer.
    """

    indexed: int = 0
    done_before: int = 0
    failed: int = 0
    may_pass: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def summary(self, failures: Path | None, *, as_json: bool) -> str:
        """The numbers in one line; `failures` is the file that lists what failed."""
        if as_json:
            return json.dumps(asdict(self))
        parts = [f"{self.indexed:,} indexed"]
        if self.done_before:
            parts.append(f"{self.done_before:,} were done before")
        if self.failed:
            where = f"see {shown(failures)}" if failures else "--failures FILE lists them"
            parts.append(f"{self.failed:,} failed ({where})")
        return ", ".join(parts) + "."

    def remarks(self, *, is_resumable: bool) -> Iterator[str]:
        """Lines about what is not indexed, and what can be done about it."""
        if self.left_out:
            parts = (f"{number:,} {reason}" for reason, number in self.left_out.items())
            yield f"Left out: {', '.join(parts)}."
        if self.may_pass and is_resumable:
            yield f"Failures that may pass: {self.may_pass:,}; the same command tries them again."
