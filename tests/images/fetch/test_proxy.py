"""Downloads through a proxy: what it is asked for, and what it is never asked for."""

import base64
import logging
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from images.errors import FetchError, HttpStatusError, TlsError, UnreachableError
from images.settings import FetchSettings, Proxy
from tests.images.conftest import BlockingFetcher, MakeFetcher
from tests.images.fetch.proxies import small_proxy, tinyproxy
from tests.images.fetch.servers import CERTIFICATE, Canary, http_server, raw_server

BODY = b"a picture" * 10_000


def serve(_path: str) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, BODY


def not_asked(host: str) -> list[str]:
    pytest.fail(f"{host} was looked up here: behind a proxy that is the proxy's work")


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))


def behind(make: MakeFetcher, url: str, **settings: Any) -> BlockingFetcher:
    return make(**{"resolve": not_asked, "allow_networks": "", "fetch_proxy": url, **settings})


def test_http_goes_in_absolute_form_and_https_by_connect(make_fetcher: MakeFetcher) -> None:
    with (
        small_proxy() as proxy,
        http_server(serve) as plain,
        http_server(serve, tls=True) as secure,
    ):
        fetcher = behind(make_fetcher, proxy.url.replace("//", "//user:p%40ss@"))
        one = f"http://Pictures.test.:{plain.port}/a.jpg?x=1"
        two = f"https://pictures.test.:{secure.port}/b.jpg"
        for url in (one, one, two, two):
            assert fetcher.fetch(url) == BODY
    assert proxy.targets == [
        f"http://pictures.test:{plain.port}/a.jpg?x=1",
        f"http://pictures.test:{plain.port}/a.jpg?x=1",
        f"pictures.test:{secure.port}",
    ]
    basic = base64.b64encode(b"user:p@ss").decode()
    assert all(f"\r\nProxy-Authorization: Basic {basic}\r\n" in head for head in proxy.heads)
    assert [path for path, _ in plain.requests] == ["/a.jpg?x=1"] * 2
    assert [path for path, _ in secure.requests] == ["/b.jpg"] * 2
    assert secure.server_names == ["pictures.test"]
    told = [headers for server in (plain, secure) for _, headers in server.requests]
    assert plain.requests[0][1]["Host"] == f"pictures.test:{plain.port}"
    assert not any(name.startswith("Proxy-") for _, each in secure.requests for name in each)
    assert all(headers["Accept-Encoding"] == "identity" for headers in told)


def test_the_certificate_is_checked_within_the_tunnel(make_fetcher: MakeFetcher) -> None:
    with (
        small_proxy() as proxy,
        http_server(serve, tls=True) as server,
        pytest.raises(TlsError),
    ):
        behind(make_fetcher, proxy.url).fetch(f"https://other.test:{server.port}/")
    assert not server.requests


BLOCKED = [
    "http://127.0.0.1/",
    "http://127.0.0.2:{port}/",
    "http://127.0.0.1./",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://0x7f.1./",
    "http://127.1/",
    "http://010.0.0.1/",  # 8.0.0.1 here, 10.0.0.1 elsewhere
    "http://8.8.8.010/",
    "http://169.254.169.254/latest/meta-data/",
    "https://10.0.0.1/",
    "http://[::1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[64:ff9b::a00:1]/",
    "http://localhost/",
    "http://LOCALHOST./",
    "http://a.localhost/",
    "http://metadata.google.internal/",
    "http://router.local/",
    "http://nas.home.arpa/",
    "http://intranet/",
    "http://redis:8000/",
    "http://1.2.3.4.5/",
    "http://pictures.test:22/",
    "https://pictures.test:6379/",
]


@pytest.mark.parametrize("url", BLOCKED)
def test_a_proxy_is_no_way_round_the_rules(
    url: str, make_fetcher: MakeFetcher, canary: Canary
) -> None:
    with small_proxy() as proxy:
        fetcher = behind(make_fetcher, proxy.url)
        url = url.replace("{port}", str(canary.port))
        with pytest.raises(FetchError) as caught:
            fetcher.fetch(url)
        direct = str(UnreachableError(""))
        assert str(caught.value) == direct or "invalid host name" in str(caught.value)
    assert proxy.heads == []


@pytest.mark.parametrize("where", ["http://127.0.0.2/", "http://localhost/", "https://10.1.1.1/"])
def test_a_redirect_is_judged_too(where: str, make_fetcher: MakeFetcher) -> None:
    with (
        small_proxy() as proxy,
        http_server(lambda _: (302, {"Location": where}, b"")) as server,
        pytest.raises(UnreachableError),
    ):
        behind(make_fetcher, proxy.url).fetch(f"http://pictures.test:{server.port}/")
    assert len(proxy.heads) == 1


def test_public_addresses_and_what_is_allowed_go_through(make_fetcher: MakeFetcher) -> None:
    with small_proxy() as proxy, http_server(serve) as server:
        fetcher = behind(make_fetcher, proxy.url, allow_networks="127.0.0.0/8,cdn.internal")
        for host in ("8.8.8.8", "127.0.0.9", "cdn.internal", "[2606:4700::1111]"):
            assert fetcher.fetch(f"http://{host}:{server.port}/") == BODY
    assert len(proxy.heads) == 4


def test_a_proxy_that_is_down_is_told_in_the_log_alone(
    make_fetcher: MakeFetcher, caplog: pytest.LogCaptureFixture
) -> None:
    fetcher = behind(make_fetcher, "http://user:secret-word@127.0.0.1:9")
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            with pytest.raises(UnreachableError) as caught:
                fetcher.fetch("https://pictures.test/")
    assert str(caught.value) == str(UnreachableError(""))
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "IMAGE_SEARCH_FETCH_PROXY" in caplog.text
    assert "secret-word" not in caplog.text + caught.value.detail


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 403 Forbidden\r\n\r\n",
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 3\r\n\r\nwho",
        b"HTTP/1.1 503 Unavailable\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2/\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
        b"HTTP/1.1 2",
    ],
)
def test_a_proxy_that_does_not_connect_is_a_host_that_cannot_be_reached(
    answer: bytes, make_fetcher: MakeFetcher
) -> None:
    with small_proxy(answer) as proxy:
        fetcher = behind(make_fetcher, proxy.url)
        with pytest.raises(UnreachableError, match="could not be reached"):
            fetcher.fetch("https://pictures.test/")


def test_what_comes_with_the_tunnel_is_no_handshake(make_fetcher: MakeFetcher) -> None:
    with small_proxy(b"HTTP/1.1 200 OK\r\n\r\n" + BODY) as proxy, pytest.raises(FetchError):
        behind(make_fetcher, proxy.url).fetch("https://pictures.test/")


def test_a_silent_proxy_takes_the_time_of_a_connection(make_fetcher: MakeFetcher) -> None:
    with raw_server(lambda connection: time.sleep(3)) as host:
        fetcher = behind(make_fetcher, f"http://{host}", connect_timeout_s=0.5)
        download, before = fetcher.begin("https://pictures.test/"), time.monotonic()
        with pytest.raises(UnreachableError):
            download.hop()
        assert time.monotonic() - before < 2
        assert download.unreachable_at - before < 0.7


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("", None),
        ("http://proxy.corp:3128", Proxy("proxy.corp", 3128)),
        ("http://10.0.0.7:8080/", Proxy("10.0.0.7", 8080)),
        ("http://[fd00::7]:8080", Proxy("fd00::7", 8080)),
        ("http://proxy.corp", Proxy("proxy.corp", 80)),
        ("http://u:p@proxy.corp:1", Proxy("proxy.corp", 1, "Basic dTpw")),
    ],
)
def test_a_proxy_is_set(text: str, proxy: Proxy | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_FETCH_PROXY", text)
    settings = FetchSettings()
    assert settings.fetch_proxy == proxy
    assert "dTpw" not in repr(settings)


@pytest.mark.parametrize(
    "text",
    [
        "proxy.corp:3128",
        "socks5://proxy:1080",
        "https://u:hush-hush@proxy:3128",
        "http://u:hush-hush@proxy:port",
        "http://u:hush-hush@/",
        "http://u:hush-hush@proxy:1/path",
        "http://u:hush-hush@pro xy:1",
        "http://u:hush-hush@proxy:99999",
    ],
)
def test_a_proxy_that_cannot_be_meant_ends_the_start(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from api.settings import Settings, SettingsError

    monkeypatch.setenv("IMAGE_SEARCH_FETCH_PROXY", text)
    with pytest.raises(
        SettingsError, match=r"IMAGE_SEARCH_FETCH_PROXY: should be http://HOST"
    ) as e:
        Settings.from_environment()
    assert "hush-hush" not in str(e.value)
    assert "\n" not in str(e.value)


def _certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1, made by openssl."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("needs openssl")
    path = folder / "loopback.pem"
    request = (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run(
        [program, *request.split(), "-keyout", str(path), "-out", str(folder / "certificate")],
        check=True,
        capture_output=True,
    )
    path.write_bytes(path.read_bytes() + (folder / "certificate").read_bytes())
    return path


def test_a_real_proxy(
    make_fetcher: MakeFetcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both forms, with a password, and what tinyproxy says of a host that is not there."""
    program = shutil.which("tinyproxy")
    if program is None:
        pytest.skip("needs Debian's tinyproxy")
    certificate = _certificate(tmp_path)
    monkeypatch.setattr("tests.images.fetch.servers.CERTIFICATE", certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with (
        tinyproxy(program, tmp_path, "BasicAuth someone s3cret\n") as url,
        http_server(serve) as plain,
        http_server(serve, tls=True) as secure,
    ):
        with_word = url.replace("//", "//someone:s3cret@")
        fetcher = behind(make_fetcher, with_word, allow_networks="127.0.0.1")
        for _ in range(3):
            assert fetcher.fetch(f"{plain.url}/a.jpg") == BODY
            assert fetcher.fetch(f"{secure.url}/b.jpg") == BODY
        assert secure.connections == 1
        assert all("Proxy-Authorization" not in headers for _, headers in plain.requests)
        with pytest.raises(HttpStatusError) as caught:
            fetcher.fetch("http://127.0.0.1:9999/")
        assert caught.value.may_pass
        with pytest.raises(UnreachableError):
            fetcher.fetch("https://127.0.0.1:9999/")
        with pytest.raises(UnreachableError, match="could not be reached"):
            behind(make_fetcher, url, allow_networks="127.0.0.1").fetch(secure.url)
