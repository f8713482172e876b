"""The load generator and its HTTP client, against a small server of their own."""

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bench.load.generator import Answer, Load, Sent, Span, rate, send
from bench.load.http import NO_ANSWER, Client, post
from bench.load.traffic import Fresh, Mixed


def test_the_rate_of_whole_batches_does_not_depend_on_where_the_window_cuts() -> None:
    batches = [Span(float(second), second + 1.0, 32) for second in range(10)]
    for start in (0.0, 0.3, 0.99):
        assert rate(batches, start, start + 7.5) == pytest.approx(32)


def test_the_rate_of_clients_is_theirs_together() -> None:
    clients = [Span(turn * 0.5, turn * 0.5 + 0.5) for turn in range(20) for _ in range(8)]
    assert rate(clients, 1.1, 8.3) == pytest.approx(16)


def test_failures_count_in_no_rate_and_no_latency() -> None:
    answers = [Answer("add", 0, n / 10, n / 10 + 0.1, 200, "-") for n in range(100)]
    failed = [Answer("add", 0, 0.0, 9.0, status, "-") for status in (429, 500, NO_ANSWER)]
    sent = Sent(0.0, 10.0, answers + failed)
    assert sent.rate == pytest.approx(10)
    assert sent.ms(99) == pytest.approx(100)
    assert sent.failed == 3


class _Handler(BaseHTTPRequestHandler):
    """Echoes the path; closes the connection where the request says so."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = asked.get("status", 200)
        said = json.dumps({"code": "broken"} if status >= 400 else asked).encode()
        if asked.get("silent"):
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
        self.close_connection = bool(asked.get("last"))

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_client_tells_codes_and_broken_connections(port: int) -> None:
    async def ask(*bodies: dict[str, Any]) -> list[tuple[int, str]]:
        client = Client(port, timeout_s=10)
        replies = [await client.ask(post("x", body)) for body in bodies]
        client.close()
        return [(reply.status, reply.code) for reply in replies]

    bodies: tuple[dict[str, Any], ...] = ({}, {"status": 400}, {"silent": True}, {}, {"last": True})
    found = asyncio.run(ask(*bodies, {}))
    assert found[:2] == [(200, "-"), (400, "broken")]
    assert found[2] == (NO_ANSWER, "IncompleteReadError")
    # A kept connection that the server has closed is no failure: the request is sent once more.
    assert found[3:] == [(200, "-")] * 3


@dataclass(frozen=True)
class Empty:
    """Requests without content."""

    def requests(self) -> Iterator[tuple[str, bytes]]:
        while True:
            yield "empty", post("x", {})


def test_a_closed_loop_sends_as_many_as_it_is_told(port: int) -> None:
    sent = send(Load(port, Empty(), clients=3, requests=20))
    assert 20 <= len(sent.good) <= 22
    assert len(send(Load(port, Empty(), clients=5)).good) == 5


def test_an_open_loop_sends_at_its_rate(port: int) -> None:
    sent = send(Load(port, Empty(), seconds=2.0, rate=50))
    assert sent.failed == 0
    assert 60 <= len(sent.answers) <= 140
    assert all(each.sent >= each.due for each in sent.answers)


def test_no_request_of_a_stream_is_made_twice() -> None:
    for route in ("add", "search", "text", "detect"):
        requests = Fresh(route, "http://127.0.0.1:80", ("a.jpg",)).requests()
        made = [next(requests)[1] for _ in range(50)]
        assert len(set(made)) == 50


def test_the_share_of_bad_requests_is_as_asked() -> None:
    source = Mixed("http://127.0.0.1:80", 1, bad_share=0.5)
    is_bad = {kind.name for kind in source.kinds() if kind.codes}
    requests = source.requests()
    names = [next(requests)[0] for _ in range(4000)]
    assert 0.45 < sum(name in is_bad for name in names) / 4000 < 0.55
