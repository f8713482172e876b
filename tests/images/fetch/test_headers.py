"""Headers of single hosts: they come where they belong, and nowhere else."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from api.serving.checks import check_headers
from api.settings import SettingsError
from images.errors import FetchError
from images.fetch.headers import HostHeaders
from images.fetch.urls import check_url
from tests.images.conftest import BlockingFetcher, MakeFetcher
from tests.images.fetch.proxies import small_proxy
from tests.images.fetch.servers import ALLOWED, CERTIFICATE, Answer, http_server

TOKEN = "Bearer t0k3n-that-nobody-else-sees"
BODY = b"a picture"


def written(folder: Path, entries: Any) -> Path:
    path = folder / "headers.json"
    path.write_text(entries if isinstance(entries, str) else json.dumps(entries))
    path.chmod(0o600)
    return path


def fetcher_with(make: MakeFetcher, path: Path, **more: Any) -> BlockingFetcher:
    return make(**{"resolve": lambda _host: [ALLOWED], "fetch_headers": str(path), **more})


def test_a_host_that_wants_a_token_or_a_referer(make_fetcher: MakeFetcher, tmp_path: Path) -> None:
    with http_server(lambda _: (200, {}, BODY)) as server:
        entries = {
            f"Token.test:{server.port}": {"authorization": TOKEN},
            f"referer.test.:{server.port}": {"Referer": "https://shop.example/", "User-Agent": "x"},
            f"http://bücher.test:{server.port}": {"Cookie": "a=b"},
        }
        fetcher = fetcher_with(make_fetcher, written(tmp_path, entries), fetch_user_agent="me/1.0")
        for host in ("TOKEN.test", "token.test.", "referer.test", "bücher.test", "other.test"):
            assert fetcher.fetch(f"http://{host}:{server.port}/") == BODY
    seen = [headers for _, headers in server.requests]
    assert [one.get("authorization") for one in seen] == [TOKEN, TOKEN, None, None, None]
    assert [one.get("Referer") for one in seen] == [None, None, "https://shop.example/", None, None]
    assert [one.get("Cookie") for one in seen] == [None] * 3 + ["a=b", None]
    assert [one["User-Agent"] for one in seen] == ["me/1.0", "me/1.0", "x", "me/1.0", "me/1.0"]


CANARIES = [
    "http://other.test:{port}/",
    "http://xtoken.test:{port}/",
    "http://token.test.evil.test:{port}/",
    "http://a.token.test:{port}/",
    "http://tоken.test:{port}/",  # noqa: RUF001 - a Cyrillic letter
    "http://token.test:{other}/",
    "https://token.test:{tls}/",
    "http://127.0.0.1:{port}/",
    "http://token.test%2eevil.test:{port}/",
    "http://token.test@evil.test:{port}/",
    "http://evil.test:{port}/#@token.test:{port}/",
    "http://evil.test:{port}/?token.test:{port}",
    "http://evil.test:{port}\\@token.test:{port}/",
]


@pytest.mark.parametrize("through", ["directly", "redirected", "behind a proxy"])
@pytest.mark.parametrize("url", CANARIES)
def test_no_other_host_sees_a_header(
    url: str,
    through: str,
    make_fetcher: MakeFetcher,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))

    def answer(path: str) -> Answer:
        return (302, {"Location": location}, b"") if path == "/start" else (200, {}, BODY)

    with (
        http_server(answer) as server,
        http_server(answer) as other,
        http_server(answer, tls=True) as secure,
        small_proxy() as proxy,
    ):
        ports = {"port": server.port, "other": other.port, "tls": secure.port}
        for name, port in ports.items():
            url = url.replace("{" + name + "}", str(port))
        location = url.encode().decode("latin-1")
        path = written(tmp_path, {f"http://token.test:{server.port}": {"Authorization": TOKEN}})
        more = {"fetch_proxy": proxy.url} if through == "behind a proxy" else {}
        fetcher = fetcher_with(make_fetcher, path, **more)
        start = f"http://token.test:{server.port}/start"
        with suppress(FetchError):  # some are no URL at all, and the certificate is another's
            fetcher.fetch(url if through == "directly" else start)
        seen = [
            (path, headers.get("Authorization"))
            for each in (server, other, secure)
            for path, headers in each.requests
        ]
    assert all(value is None for path, value in seen if path != "/start")
    assert [value for path, value in seen if path == "/start"] == [TOKEN] * (through != "directly")


def test_a_redirect_back_has_them_again(make_fetcher: MakeFetcher, tmp_path: Path) -> None:
    def away(path: str) -> Answer:
        return (302, {"Location": f"{hub}/back"}, b"") if path == "/" else (200, {}, BODY)

    with (
        http_server(away) as server,
        http_server(lambda _: (302, {"Location": home}, b"")) as other,
    ):
        hub, home = f"http://hub.test:{other.port}", f"http://token.test:{server.port}/end"
        path = written(tmp_path, {f"token.test:{server.port}": {"X-Token": "abc"}})
        assert fetcher_with(make_fetcher, path).fetch(f"http://token.test:{server.port}/") == BODY
    assert [headers.get("X-Token") for _, headers in server.requests] == ["abc", "abc"]
    assert [headers.get("X-Token") for _, headers in other.requests] == [None]


def test_a_host_alone_is_its_usual_ports(tmp_path: Path) -> None:
    headers = HostHeaders.from_file(
        written(tmp_path, {"a.test": {"A": "1"}, "https://b": {"B": "2"}})
    )

    def of(url: str) -> Any:
        return headers.of(check_url(url).origin)

    assert of("http://a.test/") == of("https://A.test:443/x") == {"A": "1"}
    assert of("http://a.test:8080/") == of("https://a.test:80/") == of("http://b/") == {}
    assert of("https://b/") == {"B": "2"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense", "not JSON"),
        ("[]", "should hold"),
        ('{"a.test": "Bearer hush-hush"}', "should have"),
        ('{"a.test": {"Host": "hush-hush"}}', "Host of 'a.test' is a header that cannot be set"),
        ('{"a.test": {"content-length": "hush-hush"}}', "cannot be set"),
        ('{"a.test": {"Accept-Encoding": "gzip"}}', "cannot be set"),
        ('{"a.test": {"Proxy-Authorization": "hush-hush"}}', "cannot be set"),
        ('{"a.test": {"Transfer-Encoding": "chunked"}}', "cannot be set"),
        ('{"a.test": {"A B": "hush-hush"}}', "no name of a header"),
        ('{"a.test": {"A\\r\\nB": "hush-hush"}}', "no name of a header"),
        ('{"a.test": {"A": "hush-hush\\r\\nB: c"}}', "printable ASCII"),
        ('{"a.test": {"A": " hush-hush"}}', "printable ASCII"),
        ('{"a.test": {"A": 7}}', "printable ASCII"),
        ('{"a.test": {"A": ""}}', "printable ASCII"),
        ('{"a.test": {"A": "1", "a": "2"}}', "stands twice"),
        ('{"a.test": {}, "A.test": {}}', "stands twice"),
        ('{"a.test": {}, "https://a.test": {}}', "two entries are for https://a.test"),
        ('{"a.test": {}, "a.test.": {}}', "two entries"),
        ('{"https://u:hush-hush@a.test": {}}', "no host"),
        ('{"a.test/path": {}}', "should be a host"),
        ('{"ftp://a.test": {}}', "no host"),
        ('{"": {}}', "no host"),
    ],
)
def test_a_file_that_cannot_be_meant_ends_the_start(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="IMAGE_SEARCH_FETCH_HEADERS=") as caught:
        check_headers(written(tmp_path, text))
    assert says in str(caught.value)
    assert "hush-hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_others_can_read_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path, {})
    check_headers(path)
    check_headers(None)
    assert caplog.text == ""
    path.chmod(0o644)
    check_headers(path)
    assert "can be read by other users: chmod 600" in caplog.text
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        check_headers(tmp_path / "missing")
