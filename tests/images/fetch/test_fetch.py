"""What a download does with servers that mean well."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from images.errors import (
    BadAnswerError,
    FetchError,
    HttpStatusError,
    RedirectError,
    TooLargeError,
    UrlError,
)
from tests.images.conftest import MakeFetcher
from tests.images.fetch.servers import Answer, Canary, http_server, raw_server

BODY = bytes(range(256)) * 700


def serve_body(_path: str) -> Answer:
    return 200, {"Content-Type": "image/png"}, BODY


def test_the_body_comes_back_as_it_was_sent(make_fetcher: MakeFetcher) -> None:
    with http_server(serve_body) as server:
        assert make_fetcher().fetch(f"{server.url}/a%20b.png?x=1&y=%C3%A9#part") == BODY
    (path, headers) = server.requests[0]
    assert path == "/a%20b.png?x=1&y=%C3%A9"
    assert headers["User-Agent"].startswith("image-search-engine/")
    assert headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("path", ["/é.png", "/%C3%A9.png"])
def test_letters_beyond_ascii_are_encoded(path: str, make_fetcher: MakeFetcher) -> None:
    with http_server(serve_body) as server:
        assert make_fetcher().fetch(server.url + path) == BODY
    assert server.requests[0][0] == "/%C3%A9.png"


def test_a_chunked_body_is_put_together(make_fetcher: MakeFetcher) -> None:
    chunked = b"5\r\nhello\r\n1;x=y\r\n \r\n5\r\nworld\r\n0\r\nTrailer: x\r\n\r\n"
    with http_server(lambda _: (200, {"Transfer-Encoding": "chunked"}, chunked)) as server:
        assert make_fetcher().fetch(server.url) == b"hello world"


def test_many_threads_get_their_own_bodies(make_fetcher: MakeFetcher) -> None:
    fetcher = make_fetcher()
    with http_server(lambda path: (200, {}, path.encode() * 5000)) as server:
        paths = [f"/{number}" for number in range(96)]
        with ThreadPoolExecutor(32) as pool:
            bodies = list(pool.map(lambda path: fetcher.fetch(server.url + path), paths))
    assert bodies == [path.encode() * 5000 for path in paths]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(status: int, make_fetcher: MakeFetcher) -> None:
    hops: dict[str, Answer] = {
        "/old/one": (status, {"Location": "../new/two"}, b"moved"),
        "/new/two": (status, {"Location": "/é three".encode().decode("latin-1")}, b""),
        "/%C3%A9%20three": (200, {}, BODY),
    }
    with http_server(hops.__getitem__) as server:
        assert make_fetcher().fetch(f"{server.url}/old/one") == BODY
    assert [path for path, _ in server.requests] == list(hops)


def test_as_many_redirects_as_set_are_followed(make_fetcher: MakeFetcher) -> None:
    def count_down(path: str) -> Answer:
        left = int(path[1:])
        return (302, {"Location": f"/{left - 1}"}, b"") if left else (200, {}, BODY)

    fetcher = make_fetcher(max_redirects=3)
    with http_server(count_down) as server:
        assert fetcher.fetch(f"{server.url}/3") == BODY
        with pytest.raises(RedirectError, match="more than 3 redirects"):
            fetcher.fetch(f"{server.url}/4")


def test_a_redirect_loop_ends(make_fetcher: MakeFetcher) -> None:
    with (
        http_server(lambda path: (302, {"Location": path}, b"")) as server,
        pytest.raises(RedirectError),
    ):
        make_fetcher(max_redirects=5).fetch(f"{server.url}/loop")
    assert len(server.requests) == 6


def test_no_cookies_are_kept(make_fetcher: MakeFetcher) -> None:
    def answer(path: str) -> Answer:
        cookie = {"Set-Cookie": "id=1; Path=/"}
        return (302, cookie | {"Location": "/b"}, b"") if path == "/a" else (200, cookie, BODY)

    fetcher = make_fetcher()
    with http_server(answer) as server:
        fetcher.fetch(f"{server.url}/a")
        fetcher.fetch(f"{server.url}/a")
    assert len(server.requests) == 4
    assert not any("Cookie" in headers for _, headers in server.requests)


def test_the_environment_steers_nothing(
    make_fetcher: MakeFetcher, canary: Canary, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{canary.host}")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setitem(os.environ, "NETRC", str(netrc))
    with http_server(serve_body) as server:
        assert make_fetcher().fetch(server.url) == BODY
    assert "Authorization" not in server.requests[0][1]


@pytest.mark.parametrize("status", [204, 206, 304, 400, 401, 403, 404, 410, 429, 500, 503])
def test_another_status_is_named(status: int, make_fetcher: MakeFetcher) -> None:
    with (
        http_server(lambda _: (status, {}, b"")) as server,
        pytest.raises(HttpStatusError, match=f"answered {status} ") as caught,
    ):
        make_fetcher().fetch(server.url)
    assert caught.value.status == status


def test_a_redirect_to_nowhere_is_a_status(make_fetcher: MakeFetcher) -> None:
    with http_server(lambda _: (302, {}, b"")) as server, pytest.raises(HttpStatusError):
        make_fetcher().fetch(server.url)


def test_an_empty_body_is_refused(make_fetcher: MakeFetcher) -> None:
    with (
        http_server(lambda _: (200, {}, b"")) as server,
        pytest.raises(BadAnswerError, match="empty"),
    ):
        make_fetcher().fetch(server.url)


def test_the_size_limit_is_exact(make_fetcher: MakeFetcher) -> None:
    with http_server(serve_body) as server:
        assert make_fetcher(max_image_bytes=len(BODY)).fetch(server.url) == BODY
        with pytest.raises(TooLargeError):
            make_fetcher(max_image_bytes=len(BODY) - 1).fetch(server.url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        " ",
        "example.com/a.png",
        "//example.com/a.png",
        "ftp://example.com/a.png",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "gopher://example.com",
        "http:/example.com",
        "http:example.com",
        "http://",
        "http:///a.png",
        "https://?x",
        "http://:80/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:x/",
        "http://example.com:80:80/",
        "http://user@example.com/",
        "http://user:password@example.com/",
        "http://@example.com/",
        "http://example.com\\@127.0.0.1/",
        "http://example.com/a b.png",
        " http://example.com/",
        "http://example.com/\n",
        "http://example.com/\r\nHost: other",
        "http://exam\tple.com/",
        "http://example.com/\x00",
        "http://example.com/\x7f",
        "http://example.com/\u2028",
        "http://example.com/\ud800",
        "http://127%2e0.0.1/",
        "http://[::1/",
        "http://[::g]/",
        "http://[::ffff:256.0.0.1]/",
        "http://[fe80::1%25eth0]/",
        "http://.example.com/",
        "http://*.example.com/",
        "http://exa℀mple.com/",
        "http://127\u30020\u30020\u30021/",
        "http://\uff11\uff12\uff17.0.0.1/",
        "http://" + "é" * 70 + ".com/",
        "http://example.com/" + "a" * 8192,
    ],
)
def test_a_bad_url_is_refused_in_one_line(url: str, make_fetcher: MakeFetcher) -> None:
    def no_lookup(host: str) -> list[str]:
        raise AssertionError(f"{host} must not be looked up")

    with pytest.raises(UrlError) as caught:
        make_fetcher(resolve=no_lookup).fetch(url)
    assert "URL" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "location",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "http://user:password@example.com/",
        "http://[::1",
        "http://exam\\ple.com/",
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
        "//user@example.com/",
        "https:///a.png",
        "http://example.com:0/",
        "http://exam%70le.com/",
        "/a\x01b",
        "/a\x7fb",
        "/a\tb",
        "/a\\b",
        "http://b\u00fc cher.test/".encode().decode("latin-1"),
        "/" + "a" * 8192,
    ],
)
def test_a_redirect_to_a_bad_url_is_refused(location: str, make_fetcher: MakeFetcher) -> None:
    with (
        http_server(lambda _: (302, {"Location": location}, b"")) as server,
        pytest.raises(UrlError, match="the server redirects"),
    ):
        make_fetcher().fetch(server.url)


@pytest.mark.parametrize(
    "locations",
    [["/one", "/two"], ["/one", "http://127.0.0.2/"], ["/one", ""]],
)
def test_a_redirect_to_several_urls_is_refused(
    locations: list[str], make_fetcher: MakeFetcher
) -> None:
    lines = "".join(f"Location: {location}\r\n" for location in locations)
    answer = f"HTTP/1.1 302 Found\r\n{lines}Content-Length: 0\r\n\r\n".encode()
    with (
        raw_server(lambda connection: connection.sendall(answer)) as host,
        pytest.raises(BadAnswerError, match="several"),
    ):
        make_fetcher().fetch(f"http://{host}/")


def test_a_location_of_two_lines_is_refused(make_fetcher: MakeFetcher) -> None:
    answer = (
        b"HTTP/1.1 302 Found\r\nLocation: /a\r\n http://127.0.0.2/\r\nContent-Length: 0\r\n\r\n"
    )
    with (
        raw_server(lambda connection: connection.sendall(answer)) as host,
        pytest.raises(UrlError, match="the server redirects"),
    ):
        make_fetcher().fetch(f"http://{host}/")


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("two", "/one/two"),
        ("./two", "/one/two"),
        ("../two", "/two"),
        ("/../../two", "/two"),
        ("/two#part", "/two"),
        ("?x=1", "/one/start?x=1"),
        ("//{host}/two", "/two"),
        ("HTTP://{host}/two", "/two"),
        ("  /two ", "/two"),
        ("/\u00c5.png", "/%C3%85.png"),
        ("/%c3%a9", "/%C3%A9"),
        ("/a b?c d", "/a%20b?c%20d"),
    ],
)
def test_a_redirect_is_read_relative_to_its_url(
    location: str, path: str, make_fetcher: MakeFetcher
) -> None:
    def answer(asked: str) -> Answer:
        target = location.format(host=server.url.removeprefix("http://"))
        written = target.encode().decode("latin-1")
        return (302, {"Location": written}, b"") if asked == "/one/start" else (200, {}, BODY)

    with http_server(answer) as server:
        assert make_fetcher().fetch(f"{server.url}/one/start") == BODY
    assert [asked for asked, _ in server.requests] == ["/one/start", path]


@pytest.mark.parametrize("host", ["a..test", "exam!ple.test", "a" * 64 + ".test", "a." * 127 + "a"])
def test_a_host_that_is_no_name_is_refused(host: str, make_fetcher: MakeFetcher) -> None:
    with pytest.raises(UrlError, match="invalid host name"):
        make_fetcher().fetch(f"http://{host}/")


def test_every_fetch_error_has_its_own_code() -> None:
    kinds = FetchError.__subclasses__()
    assert len({kind.code for kind in kinds} | {FetchError.code}) == len(kinds) + 1
