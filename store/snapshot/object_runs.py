"""Runs of objects: where those of a set lie in the table of objects, one after the other.

A set's key stands here as a number, the last 64 bits that it was made of, 48 of which were drawn by
chance: of a million sets two share one in one of thirty million tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from store.metadata.objects import KEY
from store.snapshot.fragments import ROW_ID, Places, RowIds

Numbers = NDArray[np.uint64]
"""Of sets; 0 stands for none."""

_KEY_CHARS, _NUMBER_CHARS = 24, 16
_DIGITS = np.zeros(256, np.uint8)
_DIGITS[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)


@dataclass(frozen=True, eq=False)
class Objects:
    """Some objects, in any order.

    Attributes:
        owners: which of the sets that were asked for each is of, by its place, int64 [objects].
        rows: in the table of objects, uint64 [objects].
        numbers: which of its set's objects each is, int64 [objects].
    """

    owners: Places
    rows: RowIds
    numbers: Places

    @classmethod
    def joined(cls, parts: Sequence["Objects"]) -> Self:
        """All of these, in the order of their owners."""
        none = np.empty(0, np.int64), np.empty(0, np.uint64), np.empty(0, np.int64)
        every = [none, *((each.owners, each.rows, each.numbers) for each in parts)]
        owners, rows, numbers = map(np.concatenate, zip(*every, strict=True))
        order = np.argsort(owners, kind="stable")
        return cls(owners[order], rows[order], numbers[order])

    def at(self, places: NDArray[Any]) -> "Objects":
        """Some of them, by their places or by a mask."""
        return Objects(self.owners[places], self.rows[places], self.numbers[places])


@dataclass(frozen=True, eq=False)
class Runs:
    """The runs of some files.

    Attributes:
        sets: the number of each run's set, rising, uint64 [runs].
        firsts: the row of its first object, uint64 [runs].
        numbers: which of its set's objects that is, int32 [runs].
        counts: how many objects it has, int32 [runs].
    """

    sets: Numbers
    firsts: RowIds
    numbers: NDArray[np.int32]
    counts: NDArray[np.int32]

    @classmethod
    def of(cls, rows: pa.Table) -> Self:
        """Those of some rows, with the set, the number and the id of each."""
        sets, row_ids = set_numbers(rows[KEY]), rows[ROW_ID].to_numpy()
        is_next = (np.diff(sets) == 0) & (np.diff(row_ids) == 1)
        starts = np.flatnonzero(np.concatenate([[len(sets) > 0], ~is_next]))[: len(sets)]
        counts = np.diff(starts, append=len(sets)).astype(np.int32)
        order = np.argsort(sets[starts], kind="stable")
        starts = starts[order]
        numbers = rows["n"].to_numpy()[starts].astype(np.int32)
        return cls(sets[starts], row_ids[starts], numbers, counts[order])

    @classmethod
    def joined(cls, parts: Sequence["Runs"]) -> Self:
        """All of these."""
        none = (np.empty(0, np.uint64),) * 2 + (np.empty(0, np.int32),) * 2
        every = [none, *((each.sets, each.firsts, each.numbers, each.counts) for each in parts)]
        sets, *others = map(np.concatenate, zip(*every, strict=True))
        order = np.argsort(sets, kind="stable")
        return cls(sets[order], *(each[order] for each in others))

    def objects_of(self, sets: Numbers) -> Objects:
        """The objects of these sets that are among them."""
        first = np.searchsorted(self.sets, sets)
        owners, nth = _each(np.searchsorted(self.sets, sets, side="right") - first)
        runs = first[owners] + nth
        of, inside = _each(self.counts[runs])
        rows = self.firsts[runs][of] + inside.astype(np.uint64)
        return Objects(owners[of], rows, self.numbers[runs][of] + inside)


def set_numbers(keys: pa.ChunkedArray) -> Numbers:
    """The numbers of some sets, by their keys."""
    chunks = [_numbers(chunk) for chunk in keys.chunks]
    return np.concatenate([np.empty(0, np.uint64), *chunks])


def _numbers(keys: pa.StringArray) -> Numbers:
    there = keys.is_valid().to_numpy(zero_copy_only=False)
    left = keys.drop_null()
    numbers = np.zeros(len(keys), np.uint64)
    if len(left) and pc.max(pc.binary_length(left)).as_py() > _KEY_CHARS:
        left = pc.utf8_slice_codeunits(
            left, 0, _KEY_CHARS
        )  # a later detector's have its number, too
    _, offsets, texts = left.buffers()
    if len(left):
        bounds = np.frombuffer(offsets, np.int32, len(left) + 1, 4 * left.offset)
        chars = np.frombuffer(texts, np.uint8)[bounds[0] : bounds[-1]].reshape(-1, _KEY_CHARS)
        digits = _DIGITS[chars[:, -_NUMBER_CHARS:]]
        bytes_ = (digits[:, ::2] << 4) | digits[:, 1::2]
        numbers[there] = bytes_.view(">u8").ravel()
    return numbers


def _each(counts: NDArray[Any]) -> tuple[Places, Places]:
    """For each of so many of each: which it is of, and the how manieth of those."""
    owners = np.repeat(np.arange(len(counts)), counts)
    before = np.cumsum(counts) - counts
    return owners, np.arange(len(owners)) - before[owners]
