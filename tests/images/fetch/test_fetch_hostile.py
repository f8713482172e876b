"""What a download does with servers that mean harm, or are broken.

Servers that drip or repeat would go on for longer than the whole test may take: only the budget
ends a download from them.
"""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from images.errors import (
    BadAnswerError,
    FetchError,
    FetchTimeoutError,
    HttpStatusError,
    TooLargeError,
    UnreachableError,
)
from tests.images.conftest import MakeFetcher
from tests.images.fetch.servers import ALLOWED, http_server, raw_server

pytestmark = pytest.mark.timeout(60)
OK = b"HTTP/1.1 200 OK\r\n"


def drip(connection: socket.socket, start: bytes, piece: bytes) -> None:
    """Send a little every now and then, for far longer than the test may take."""
    connection.sendall(start)
    for _ in range(6000):
        connection.sendall(piece)
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"", b""),
        (OK, b""),
        (b"HTTP/1.1 ", b"2"),
        (OK + b"X: ", b"x"),
        (OK, b"X-%d: y\r\n"),
        (OK + b"Content-Length: 100000\r\n\r\n", b"x"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
        (OK + b"\r\n", b"x"),
        (b"HTTP/1.1 302 Found\r\nLocation: ", b"x"),
    ],
)
def test_a_slow_answer_ends_at_the_deadline(
    start: bytes, piece: bytes, make_fetcher: MakeFetcher
) -> None:
    with (
        raw_server(lambda connection: drip(connection, start, piece)) as host,
        pytest.raises(FetchTimeoutError, match=r"longer than 0\.4 seconds"),
    ):
        make_fetcher(fetch_timeout_s=0.4).fetch(f"http://{host}/")


def test_the_deadline_covers_all_redirects_together(make_fetcher: MakeFetcher) -> None:
    def redirect(_path: str) -> tuple[int, dict[str, str], bytes]:
        time.sleep(0.3)
        return 302, {"Location": "/again"}, b""

    with http_server(redirect) as server, pytest.raises(FetchTimeoutError):
        make_fetcher(fetch_timeout_s=2, max_redirects=20).fetch(server.url)
    assert 1 < len(server.requests) < 20


def test_a_redirect_when_the_time_is_over_is_a_timeout(make_fetcher: MakeFetcher) -> None:
    def redirect(_path: str) -> tuple[int, dict[str, str], bytes]:
        return 302, {"Location": other.url}, b""

    with http_server(lambda _: (200, {}, b"body")) as other, http_server(redirect) as server:
        download = make_fetcher(fetch_timeout_s=30).begin(server.url)
        assert download.hop() is None
        download._budget.left_s = 0.0
        with pytest.raises(FetchTimeoutError):
            download.hop()
    assert other.requests == []


def test_a_hanging_name_lookup_ends_at_the_deadline(make_fetcher: MakeFetcher) -> None:
    release = threading.Event()

    def hang(_host: str) -> Sequence[str]:
        release.wait(120)
        return [ALLOWED]

    try:
        with pytest.raises(UnreachableError) as caught:
            make_fetcher(resolve=hang, fetch_timeout_s=0.3).fetch("http://slow.test/")
        assert "lookup" in caught.value.detail
    finally:
        release.set()


def test_a_silent_address_ends_at_the_deadline(make_fetcher: MakeFetcher) -> None:
    with socket.create_server((ALLOWED, 0), backlog=0) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for filler in waiting:  # a full queue: the kernel answers no further SYN
            filler.setblocking(False)
            filler.connect_ex(address)
        with pytest.raises(UnreachableError) as caught:
            make_fetcher(fetch_timeout_s=0.4).fetch(f"http://{address[0]}:{address[1]}/")
        for filler in waiting:
            filler.close()
    assert "timed out" in caught.value.detail


def endless(start: bytes, piece: bytes) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(piece * 1000)

    return talk


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (OK + b"\r\n", b"x" * 100),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nxxxxx\r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 50 + b"\r\nx\r\n"),
    ],
)
def test_an_endless_answer_ends_at_the_size_limit(
    start: bytes, piece: bytes, make_fetcher: MakeFetcher
) -> None:
    with raw_server(endless(start, piece)) as host, pytest.raises(TooLargeError):
        make_fetcher(max_image_bytes=100_000, fetch_timeout_s=50).fetch(f"http://{host}/")


def test_endless_trailers_end_at_the_size_limit_or_before(make_fetcher: MakeFetcher) -> None:
    """Newer Pythons' `http.client` takes a hundred of them at most."""
    start = OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
    ends = pytest.raises((TooLargeError, BadAnswerError))
    with raw_server(endless(start, b"T: x\r\n")) as host, ends:
        make_fetcher(max_image_bytes=100_000, fetch_timeout_s=50).fetch(f"http://{host}/")


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"", b"x"),
        (OK, b"X: y\r\n"),
        (OK + b"X: ", b"y"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x"),
        (OK, b"X: " + b"y" * 5000 + b"\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        (b"HTTP/1.1 103 Early Hints\r\n", b"X: y\r\n"),
    ],
)
def test_endless_headers_are_refused(start: bytes, piece: bytes, make_fetcher: MakeFetcher) -> None:
    with raw_server(endless(start, piece)) as host, pytest.raises(BadAnswerError):
        make_fetcher(fetch_timeout_s=50).fetch(f"http://{host}/")


@pytest.mark.parametrize("length", ["100001", "99999999999999999999999999"])
def test_a_longer_content_length_is_refused_unread(length: str, make_fetcher: MakeFetcher) -> None:
    # The body never comes: whoever waits for it runs into the deadline instead.
    announce = OK + f"Content-Length: {length}\r\n\r\n".encode()
    with (
        raw_server(lambda connection: drip(connection, announce, b"")) as host,
        pytest.raises(TooLargeError, match="100,000 bytes"),
    ):
        make_fetcher(max_image_bytes=100_000, fetch_timeout_s=20).fetch(f"http://{host}/")


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 100\r\n\r\nonly this",
        OK + b"Content-Length: 100\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: identity\r\n\r\nx",
        OK + b"Content-Length: -1\r\n\r\nx",
        OK + b"Content-Length: +1\r\n\r\nx",
        OK + b"Content-Length: 1_0\r\n\r\n0123456789",
        OK + b"Content-Length: 1, 1\r\n\r\nx",
        OK + b"Content-Length: \r\n\r\nx",
        OK + b"Content-Length: 0x1\r\n\r\nx",
        OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nx",
        b"HTTP/2 200\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/3.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18),
        b"ICY 200 OK\r\n\r\nx",
        b"HTTP/1.1 99 Odd\r\n\r\nx",
        b"HTTP/1.1 1000 Odd\r\n\r\nx",
        b"HTTP/1.1 -200 OK\r\n\r\nx",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        OK + b"\r\n",
        b"",
        b"\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x00\x01\x02\x03",
        b"<html>hello</html>",
    ],
)
def test_a_broken_answer_is_refused_in_one_line(answer: bytes, make_fetcher: MakeFetcher) -> None:
    with (
        raw_server(lambda connection: connection.sendall(answer)) as host,
        pytest.raises(BadAnswerError) as caught,
    ):
        make_fetcher().fetch(f"http://{host}/")
    assert "\n" not in str(caught.value)
    assert ALLOWED not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 102 P\r\n\r\nHTTP/1.1 100 C\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        OK + b"\r\nhello",
        OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\nZ: y\r\n\r\n",
        OK + b"Refresh: 0; url=http://127.0.0.2/\r\nContent-Length: 5\r\n\r\nhello",
        OK + b"Location: http://127.0.0.2/\r\nContent-Length: 5\r\n\r\nhello",
        OK + b"Content-Range: bytes 0-4/9\r\nContent-Length: 5\r\n\r\nhello",
        OK + b"Content-Type: text/html\r\nX-\xff: \xff\r\nContent-Length: 5\r\n\r\nhello",
        OK + b"X: a\r\n b\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
def test_an_odd_answer_that_is_clear_is_taken(answer: bytes, make_fetcher: MakeFetcher) -> None:
    with raw_server(lambda connection: connection.sendall(answer)) as host:
        assert make_fetcher().fetch(f"http://{host}/") == b"hello"


@pytest.mark.parametrize("status", [101, 204, 206, 300, 304, 305, 418, 599, 999])
def test_no_body_is_taken_from_another_status(status: int, make_fetcher: MakeFetcher) -> None:
    answer = f"HTTP/1.1 {status} Odd\r\nLocation: /x\r\nContent-Length: 5\r\n\r\nhello".encode()
    with (
        raw_server(lambda connection: connection.sendall(answer)) as host,
        pytest.raises(HttpStatusError, match=f"answered {status} "),
    ):
        make_fetcher().fetch(f"http://{host}/")


def test_chunks_of_one_byte_each_are_refused_before_they_cost_much(
    make_fetcher: MakeFetcher,
) -> None:
    start = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    with (
        raw_server(endless(start, b"1\r\nx\r\n")) as host,
        pytest.raises(BadAnswerError, match="small chunks"),
    ):
        make_fetcher(fetch_timeout_s=50).fetch(f"http://{host}/")


def test_a_lying_content_length_gives_no_more_than_it_says(make_fetcher: MakeFetcher) -> None:
    answer = OK + b"Content-Length: 5\r\n\r\nhello and then some"
    with raw_server(lambda connection: connection.sendall(answer)) as host:
        assert make_fetcher().fetch(f"http://{host}/") == b"hello"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "identity, gzip"])
def test_a_compressed_body_is_refused_and_never_unpacked(
    encoding: str, make_fetcher: MakeFetcher
) -> None:
    bomb = gzip.compress(bytes(2**22))
    with (
        http_server(lambda _: (200, {"Content-Encoding": encoding}, bomb)) as server,
        pytest.raises(BadAnswerError, match="compressed"),
    ):
        make_fetcher().fetch(server.url)


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_an_identity_encoding_is_none(encoding: str, make_fetcher: MakeFetcher) -> None:
    with http_server(lambda _: (200, {"Content-Encoding": encoding}, b"body")) as server:
        assert make_fetcher().fetch(server.url) == b"body"


def test_the_body_of_a_redirect_is_not_read(make_fetcher: MakeFetcher) -> None:
    """By itself, requests reads and unpacks it all, even when it is not to follow."""
    with http_server(lambda _: (200, {}, b"body")) as server:
        head = f"HTTP/1.1 302 Found\r\nLocation: {server.url}\r\nContent-Encoding: gzip\r\n\r\n"
        bomb = gzip.compress(bytes(2**26))
        with raw_server(endless(head.encode() + bomb, b"x" * 100)) as host:
            assert make_fetcher(max_image_bytes=1000).fetch(f"http://{host}/") == b"body"


def test_a_reset_connection_is_an_error_of_this_room(make_fetcher: MakeFetcher) -> None:
    def reset(connection: socket.socket) -> None:
        linger_for_no_time = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_no_time)

    with raw_server(reset) as host, pytest.raises(FetchError):
        make_fetcher().fetch(f"http://{host}/")
