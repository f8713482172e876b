"""Any text is refused as a URL, or is one that several parsers read alike."""

from urllib.parse import urlsplit

from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3.util.url import parse_url

from images.errors import UrlError
from images.fetch.urls import check_url

DEFAULT_PORTS = {"http": 80, "https": 443}
PIECES = [
    *"@:/?#[]\\%.-_~!$&'()*+,;=|^`{}<>\" \t\r\n\0",
    *("http", "https", "HTTP", "ftp", "file", "javascript", "://", "//", "\\\\", "::", ".."),
    *("example.com", "127.0.0.1", "127.1", "0x7f000001", "2130706433", "017700000001", "[::1]"),
    *("[::ffff:127.0.0.1]", "localhost", "user", "word", "80", "443", "65536", "-1", "%00", "%2f"),
    *(
        "%40",
        "%5b",
        "ü",
        "①",
        "。",
        "／",
        "＠",
        "：",
        "\u202e",
        "\u200b",
        "\ufeff",
        "\x85",
        "ß",
        "İ",
    ),
]
TEXTS = st.text() | st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
URLS = TEXTS.map(lambda text: f"http://{text}") | TEXTS.map(lambda text: f"https://a.test{text}")


@settings(deadline=None, max_examples=1000)
@given(TEXTS | URLS)
def test_what_passes_is_read_alike(text: str) -> None:
    try:
        read = check_url(text)
    except UrlError:
        return
    scheme, host, port = read.origin
    pythons, urllib3s = urlsplit(read.text), parse_url(read.text)
    assert scheme == pythons.scheme == urllib3s.scheme
    assert scheme in ("http", "https")
    assert pythons.username is pythons.password is urllib3s.auth is None
    assert port == (pythons.port or DEFAULT_PORTS[scheme])
    assert host == str(urllib3s.host).strip("[]")
    if text.isascii():  # urllib3 writes other names as IDNA has them, Python leaves them
        assert host == pythons.hostname
    assert host.isascii()
    assert host == host.lower()
    assert read.target.startswith("/")
    assert read.target.isascii()
    assert read.target.isprintable()
    assert " " not in read.target
