"""A short run of the fuzzer: what ten minutes of it look for, in seconds."""

import asyncio

import pytest

from images.workers.decoders import Decoders
from tests.images.fuzz import damaged, fuzz
from tests.images.samples import all_files


def test_damaged_files_hurt_nothing() -> None:
    outcome = asyncio.run(fuzz(5, seed=7))
    assert outcome.findings == []
    assert outcome.executions > 50
    assert {"picture", "BrokenImageError"} <= outcome.answers.keys()


def test_it_notices_what_must_not_be(monkeypatch: pytest.MonkeyPatch) -> None:
    async def failing(*_: object) -> None:
        raise OSError("a fault of ours")

    monkeypatch.setattr(Decoders, "clip", failing)
    outcome = asyncio.run(fuzz(2, seed=7))
    assert {kind for kind, _ in outcome.findings} == {"OSError: a fault of ours"}


def test_an_execution_can_be_repeated() -> None:
    seeds = all_files()
    assert damaged(seeds, 1, 17) == damaged(all_files(), 1, 17)
    assert len({damaged(seeds, 1, number) for number in range(50)}) > 40
