"""The repairs of BentoML's batching, against its own batcher."""

import asyncio
from collections.abc import Sequence

import pytest
from bentoml._internal.marshal.dispatcher import CorkDispatcher, Optimizer

from runners.serving import batching
from runners.serving.batching import MAX_WAIT_S, allow_batches, cap_batch_wait

SLOW_S = 0.2


def learned_wait() -> float:
    """What an optimizer learns from calls that waited long."""
    optimizer = Optimizer(60)
    for size in range(1, 20):
        optimizer.log_outbound(n=size, wait=SLOW_S, duration=0.01 * size)
    optimizer.trigger_refresh()
    return float(optimizer.wait)


def test_without_the_cap_bentoml_learns_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when BentoML mends this, and the repair can go."""
    monkeypatch.setattr(Optimizer, "trigger_refresh", batching._learn)
    assert learned_wait() > 10 * MAX_WAIT_S


def test_with_the_cap_it_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Optimizer, "trigger_refresh", Optimizer.trigger_refresh)
    cap_batch_wait()
    cap_batch_wait()
    assert learned_wait() <= MAX_WAIT_S


def test_calls_still_gather_while_a_batch_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Optimizer, "trigger_refresh", Optimizer.trigger_refresh)
    cap_batch_wait()
    sizes: list[int] = []

    async def compute(items: Sequence[int]) -> Sequence[int]:
        sizes.append(len(items))
        await asyncio.sleep(0.02)
        return items

    async def burst() -> list[int]:
        batcher = CorkDispatcher(60_000, 64, fallback=lambda: None, get_batch_size=lambda item: 1)
        call = batcher(compute)
        for _ in range(12):  # past the batcher's own training
            await call(0)
        sizes.clear()
        answers = await asyncio.gather(*[call(number) for number in range(64)])
        batcher.shutdown()
        return list(answers)

    assert asyncio.run(burst()) == list(range(64))
    assert len(sizes) <= 4


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_as_many_batches_are_computed_as_are_allowed(
    monkeypatch: pytest.MonkeyPatch, lanes: int
) -> None:
    monkeypatch.setattr(CorkDispatcher, "__init__", CorkDispatcher.__init__)
    allow_batches(lanes)
    now = most = 0
    full = asyncio.Event()

    async def compute(items: Sequence[int]) -> Sequence[int]:
        nonlocal now, most
        now += 1
        most = max(most, now)
        if now == lanes:
            full.set()
        await full.wait()
        await asyncio.sleep(0.02)  # time for one more than allowed to begin
        now -= 1
        return items

    async def burst() -> list[int]:
        batcher = CorkDispatcher(60_000, 2, fallback=lambda: None, get_batch_size=lambda item: 1)
        call = batcher(compute)
        answers = await asyncio.gather(*[call(number) for number in range(64)])
        batcher.shutdown()
        return list(answers)

    assert asyncio.run(burst()) == list(range(64))
    assert most == lanes
