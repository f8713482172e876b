"""Work and waiting are counted however they end."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from api.errors import ModelUnavailableError, RequestError, problem_of
from api.telemetry.metrics import DOWNLOAD_QUEUE, count_problem, model_calls
from images.errors import MoreMemoryError, NotAnImageError
from tests.api.telemetry.metrics import rise, value


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (NotAnImageError("x"), "not_an_image"),
        (ModelUnavailableError("x"), "model_unavailable"),
        (asyncio.CancelledError(), "cancelled"),
        (TimeoutError(), "deadline"),
        (MoreMemoryError(1 << 30), "large"),
        (KeyError("https://h/?secret"), "internal"),
    ],
)
def test_failed_work_is_counted_by_its_code(error: BaseException, outcome: str) -> None:
    labels = {"model": "YoloDetector", "method": "detect"}
    ended = rise("model_calls_total", outcome=outcome, **labels)
    timed = rise("model_call_seconds_count", **labels)

    def work() -> None:
        with model_calls("detect")():
            assert value("model_calls_in_flight", **labels) == 1
            raise error

    with pytest.raises(type(error)):
        work()
    assert (ended(), timed(), value("model_calls_in_flight", **labels)) == (1, 1, 0)


def test_who_waits_is_counted_until_it_goes_on_or_gives_up() -> None:
    waited = rise("wait_seconds_count", queue="download")

    async def wait(for_it: asyncio.Event) -> None:
        with DOWNLOAD_QUEUE.wait():
            await for_it.wait()

    async def check() -> None:
        came = asyncio.Event()
        one, other = asyncio.create_task(wait(came)), asyncio.create_task(wait(came))
        await asyncio.sleep(0)
        assert value("waiting", queue="download") == 2
        one.cancel()
        came.set()
        await asyncio.wait([one, other])

    asyncio.run(check())
    assert (waited(), value("waiting", queue="download")) == (2, 0)


def test_errors_are_refusals_or_faults() -> None:
    refused, fault = (
        rise("refusals_total", reason="bad_request"),
        rise("faults_total", code="internal"),
    )
    errors = rise("errors_total", route="a_route", code="internal")
    count_problem("a_route", problem_of(RequestError("x")))
    count_problem("a_route", problem_of(KeyError("x")))
    assert (refused(), fault(), errors()) == (1, 1, 1)


def test_a_fault_that_never_happened_stands_at_zero() -> None:
    """An alert on a rise would miss the first one else."""
    assert REGISTRY.get_sample_value("image_search_faults_total", {"code": "store_write"}) == 0
