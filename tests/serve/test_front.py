"""HTTP as strangers write it, against the real server: no 5xx, and the worker stays."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest
import requests

from api.http1 import MAX_PIPELINED
from demo.process import ServiceProcess
from tests.serve.conftest import environment

KEY = "a-key-that-is-long"
BEARER = {"Authorization": f"Bearer {KEY}"}
ORIGIN = "https://shop.example"
SAFE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
HOST = b"Host: x\r\n"
JSON = HOST + b"Content-Type: application/json\r\n"
POST = b"POST /run_object_detection HTTP/1.1\r\n" + JSON


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service with a key, one place and an origin."""
    folder = tmp_path_factory.mktemp("locked")
    settings = environment(
        folder,
        IMAGE_SEARCH_API_KEYS=KEY,
        IMAGE_SEARCH_MAX_IN_FLIGHT="1",
        IMAGE_SEARCH_CORS_ORIGINS=ORIGIN,
        IMAGE_SEARCH_FETCH_TIMEOUT_S="8",
    )
    with ServiceProcess(settings, folder / "log") as running:
        yield running


def exchange(service: ServiceProcess, *parts: bytes) -> bytes:
    """Send the parts, each in a packet of its own; all that comes back until it is quiet."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as client:
        for part in parts:
            with suppress(ConnectionError):
                client.sendall(part)
            time.sleep(0.05)
        client.settimeout(0.4)
        got = b""
        try:
            while chunk := client.recv(65_536):
                got += chunk
        except (TimeoutError, ConnectionResetError):  # it may close on what it does not read
            pass
        return got


def is_safe(answer: requests.Response) -> bool:
    return all(answer.headers.get(name) == value for name, value in SAFE.items())


def worker(service: ServiceProcess) -> int:
    """The process that answers requests."""
    assert service.process is not None
    children = psutil.Process(service.process.pid).children(recursive=True)
    [api] = [one for one in children if "ImageSearch" in one.cmdline()]
    return int(api.pid)


def get(target: bytes) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n"


def chunked(*chunks: bytes) -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in chunks)
    return b"Transfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"


UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
LONG_EXTENSION = b"Transfer-Encoding: chunked\r\n\r\n2;"
TRAILERS = b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
EXPECT = b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
INVALID = b'"code": "bad_request"'
NO_URL = b"url not provided error"
GET = b"GET /heartbeat HTTP/1.1\r\n" + HOST
CASES: list[tuple[str, tuple[bytes, ...], bytes, bytes]] = [
    ("chunked", (POST + chunked(b"{", b"}"),), b" 400 ", NO_URL),
    ("chunked and too large", (POST + chunked(*[b" " * 65_536] * 20),), b" 413 ", b"larger than"),
    ("slow parts", (POST + b"Content-Length: 2\r\n", b"\r\n", b"{", b"}"), b" 400 ", NO_URL),
    ("huge length", (POST + b"Content-Length: 999999999\r\n\r\n",), b" 413 ", b"larger than"),
    ("short length", (POST + b"Content-Length: 1\r\n\r\n{}",), b" 400 ", b"EOF"),
    ("negative length", (POST + b"Content-Length: -2\r\n\r\n{}",), b" 400 ", b""),
    ("two lengths", (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",), b" 400 ", b""),
    ("unknown coding", (POST + b"Transfer-Encoding: gzip\r\n\r\n",), b" 400 ", b""),
    ("bad chunk", (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}",), b" 400 ", b""),
    ("compressed", (POST + b"Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n",), b" 415 ", b""),
    ("no body", (POST + b"\r\n",), b" 400 ", NO_URL),
    ("expects", (POST + EXPECT, b"{}"), b" 100 ", NO_URL),
    ("a body with GET", (GET + b"Content-Length: 3\r\n\r\nabc",), b" 200 ", b"Api is running"),
    ("HTTP/1.0", (b"GET /heartbeat HTTP/1.0\r\n\r\n",), b" 200 ", b"Api is running"),
    ("no host", (b"GET /heartbeat HTTP/1.1\r\n\r\n",), b" 400 ", b""),
    ("HTTP/3.7", (b"GET /heartbeat HTTP/3.7\r\n\r\n",), b" 400 ", INVALID),
    ("no HTTP", (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",), b" 400 ", b""),
    ("HTTP/2", (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",), b" 400 ", INVALID),
    ("a huge header", (GET + b"X: ", *[b"a" * 10_000] * 7), b" 400 ", b""),
    ("headers for ever", (GET, *[b"X: a\r\n" * 1000] * 20), b" 400 ", b""),
    ("a thousand headers", (GET + b"X: a\r\n" * 1000 + b"\r\n",), b" 200 ", b"Api is running"),
    ("a header's bytes", (GET + b"X: \xff\xfe\r\nY: \t\r\n\r\n",), b" 200 ", b"Api is running"),
    ("a bad header", (GET + b"X Y: 1\r\n\r\n",), b" 400 ", b""),
    ("NUL in a header", (GET + b"X: a\0b\r\n\r\n",), b" 400 ", b""),
    ("a folded header", (GET + b"X: a\r\n b\r\n\r\n",), b" 400 ", INVALID),
    ("encoded", (get(b"/%68eartbeat"),), b" 200 ", b"Api is running"),
    ("two slashes", (get(b"//heartbeat"),), b" 404 ", b"not_found"),
    ("absolute", (get(b"http://x/heartbeat"),), b" 200 ", b"Api is running"),
    ("a star", (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",), b" 404 ", b"not_found"),
    ("CONNECT", (b"CONNECT 127.0.0.1:22 HTTP/1.1\r\n" + HOST + b"\r\n",), b" 400 ", INVALID),
    ("TRACE", (b"TRACE /heartbeat HTTP/1.1\r\n" + HOST + b"\r\n",), b" 405 ", b"method_not"),
    ("an odd method", (b"FOO /heartbeat HTTP/1.1\r\n" + HOST + b"\r\n",), b" 400 ", INVALID),
    ("a long path", (get(b"/" + b"a" * 50_000),), b" 404 ", b""),
    ("up", (get(b"/static_content/../../http.py"),), b" 404 ", b""),
    ("up, encoded", (get(b"/static_content/%2e%2e%2fbase_app.py"),), b" 404 ", b""),
    ("an absolute file", (get(b"/static_content//etc/passwd"),), b" 404 ", b""),
    ("NUL in a path", (get(b"/static_content/%00"),), b" 404 ", b""),
    ("no UTF-8 in a path", (get(b"/images/%ff%fe"),), b" 404 ", b""),
    ("a long query", (get(b"/images?limit=" + b"1" * 9000),), b" 400 ", b"the query is"),
    ("HEAD", (b"HEAD /heartbeat HTTP/1.1\r\n" + HOST + b"\r\n",), b" 200 ", b"nosniff"),
    ("a WebSocket", (GET + UPGRADE,), b" 403 ", b""),
    ("another protocol", (GET + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",), b" 200 ", b"Api"),
    ("POST, another protocol", (POST + H2C + b"Content-Length: 2\r\n\r\n{}",), b" 400 ", NO_URL),
    ("two hosts", (GET + HOST + b"\r\n",), b" 400 ", INVALID),
    ("both lengths", (POST + b"Content-Length: 2\r\n" + chunked(b"{}"),), b" 400 ", INVALID),
    ("a chunk's long extension", (POST + LONG_EXTENSION, *[b"a" * 10_000] * 7), b" 400 ", INVALID),
    ("trailers for ever", (POST + TRAILERS, *[b"X: a\r\n" * 1000] * 20), b" 400 ", b""),
    ("a trailer", (POST + TRAILERS + b"X-Request-ID: late\r\n\r\n",), b" 400 ", NO_URL),
    ("empty lines for ever", (b"\r\n" * 40_000,), b" 400 ", INVALID),
    ("garbage after", (GET + b"\r\n\0\0",), b" 200 ", b"Api is running"),
    ("pipelined", ((GET + b"\r\n") * 3 + GET + b"Connection: close\r\n\r\n",), b" 200 ", b"Api"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("parts", "status", "said"), [one[1:] for one in CASES], ids=[one[0] for one in CASES]
)
def test_what_strangers_write(
    service: ServiceProcess, parts: tuple[bytes, ...], status: bytes, said: bytes
) -> None:
    before = worker(service)
    got = exchange(service, *parts)
    assert status in got.split(b"\r\n")[0], got[:300]
    assert said in got
    assert requests.get(f"{service.url}/heartbeat", timeout=10).ok
    assert worker(service) == before


def test_few_requests_wait_on_one_connection(service: ServiceProcess) -> None:
    """They come in one packet; those that were taken are answered, then the connection ends."""
    before = worker(service)
    got = exchange(service, (POST + b"Content-Length: 2\r\n\r\n{}") * 500)
    assert got.count(b"HTTP/1.1 400 ") == got.count(NO_URL) == MAX_PIPELINED + 1
    assert worker(service) == before


PATHS = (
    "",
    "heartbeat",
    "metrics",
    "healthz",
    "docs.json",
    "schema.json",
    "docs",
    "page/nothing.js",
    "static_content/nothing.css",
    "nowhere",
    "images",
    "run_object_detection",
)


@pytest.mark.parametrize("path", PATHS)
def test_every_path_is_locked_and_safe(locked: ServiceProcess, path: str) -> None:
    url = f"{locked.url}/{path}"
    for method in ("GET", "HEAD", "OPTIONS", "DELETE"):
        for key in (None, "", f"Basic {KEY}", KEY, f"Bearer {KEY}x", "Bearer"):
            headers = None if key is None else {"Authorization": key}
            assert requests.request(method, url, headers=headers, timeout=10).status_code == 401
    for headers in ({}, BEARER, {"Authorization": f"bearer  {KEY} "}):
        answer = requests.get(url, headers={**headers, "X-Request-ID": "mine-1"}, timeout=10)
        assert (answer.status_code == 401) == (not headers)
        assert answer.status_code < 500
        assert is_safe(answer)
        assert answer.headers["X-Request-ID"] == "mine-1"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert not {"Server", "X-BentoML-Request-ID"} & answer.headers.keys()


def test_the_probes_are_open_and_safe(locked: ServiceProcess) -> None:
    for path in ("livez", "readyz"):
        answer = requests.get(f"{locked.url}/{path}", timeout=10)
        assert answer.status_code == 200
        assert is_safe(answer)


def test_nothing_tells_versions(locked: ServiceProcess) -> None:
    for path in ("docs.json", "schema.json", "nowhere", ""):
        answer = requests.get(f"{locked.url}/{path}", headers=BEARER, timeout=10)
        assert "1.4.39" not in answer.text
        assert "/site-packages/" not in answer.text


class Hanging:
    """A file server that takes connections and never answers."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/x.jpg"

    def wait_for_end(self, within_s: float) -> None:
        """Wait until who asked first has closed the connection; raises TimeoutError."""
        connection, _ = self._socket.accept()
        with connection:
            connection.settimeout(within_s)
            while connection.recv(65_536):
                pass

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    server = Hanging()
    yield server
    server.close()


def head(length: int) -> bytes:
    return POST + f"Authorization: Bearer {KEY}\r\nContent-Length: {length}\r\n\r\n".encode()


def post(url: str) -> bytes:
    body = json.dumps({"url": url}).encode()
    return (
        POST + f"Authorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )


@contextmanager
def full(locked: ServiceProcess, hanging: Hanging) -> Iterator[None]:
    """The one place is taken, by a client that stays until the block ends."""
    deadline = time.monotonic() + 15
    while True:
        with socket.create_connection(("127.0.0.1", locked.port)) as client:
            client.sendall(post(hanging.url))
            client.settimeout(1)
            with suppress(TimeoutError):
                answer = client.recv(65_536)  # another request, just ending, had the place
                assert answer.startswith(b"HTTP/1.1 429 "), answer
                assert time.monotonic() < deadline
                continue
            until(locked, full=True, within_s=5)
            yield
            return


def until(locked: ServiceProcess, *, full: bool, within_s: float) -> None:
    """Wait until the one place is taken, or free, as a request sees it that has no url."""
    deadline = time.monotonic() + within_s
    url = f"{locked.url}/run_object_detection"
    while (requests.post(url, json={}, headers=BEARER, timeout=10).status_code == 429) != full:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_full_service_refuses_at_once_and_is_alive(
    locked: ServiceProcess, hanging: Hanging
) -> None:
    with full(locked, hanging):
        cross = {**BEARER, "Origin": ORIGIN}
        url = f"{locked.url}/run_object_detection"
        refused = requests.post(url, json={"url": "x"}, headers=cross, timeout=10)
        assert (refused.status_code, refused.json()["code"]) == (429, "overloaded")
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert is_safe(refused)
        # A body that never comes changes nothing: it is not waited for.
        assert exchange(locked, head(9)).startswith(b"HTTP/1.1 429 ")
        assert requests.post(url, json={"url": "x"}, timeout=10).status_code == 401
        for path in ("heartbeat", "metrics", "livez", "readyz"):
            assert requests.get(f"{locked.url}/{path}", headers=BEARER, timeout=10).ok
        wanted = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
        assert requests.options(url, headers=wanted, timeout=10).ok
    until(locked, full=False, within_s=6)


def test_who_goes_away_ends_their_request(locked: ServiceProcess, hanging: Hanging) -> None:
    """Long before the download's 8 s are over; nothing is an error, and no metric is left up."""
    for _ in range(5):
        with full(locked, hanging):
            pass
        until(locked, full=False, within_s=6)
        hanging.wait_for_end(4)  # the download has ended, too
    metrics = requests.get(f"{locked.url}/metrics", headers=BEARER, timeout=10).text
    [running] = [
        line
        for line in metrics.splitlines()
        if "request_in_progress{" in line and "/run_object_detection" in line
    ]
    assert running.endswith(" 0.0")
    log = locked.log.read_text(errors="replace")
    assert "Traceback" not in log
    assert "[ERROR]" not in log


def test_slow_bodies_lock_nobody_out(locked: ServiceProcess) -> None:
    slow = [socket.create_connection(("127.0.0.1", locked.port)) for _ in range(40)]
    try:
        for client in slow:
            client.sendall(head(9) + b"{")
        time.sleep(0.3)
        answer = requests.post(
            f"{locked.url}/run_object_detection", json={}, headers=BEARER, timeout=10
        )
        assert answer.status_code == 400
    finally:
        for client in slow:
            client.close()


def test_pages_of_other_origins_are_not_let_in(locked: ServiceProcess) -> None:
    headers = {**BEARER, "Origin": "https://evil.example"}
    answer = requests.get(f"{locked.url}/heartbeat", headers=headers, timeout=10)
    assert "Access-Control-Allow-Origin" not in answer.headers
