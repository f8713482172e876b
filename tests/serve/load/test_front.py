"""HTTP as strangers write it, against the real server: no 5xx, and the worker stays."""

import psutil
import pytest
import requests

from api.serving.patches.server import MAX_PIPELINED
from demo.process import ServiceProcess
from tests.serve.wire import HOST, POST, exchange


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
    ("absolute", (get(b"http://localhost/heartbeat"),), b" 200 ", b"Api is running"),
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
    ("HEAD of a probe", (b"HEAD /readyz HTTP/1.1\r\n" + HOST + b"\r\n",), b" 200 ", b"nosniff"),
    ("HEAD of metrics", (b"HEAD /metrics HTTP/1.1\r\n" + HOST + b"\r\n",), b" 200 ", b"nosniff"),
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
    assert requests.get(f"{service.url}/heartbeat", timeout=60).ok
    assert worker(service) == before


def test_few_requests_wait_on_one_connection(service: ServiceProcess) -> None:
    """They come in one packet; those that were taken are answered, then the connection ends."""
    before = worker(service)
    got = exchange(service, (POST + b"Content-Length: 2\r\n\r\n{}") * 500, to_the_end=True)
    assert got.count(b"HTTP/1.1 400 ") == got.count(NO_URL) == MAX_PIPELINED + 1
    assert worker(service) == before
