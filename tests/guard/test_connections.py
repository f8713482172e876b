"""Connections that are kept: no answer reaches another request, and no name steers one away."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from tests.guard.case import DETECT, FETCHED, UNREACHABLE, Case, asked, blocked
from tests.guard.oracle.names import Name
from tests.guard.stage.site import PICTURE, http
from tests.guard.stage.stage import Stage
from tests.guard.stage.talks import keeping
from tests.images.samples import encoded, picture

SMALL = http(encoded(picture(), "PNG"))
"""A picture of 40 by 24 pixels; `PICTURE` has 256 by 256."""
TURNS = 4
SILENT_PORT = 9998


def width(stage: Stage, path: str) -> object:
    return stage.ask(asked(f"http://{stage.host()}{path}", FETCHED)).document.get("width")


@pytest.mark.parametrize(
    "first",
    [
        http(PICTURE) + SMALL,
        http(PICTURE) + b"HTTP/1.1 100 Continue\r\n\r\n" + SMALL,
        http(PICTURE) + b"\r\n" + SMALL,
        b"HTTP/1.1 100 Continue\r\n\r\n" + http(PICTURE) + SMALL,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n%s"
        % (len(PICTURE), PICTURE, SMALL),
    ],
)
def test_an_answer_nobody_asked_for_reaches_nobody(stage: Stage, first: bytes) -> None:
    """The server sends a second answer along: the next request must get its own."""
    stage.site.put("/along", keeping(first, *[http(PICTURE)] * 3))
    for turn in range(TURNS):
        assert width(stage, "/along") == 256
        assert width(stage, f"/next-{turn}") == 256


def test_what_an_error_left_unread_reaches_nobody(stage: Stage) -> None:
    page = http(b"x" * 100 + SMALL, status="404 Not Found")
    stage.site.put("/error", keeping(page, *[http(PICTURE)] * 3))
    for _ in range(TURNS):
        assert stage.ask(asked(f"http://{stage.host()}/error", FETCHED)).status == 400
        assert width(stage, "/good") == 256


def test_a_kept_connection_cannot_be_steered(stage: Stage) -> None:
    """The name moves inside while a connection to its public address is kept."""
    if stage.names is None:
        pytest.skip("needs an internet in a box: the right to make namespaces")
    stage.names.put("moving.test", Name((("9.9.9.7",), ("10.9.9.7",))))
    stage.site.put("/kept", keeping(http(PICTURE), *[http(PICTURE)] * TURNS))
    url = f"http://moving.test:{stage.port}/kept"
    assert stage.ask(asked(url, FETCHED)).status == 200
    answers = stage.ask_all([Case(str(n), FETCHED, url=url, path=DETECT) for n in range(8)])
    # Those on the kept connection are fetched, the others find a name that is inside.
    assert {one.document.get("code") for one in answers} <= {None, *UNREACHABLE.codes}
    assert not [one for one in stage.site.dialled if one[0] == "10.9.9.7"]


def test_blocked_takes_as_long_as_unreachable(stage: Stage) -> None:
    """Nobody home, nobody known, nobody allowed: no clock tells them apart."""
    public, private = ("8.8.8.8", "10.0.0.1") if stage.box else ("127.0.0.1", "127.0.0.2")
    urls = [
        f"http://{public}:9999/",  # refuses
        f"http://{public}:{SILENT_PORT}/",  # says nothing
        f"http://{public}:22/",
        f"http://{private}/",
        f"http://{private}:9999/",
        f"http://{private}:{stage.port}/",  # would answer
        "http://nosuch.invalid/",
    ]
    times: dict[str, list[float]] = {url: [] for url in urls}
    with silent(stage, public):
        for turn in range(12):  # other work delays answers, but not every one of the same url
            answers = stage.ask_all([blocked(url) for url in urls])
            for url, answer in zip(urls, answers, strict=True):
                assert answer.document.get("code") == UNREACHABLE.codes[0]
                times[url].append(answer.seconds)
            fastest = [min(each) for each in times.values()]
            if turn >= 2 and max(fastest) - min(fastest) < 0.25:
                return
    pytest.fail(f"a clock tells them apart: {times}")


@contextlib.contextmanager
def silent(stage: Stage, address: str) -> Iterator[None]:
    """A port whose queue is full: the kernel answers no further SYN."""
    with contextlib.ExitStack() as open_:
        with stage.inside():
            open_.enter_context(socket.create_server((address, SILENT_PORT), backlog=0))
            for _ in range(4):
                filler = open_.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex((address, SILENT_PORT))
        yield
