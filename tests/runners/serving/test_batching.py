"""The changes to BentoML's batching, against its own batcher."""

import asyncio
from collections.abc import Sequence

import pytest
from bentoml._internal.marshal.dispatcher import CorkDispatcher, NonBlockSema, Optimizer

from runners.serving import service


@pytest.fixture
def _patched(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(CorkDispatcher, "__init__", CorkDispatcher.__init__)
    service.patch_batching(5)
    service.patch_batching(getattr(request, "param", 1))  # the last one counts


def _burst(compute: object, max_batch_size: int, warm_up: int = 0) -> list[int]:
    """What 64 calls at once are answered by a batcher, after some calls one after another."""

    async def run() -> list[int]:
        batcher = CorkDispatcher(
            60_000, max_batch_size, fallback=lambda: None, get_batch_size=lambda item: 1
        )
        call = batcher(compute)
        for number in range(warm_up):
            await call(-number)
        answers = await asyncio.gather(*[call(number) for number in range(64)])
        batcher.shutdown()
        return list(answers)

    return asyncio.run(run())


def test_bentoml_still_needs_the_changes() -> None:
    """Fails when BentoML learns no wait any more, or computes several batches: both can go then."""
    optimizer = Optimizer(60)
    for size in range(1, 20):
        optimizer.log_outbound(n=size, wait=0.2, duration=0.01 * size)
    optimizer.trigger_refresh()
    assert optimizer.wait > 0.02

    begin, bentomls = CorkDispatcher.__init__, service._begin
    CorkDispatcher.__init__ = bentomls
    try:
        batcher = CorkDispatcher(60_000, 2, fallback=lambda: None)
    finally:
        CorkDispatcher.__init__ = begin
    assert type(batcher.optimizer) is Optimizer
    assert isinstance(batcher._sema, NonBlockSema)
    batcher._sema.acquire()
    assert batcher._sema.is_locked()


@pytest.mark.usefixtures("_patched")
def test_calls_gather_while_a_batch_is_computed() -> None:
    sizes: list[int] = []

    async def compute(items: Sequence[int]) -> Sequence[int]:
        sizes.append(len(items))
        await asyncio.sleep(0.02)
        return items

    assert _burst(compute, 64, warm_up=12) == list(range(64))
    assert sizes[:12] == [1] * 12
    assert len(sizes) <= 12 + 4


@pytest.mark.usefixtures("_patched")
def test_a_slow_batch_makes_no_call_wait_for_others() -> None:
    """Neither while BentoML trains its optimizer nor after; more calls than fit are not refused."""

    async def compute(items: Sequence[int]) -> Sequence[int]:
        await asyncio.sleep(0.02)
        return items

    async def alone() -> None:
        batcher = CorkDispatcher(60_000, 64, fallback=lambda: None, get_batch_size=lambda item: 1)
        call = batcher(compute)
        for _ in range(30):
            batcher.optimizer.log_outbound(n=1, wait=0.5, duration=0.5)
            assert batcher.optimizer.wait == batcher.optimizer.o_a == batcher.optimizer.o_b == 0
            assert await call(1) == 1
        batcher.shutdown()

    asyncio.run(alone())
    assert _burst(compute, 2) == list(range(64))


@pytest.mark.parametrize(("_patched", "batches"), [(1, 1), (2, 2), (3, 3)], indirect=["_patched"])
@pytest.mark.usefixtures("_patched")
def test_as_many_batches_are_computed_as_are_allowed(batches: int) -> None:
    now = most = 0
    full = asyncio.Event()

    async def compute(items: Sequence[int]) -> Sequence[int]:
        nonlocal now, most
        now += 1
        most = max(most, now)
        if now == batches:
            full.set()
        await full.wait()
        await asyncio.sleep(0.02)  # time for one more than allowed to begin
        now -= 1
        return items

    assert _burst(compute, 2) == list(range(64))
    assert most == batches
