"""What is sent again, when, and how often: the decisions, and both clients on a real socket."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from image_search import (
    AsyncClient,
    Client,
    ImageSearchError,
    OverloadedError,
    RefusedError,
    Retries,
    TimedOutError,
    UnauthorizedError,
    UnreachableError,
)

FULL = OverloadedError("full", "overloaded", 429, 3.0)
GONE = UnreachableError("gone")


def test_pauses_grow_to_a_bound_and_are_drawn_whole() -> None:
    retries = Retries(attempts=20, within_s=1000, first_pause_s=1, longest_pause_s=5)
    longest = [retries.pause_s(GONE, failed, 0, 1.0) for failed in range(1, 6)]
    assert longest == [1, 2, 4, 5, 5]
    assert retries.pause_s(GONE, 4, 0, 0.0) == 0
    assert retries.pause_s(GONE, 4, 0, 0.5) == 2.5


def test_retry_after_is_the_least_pause() -> None:
    assert Retries().pause_s(FULL, 1, 0, 0.0) == 3.0


def test_a_pause_is_drawn_also_where_nothing_is_decided() -> None:
    retries = Retries(attempts=1, first_pause_s=1, longest_pause_s=5)
    assert retries.drawn_pause_s(RefusedError("no"), 2, 0.5) == 1
    assert retries.drawn_pause_s(FULL, 9999, 1.0) == 8


def test_attempts_and_time_are_bounded() -> None:
    retries = Retries(attempts=3, within_s=10)
    assert retries.pause_s(FULL, 2, 7.0, 0.0) == 3.0
    assert retries.pause_s(FULL, 2, 7.1, 0.0) is None
    assert retries.pause_s(FULL, 3, 0, 0.0) is None


@pytest.mark.parametrize(
    "error",
    [RefusedError("no"), UnauthorizedError("no"), TimedOutError("late"), ImageSearchError("odd")],
)
def test_what_does_not_pass_is_not_sent_again(error: ImageSearchError) -> None:
    assert Retries().pause_s(error, 1, 0, 0.5) is None


class _Answers:
    """A server that answers these, in turn, and the last one for ever."""

    def __init__(self, statuses: list[int], retry_after: str = "0") -> None:
        self.asked: list[float] = []
        answers = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status = statuses[min(len(answers.asked), len(statuses) - 1)]
                answers.asked.append(time.monotonic())
                body = json.dumps({"message": "Api is running"}).encode()
                self.send_response(status)
                if status == 429:
                    self.send_header("Retry-After", retry_after)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def _answering(answers: _Answers) -> Iterator[_Answers]:
    thread = threading.Thread(target=answers.server.serve_forever)
    thread.start()
    try:
        yield answers
    finally:
        answers.server.shutdown()
        answers.server.server_close()
        thread.join()


def _asked(url: str, kind: str, retries: Retries) -> str:
    if kind == "sync":
        with Client(url, retries=retries) as client:
            return client.heartbeat()

    async def ask() -> str:
        async with AsyncClient(url, retries=retries) as client:
            return await client.heartbeat()

    return asyncio.run(ask())


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_both_come_back_until_it_works(kind: str) -> None:
    with _answering(_Answers([429, 503, 200])) as answers:
        assert _asked(answers.url, kind, Retries(first_pause_s=0.01)) == "Api is running"
    assert len(answers.asked) == 3


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_both_give_up_at_last(kind: str) -> None:
    with _answering(_Answers([429])) as answers, pytest.raises(OverloadedError):
        _asked(answers.url, kind, Retries(attempts=3, first_pause_s=0.01))
    assert len(answers.asked) == 3


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_both_wait_as_long_as_they_are_asked_to(kind: str) -> None:
    with _answering(_Answers([429, 200], retry_after="1")) as answers:
        _asked(answers.url, kind, Retries(first_pause_s=0.01))
    assert answers.asked[1] - answers.asked[0] >= 1.0


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_other_answers_are_not_asked_for_again(status: int) -> None:
    with _answering(_Answers([status])) as answers, pytest.raises(ImageSearchError):
        _asked(answers.url, "sync", Retries())
    assert len(answers.asked) == 1
