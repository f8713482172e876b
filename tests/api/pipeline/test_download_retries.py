"""What may pass is tried again: when, how often, and what is held meanwhile."""

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from api.pipeline.downloads import Downloads
from api.telemetry.metrics import DOWNLOAD_RETRIES
from images.errors import BadAnswerError, FetchTimeoutError, HttpStatusError, ImageError
from images.fetch.fetcher import Fetcher
from images.settings import FetchSettings
from tests.api.pipeline.test_downloads import fetch, until
from tests.api.pipeline.test_host_limits import held, waiting
from tests.images.fetch.servers import ALLOWED, Answer, Server, http_server, raw_server

OK: Answer = (200, {}, b"picture")


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_ALLOW_NETWORKS", ALLOWED)
    monkeypatch.setattr("api.pipeline.downloads._FIRST_PAUSE_S", 0.01)


def saying(answers: Sequence[Answer]) -> Callable[[str], Answer]:
    left = iter(answers)
    return lambda _path: next(left)


def downloaded(url: str, threads: int = 4, patience_s: float = 30.0) -> bytes:
    async def run() -> bytes:
        downloads = Downloads(Fetcher(FetchSettings()), threads, patience_s=patience_s)
        try:
            return await fetch(downloads, url)
        finally:
            assert (held(downloads._hosts), waiting(downloads._hosts)) == (0, 0)
            downloads.close()

    return asyncio.run(run())


def failing(status: int, **headers: str) -> Answer:
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, b"later"


def retries() -> float:
    return float(DOWNLOAD_RETRIES.labels("http_status")._value.get())


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    before = retries()
    with http_server(saying([failing(status)] * 3 + [OK])) as server:
        assert downloaded(server.url) == b"picture"
    assert len(server.requests) == 4
    assert retries() - before == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_what_stays_as_it_is_is_not(status: int) -> None:
    with http_server(lambda _: failing(status)) as server, pytest.raises(HttpStatusError):
        downloaded(server.url)
    assert len(server.requests) == 1


def test_it_ends_after_a_few_times() -> None:
    with http_server(lambda _: failing(503)) as server, pytest.raises(HttpStatusError, match="503"):
        downloaded(server.url)
    assert len(server.requests) == 4


def test_only_the_hop_that_failed_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_MAX_REDIRECTS", "1")
    answers = [(302, {"Location": "/b"}, b""), failing(503), failing(503), OK]
    with http_server(saying(answers)) as server:
        assert downloaded(server.url) == b"picture"
    assert [path for path, _ in server.requests] == ["/", "/b", "/b", "/b"]


def in_seconds(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("given", "least_s"),
    [
        ("1", 1.0),
        (in_seconds, 0.5),
        *((text, 0) for text in ("0", "-5", "soon", "9" * 400, "")),
        ("Fri, 31 Dec 9999 23:59:59 -2400", 0),
        ("Mon, 01 Jan 1990 00:00:00 GMT", 0),
    ],
)
def test_the_time_that_a_server_asks_for_is_waited(
    given: str | Callable[[float], str], least_s: float
) -> None:
    begun: list[float] = []

    def answer(_path: str) -> Answer:
        begun.append(time.monotonic())
        asked = given if isinstance(given, str) else given(2)  # a date has whole seconds
        return failing(429, Retry_After=asked) if len(begun) == 1 else OK

    with http_server(answer) as server:
        assert downloaded(server.url) == b"picture"
    assert begun[1] - begun[0] >= least_s


@pytest.mark.parametrize("given", ["11", "3600", "9" * 40, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_long_time_is_not(given: str) -> None:
    before = time.monotonic()
    with (
        http_server(lambda _: failing(503, Retry_After=given)) as server,
        pytest.raises(HttpStatusError),
    ):
        downloaded(server.url)
    assert (len(server.requests), time.monotonic() - before < 10) == (1, True)


def test_none_begins_after_the_time_for_it() -> None:
    with (
        http_server(lambda _: failing(503, Retry_After="2")) as server,
        pytest.raises(HttpStatusError),
    ):
        downloaded(server.url, patience_s=1.5)
    assert len(server.requests) == 1


def test_none_begins_where_the_download_has_no_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_FETCH_TIMEOUT_S", "1")

    def slow(_path: str) -> Answer:
        time.sleep(0.7)
        return failing(503)

    with http_server(slow) as server, pytest.raises(HttpStatusError):
        downloaded(server.url)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("first", "error"),
    [
        (b"", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ncut", None),
        (b"nonsense\r\n\r\n", BadAnswerError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", BadAnswerError),
    ],
)
def test_a_connection_that_broke_is_made_again(
    first: bytes, error: type[ImageError] | None
) -> None:
    says = iter([first, b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\npicture"])

    def talk(connection: socket.socket) -> None:
        connection.sendall(next(says))

    with raw_server(talk) as host:
        if error is None:
            assert downloaded(f"http://{host}/") == b"picture"
        else:
            with pytest.raises(error):
                downloaded(f"http://{host}/")


def test_a_timeout_is_final(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_FETCH_TIMEOUT_S", "0.5")
    with raw_server(lambda _: time.sleep(2)) as host, pytest.raises(FetchTimeoutError):
        downloaded(f"http://{host}/")


def test_who_pauses_holds_nothing_and_can_be_cancelled() -> None:
    """With one thread, another picture of the same host comes in between."""

    def answer(path: str) -> Answer:
        return failing(503, Retry_After="9") if path == "/busy" else OK

    async def check(server: Server) -> None:
        downloads = Downloads(Fetcher(FetchSettings()), 1)
        paused = asyncio.create_task(fetch(downloads, f"{server.url}/busy"))
        await until(lambda: downloads._may_pause == 0)
        assert (held(downloads._hosts), waiting(downloads._hosts)) == (0, 0)
        async with asyncio.timeout(5):
            assert await fetch(downloads, server.url) == b"picture"
            with pytest.raises(HttpStatusError):  # as many pause as there are threads
                await fetch(downloads, f"{server.url}/busy")
        paused.cancel()
        await asyncio.gather(paused, return_exceptions=True)
        assert paused.cancelled()
        assert downloads._may_pause == 1
        downloads.close()

    with http_server(answer) as server:
        asyncio.run(check(server))
