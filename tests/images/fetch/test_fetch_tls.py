"""Downloads over TLS: the name is verified, the address is the judged one."""

import socket
import time

import pytest

from images.errors import FetchTimeoutError, TlsError, TooLargeError, UnreachableError
from tests.images.conftest import BlockingFetcher, MakeFetcher
from tests.images.fetch.servers import ALLOWED, CERTIFICATE, Canary, Server, http_server, raw_server

BODY = b"a picture" * 10_000


@pytest.fixture
def fetcher(make_fetcher: MakeFetcher, monkeypatch: pytest.MonkeyPatch) -> BlockingFetcher:
    """Trusts the test's certificate as a deployment would have it trust its own."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    return make_fetcher(
        resolve=lambda _host: [ALLOWED], fetch_timeout_s=1.0, max_image_bytes=100_000
    )


def tls_url(server: Server, name: str = "pictures.test") -> str:
    return f"https://{name}:{server.port}/"


def test_the_certificate_is_checked_for_the_name(fetcher: BlockingFetcher) -> None:
    with http_server(lambda _: (200, {}, BODY), tls=True) as server:
        assert fetcher.fetch(tls_url(server)) == BODY
        assert fetcher.fetch(tls_url(server, "PICTURES.test.")) == BODY
        assert server.server_names == ["pictures.test", "pictures.test"]
        for other in ("other.test", "a.pictures.test", ALLOWED):
            with pytest.raises(TlsError, match="certificate"):
                fetcher.fetch(tls_url(server, other))
    assert len(server.requests) == 2


def test_an_unknown_authority_is_refused(make_fetcher: MakeFetcher) -> None:
    fetcher = make_fetcher(resolve=lambda _host: [ALLOWED])
    with http_server(lambda _: (200, {}, BODY), tls=True) as server, pytest.raises(TlsError):
        fetcher.fetch(tls_url(server))
    assert server.requests == []


def test_plain_http_on_a_tls_port_is_an_error_of_tls(fetcher: BlockingFetcher) -> None:
    with http_server(lambda _: (200, {}, BODY)) as server, pytest.raises(TlsError):
        fetcher.fetch(tls_url(server))


def test_a_forbidden_address_is_not_even_greeted(make_fetcher: MakeFetcher, canary: Canary) -> None:
    with pytest.raises(UnreachableError):
        make_fetcher().fetch(f"https://{canary.host}/")


def test_redirects_may_change_the_scheme(fetcher: BlockingFetcher) -> None:
    with (
        http_server(lambda _: (200, {}, BODY), tls=True) as secure,
        http_server(lambda _: (302, {"Location": tls_url(secure)}, b"")) as plain,
    ):
        assert fetcher.fetch(f"http://pictures.test:{plain.port}/") == BODY


@pytest.mark.parametrize("start", [b"", b"\x16\x03\x03\x40\x00"])
def test_a_slow_handshake_ends_at_the_deadline(start: bytes, fetcher: BlockingFetcher) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(start)
        for _ in range(6000):
            if start:
                connection.sendall(b"\x02")
            time.sleep(0.02)

    with raw_server(drip) as host, pytest.raises(FetchTimeoutError):
        fetcher.fetch(f"https://pictures.test:{host.split(':')[1]}/")


def test_a_slow_body_ends_at_the_deadline(fetcher: BlockingFetcher) -> None:
    def slow(_path: str) -> tuple[int, dict[str, str], bytes]:
        time.sleep(0.6)
        return 302, {"Location": "/"}, b""

    with http_server(slow, tls=True) as server, pytest.raises(FetchTimeoutError):
        fetcher.fetch(tls_url(server))


def test_a_large_body_is_refused(fetcher: BlockingFetcher) -> None:
    chunked = {"Transfer-Encoding": "chunked"}
    body = b"ffff\r\n" + bytes(0xFFFF) + b"\r\n"
    with (
        http_server(lambda _: (200, chunked, body * 20), tls=True) as server,
        pytest.raises(TooLargeError),
    ):
        fetcher.fetch(tls_url(server))
