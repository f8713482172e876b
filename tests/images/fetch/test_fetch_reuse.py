"""Connections that serve the next picture, and those that must not."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import images.fetch.transport
from images.errors import (
    BadAnswerError,
    FetchError,
    HttpStatusError,
    UnreachableError,
)
from images.fetch.connection import Connection
from images.fetch.transport import _MAX_IDLE
from tests.images.conftest import MakeFetcher
from tests.images.fetch.servers import ALLOWED, CERTIFICATE, Answer, http_server

OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"Content-Length: 5\r\n\r\nhello"


def serve(_path: str) -> Answer:
    return 200, {}, b"body"


class Talker:
    """Says one thing after the other, on as many connections as are made."""

    def __init__(self, *says: bytes | None) -> None:
        self._says = iter(says)
        self._listening = socket.create_server((ALLOWED, 0))
        self._open: list[socket.socket] = []
        self.connections = 0
        self.host = "{}:{}".format(*self._listening.getsockname())

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            while connection.recv(65536):
                say = next(self._says)
                if say is None:
                    break
                connection.sendall(say)
        except OSError:
            pass  # the client had enough
        connection.close()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self._open:
            connection.close()


@contextmanager
def talker(*says: bytes | None) -> Iterator[Talker]:
    """None closes the connection without an answer."""
    server = Talker(*says)
    threading.Thread(target=server.serve, daemon=True).start()
    try:
        yield server
    finally:
        server.close()


def test_a_connection_serves_one_picture_after_the_other(make_fetcher: MakeFetcher) -> None:
    fetcher = make_fetcher()
    with http_server(serve) as server:
        for number in range(5):
            assert fetcher.fetch(f"{server.url}/{number}") == b"body"
    assert server.connections == 1
    assert len({headers["Host"] for _, headers in server.requests}) == 1


@pytest.mark.parametrize(
    "answer",
    [
        HELLO + b"!",
        HELLO + HELLO,
        OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + HELLO,
    ],
)
def test_a_connection_that_is_not_clean_is_not_used_again(
    answer: bytes, make_fetcher: MakeFetcher
) -> None:
    fetcher = make_fetcher()
    with talker(answer, HELLO) as server:
        assert fetcher.fetch(f"http://{server.host}/") == b"hello"
        assert fetcher.fetch(f"http://{server.host}/") == b"hello"
        assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\nhello", HttpStatusError),
        (OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", BadAnswerError),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", BadAnswerError),
        (OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", BadAnswerError),
    ],
)
def test_a_connection_that_gave_an_error_is_not_used_again(
    answer: bytes, error: type[FetchError], make_fetcher: MakeFetcher
) -> None:
    fetcher = make_fetcher()
    with talker(answer, HELLO) as server:
        with pytest.raises(error):
            fetcher.fetch(f"http://{server.host}/")
        assert fetcher.fetch(f"http://{server.host}/") == b"hello"
        assert server.connections == 2


@pytest.mark.parametrize(("body", "connections"), [(b"", 1), (b"moved", 2)])
def test_a_redirect_keeps_the_connection_if_it_has_no_body(
    body: bytes, connections: int, make_fetcher: MakeFetcher
) -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with talker(moved, HELLO) as server:
        assert make_fetcher().fetch(f"http://{server.host}/a") == b"hello"
        assert server.connections == connections


def test_what_comes_while_a_connection_is_idle_is_answer_to_nothing(
    make_fetcher: MakeFetcher,
) -> None:
    fetcher = make_fetcher()
    with talker(HELLO, HELLO) as server:
        assert fetcher.fetch(f"http://{server.host}/") == b"hello"
        server._open[0].sendall(OK + b"Content-Length: 6\r\n\r\nforged")
        assert fetcher.fetch(f"http://{server.host}/") == b"hello"
        assert server.connections == 2


def test_a_request_that_was_not_answered_is_sent_once_more(make_fetcher: MakeFetcher) -> None:
    fetcher = make_fetcher()
    with talker(HELLO, None, HELLO, None, None) as server:
        assert fetcher.fetch(f"http://{server.host}/") == b"hello"
        assert fetcher.fetch(f"http://{server.host}/") == b"hello"
        assert server.connections == 2
        with pytest.raises(BadAnswerError):  # not a second time, on a new connection
            fetcher.fetch(f"http://{server.host}/")
        assert server.connections == 3


def test_a_request_that_was_badly_answered_is_not_sent_again(make_fetcher: MakeFetcher) -> None:
    fetcher = make_fetcher()
    with talker(HELLO, b"no HTTP\r\n", HELLO) as server:
        assert fetcher.fetch(f"http://{server.host}/") == b"hello"
        with pytest.raises(BadAnswerError):
            fetcher.fetch(f"http://{server.host}/")
        assert server.connections == 1


def test_a_connection_has_the_time_and_the_bytes_of_its_new_download(
    make_fetcher: MakeFetcher,
) -> None:
    fetcher = make_fetcher(fetch_timeout_s=2, max_image_bytes=10)
    big = OK + b"Content-Length: 10\r\n\r\n" + b"x" * 10
    with talker(*[big] * 8) as server:
        for _ in range(8):  # together longer, and more, than one may be
            assert fetcher.fetch(f"http://{server.host}/") == b"x" * 10
            time.sleep(0.3)
        assert server.connections == 1


def test_another_name_port_or_scheme_gets_no_connection_of_this_one(
    make_fetcher: MakeFetcher,
) -> None:
    asked = []

    def resolve(host: str) -> list[str]:
        asked.append(host)
        return [ALLOWED]

    fetcher = make_fetcher(resolve=resolve)
    with http_server(serve) as one, http_server(serve) as two:
        for _ in range(2):
            for host in ("a.test", "b.test", "a.test.", ALLOWED, "127.1"):
                assert fetcher.fetch(f"http://{host}:{one.port}/") == b"body"
        assert fetcher.fetch(f"http://A.test:{two.port}/") == b"body"
        with pytest.raises(FetchError):
            fetcher.fetch(f"https://a.test:{one.port}/")
    assert (one.connections, two.connections) == (6, 1)
    assert asked == ["a.test", "b.test", "a.test.", "a.test", "a.test"]


def test_a_name_that_turns_to_a_forbidden_address_is_never_connected_to(
    make_fetcher: MakeFetcher,
) -> None:
    answers = iter([[ALLOWED], ["127.0.0.2"]])
    fetcher = make_fetcher(resolve=lambda _host: next(answers))
    with talker(HELLO, None, HELLO) as server:
        port = server.host.split(":")[1]
        assert fetcher.fetch(f"http://turns.test:{port}/") == b"hello"
        with pytest.raises(UnreachableError, match="could not be reached"):
            fetcher.fetch(f"http://turns.test:{port}/")  # asked again, so judged again
        assert server.connections == 1


def test_only_so_many_connections_stay_idle(make_fetcher: MakeFetcher) -> None:
    fetcher = make_fetcher()
    barrier = threading.Barrier(_MAX_IDLE + 4)

    def wait_for_all(_path: str) -> Answer:
        barrier.wait(30)
        return 200, {}, b"body"

    with http_server(wait_for_all) as server:
        threads = [
            threading.Thread(target=fetcher.fetch, args=(server.url,))
            for _ in range(barrier.parties)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert fetcher._session.close_idle(60) == _MAX_IDLE
        fetcher.close()
        assert fetcher._session.close_idle(60) == 0


def test_idle_connections_are_closed_without_another_download(
    make_fetcher: MakeFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images.fetch.transport, "_IDLE_S", 0.1)
    fetcher = make_fetcher()
    with http_server(serve) as server:
        fetcher.fetch(server.url)
        assert fetcher._session.close_idle(60) == 1
        end = time.monotonic() + 10
        while fetcher._session.close_idle(60) and time.monotonic() < end:
            time.sleep(0.02)
        assert fetcher._session.close_idle(60) == 0


def test_a_tls_connection_serves_its_name_again(
    make_fetcher: MakeFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    fetcher = make_fetcher(resolve=lambda _host: [ALLOWED])
    with http_server(serve, tls=True) as server:
        for _ in range(3):
            assert fetcher.fetch(f"https://pictures.test:{server.port}/") == b"body"
        with pytest.raises(FetchError):  # certified for another name, on the same address
            fetcher.fetch(f"https://other.test:{server.port}/")
    assert server.server_names == ["pictures.test", "other.test"]


@pytest.mark.parametrize("says", [b"", OK, OK + b"Content-Length: 5\r\n\r\nhe"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_cancelled_download_ends_at_once(
    says: bytes, scheme: str, make_fetcher: MakeFetcher
) -> None:
    with talker(says) as server:
        download = make_fetcher(fetch_timeout_s=60).begin(f"{scheme}://{server.host}/")
        ended: list[BaseException] = []

        def run() -> None:
            try:
                download.hop()
            except FetchError as error:
                ended.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        time.sleep(0.1)
        download.cancel()
        thread.join(10)
        assert ended


def test_what_is_closed_cannot_be_cancelled_any_more(
    make_fetcher: MakeFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its descriptor may be that of another download a moment later."""
    left: list[bool] = []
    close = Connection.close

    def closed(connection: Connection) -> None:
        left.append(connection.budget.socket is None)
        close(connection)

    with talker(b"garbage that is no HTTP\r\n\r\n") as server:
        monkeypatch.setattr(Connection, "close", closed)
        with pytest.raises(BadAnswerError):
            make_fetcher().fetch(f"http://{server.host}/")
    assert left[-1:] == [True]


def test_a_download_that_is_cancelled_between_hops_ends_no_other(make_fetcher: MakeFetcher) -> None:
    fetcher = make_fetcher()
    moved = b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"
    with talker(moved, HELLO, HELLO) as server:
        download = fetcher.begin(f"http://{server.host}/a")
        assert download.hop() is None
        download.cancel()  # its connection is idle now, and serves the next download
        assert fetcher.fetch(f"http://{server.host}/") == b"hello"
        assert server.connections == 1
        with pytest.raises(FetchError):
            download.hop()
