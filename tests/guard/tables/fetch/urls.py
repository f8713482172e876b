"""URL syntax: what is no URL to fetch from, and odd spellings of those that are."""

from tests.guard.case import FETCHED, UNREACHABLE, Case, Expected, asked, refusal, refused, sent

START = "must start with http:// or https://"
CHARACTERS = "whitespace, a control character or a backslash"
CREDENTIALS = "must not contain a user name or password"
ANY = refusal("url_invalid", "host_unreachable")

SCHEMES = [
    refused(url, START)
    for url in (
        "not a url".replace(" ", "-"),
        "a.jpg",
        "/etc/passwd",
        "//{site}/a.jpg",
        "{site}/a.jpg",
        "http",
        "http:",
        "http:/",
        "http:/{site}/",
        "http:{site}",
        "ftp://{site}/a.jpg",
        "file:///etc/passwd",
        "file://localhost/etc/passwd",
        "javascript:alert(1)",
        "gopher://{site}/_x",
        "dict://{site}/",
        "ldap://{site}/",
        "jar:http://{site}!/",
        "ws://{site}/",
        "s3://bucket/a.jpg",
        "unix:///var/run/docker.sock",
        "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
        "view-source:http://{site}/",
        "url:http://{site}/",
        "\ufeffhttp://{site}/",
        "ｈttp://{site}/",
        "http：//{site}/",
    )
]

DATA = [
    refused(url, "a data: URL is not taken; send the picture's bytes themselves")
    for url in ("data:image/png;base64,iVBORw0KGgo=", " DATA:,", "data://{site}/a.jpg")
]

AROUND = [
    asked(url, FETCHED, title=repr(url))
    for url in (
        " http://{site}/",
        "http://{site}/ ",
        "http://{site}/\t",
        "\r\nhttp://{site}/\n",
        "http://{site}/\x85",
        "http://{site}/\u2028",
        "http://{site}/\u00a0",
        "http://{site}/\u3000",
    )
]

CHARS = [
    refused(url, CHARACTERS, title=repr(url))
    for url in (
        "http://{site}/a b.jpg",
        "http://{site}/\r\nHost: 127.0.0.2",
        "http://{site}/\0",
        "http://\0{site}/",
        "http://{site}\t.test/",
        "ht\ntp://{site}/",
        "http://{site}/\x7f",
        "http://{site}\\@127.0.0.2/",
        "http:\\\\{site}\\a.jpg",
        "http://127.0.0.2\\.{site}/",
    )
]

AUTHORITIES = [
    refused("http://user@{site}/", CREDENTIALS),
    refused("http://user:word@{site}/", CREDENTIALS),
    refused("http://@{site}/", CREDENTIALS),
    refused("http://:@{site}/", CREDENTIALS),
    refused("http://{site}@127.0.0.2:{port}/", CREDENTIALS),
    refused("http://127.0.0.2:{port}@{site}/", CREDENTIALS),
    refused("http://a@b@{site}/", CREDENTIALS),
    refused("http://", "no host"),
    refused("http:///a.jpg", "no host"),
    refused("http://?a", "no host"),
    refused("http://#a", "no host"),
    refused("http://:80/"),
    refused("http://%31%32%37.0.0.2:{port}/", "percent-encoded"),
    refused("http://127.0.0.2%00.{site}/", "percent-encoded"),
    refused("http://{site}%2f@127.0.0.2/"),
    refused("http://198.41.0.4:0/", "port"),
    refused("http://198.41.0.4:65536/", "port"),
    refused("http://198.41.0.4:99999999999/", "port"),
    refused("http://198.41.0.4:-1/", "port"),
    refused("http://198.41.0.4:+80/", "port"),
    refused("http://198.41.0.4:8e1/", "port"),
    refused("http://198.41.0.4:0x50/", "port"),
    refused("http://198.41.0.4:80:80/"),
    refused("http://198.41.0.4:８０/"),
    refused("http://[]/"),
    refused("http://[/"),
    refused("http://]/"),
    refused("http://a]b/"),
    asked("http://!/", ANY),
    asked("http://-/", ANY),
    asked("http://a,b/", ANY),
    asked("http://a;b/", ANY),
    asked("http://a|b/", ANY),
    asked("http://a`b/", ANY),
    asked("http://$(id)/", ANY),
    asked("http://<host>/", ANY),
    asked('http://"host"/', ANY),
    asked("http://{host/", ANY),
    asked("http://*/", ANY),
    asked("http://../", ANY),
    asked("http://./", ANY),
    asked("http://xn--/", ANY),
    asked("http://xn--a/", ANY),
    asked("http://xn--zzzzzzzzzzzz/", ANY),
    asked("http://\u202e{site}/", ANY),
    asked("http://\u200b/", ANY),
    asked("http://\u00ad/", ANY),
    asked("http://127.0.0.2\u2044.{site}/", ANY),
    asked("http://127.0.0.2:{port}#@{site}/", UNREACHABLE),
    asked("http://127.0.0.2:{port}?@{site}/", UNREACHABLE),
    asked("http://127.0.0.2:{port}/@{site}/", UNREACHABLE),
    asked("http://10.2.3/", UNREACHABLE),
    asked("http://256.256.256.256/", UNREACHABLE),
    asked("http://1.2.3.4.5/", UNREACHABLE),
    asked("http://0x/", ANY),
    asked("http://4294967296/", ANY),
]

LENGTHS = [
    refused("http://{site}/" + "x" * 8192, "longer than 8192", "8,192 and some characters"),
    refused("http://{site}/" + "ü" * 8192, "longer than 8192", "8,192 umlauts"),
    refused("http://" + "a" * 100_000, "longer than 8192", "a host of 100,000"),
    asked("http://{site}/" + "x" * 8000, FETCHED, "8,000 characters"),
]

GOOD = [
    asked(url, FETCHED)
    for url in (
        "http://{site}",
        "http://{site}/",
        "HTTP://{site}/",
        "hTTp://{site}/a.jpg",
        "http://{site}?a=b",
        "http://{site}#a",
        "http://{site}/#@127.0.0.2/",
        "http://{site}//a.jpg",
        "http://{site}//127.0.0.2/",
        "http://{site}/../../etc/passwd",
        "http://{site}/%2e%2e/%2fetc",
        "http://{site}/%00%0d%0aX:y",
        "http://{site}/%",
        "http://{site}/%zz",
        "http://{site}/ü🚲.jpg",
        "http://{site}/a'b\"c<d>e`f{g}h|i^j.jpg",
        "http://{site}/?url=http://127.0.0.2/",
        "http://{site}/;a=b?c;d",
        "http://{site}/@127.0.0.2",
        "http://{site}/a:b@c",
    )
]


def url_value(value: object, expected: Expected) -> Case:
    return sent("run_object_detection", {"url": value}, expected)


NO_URL = Expected(400, (), "url not provided error")
TYPES = [
    *(url_value(value, NO_URL) for value in (None, "", " ", "\u3000\n")),
    *(
        url_value(value, refusal("bad_request", says="url must be a string"))
        for value in (5, 0, 1.5, True, False, [], ["http://x/"], {}, {"url": "http://x/"})
    ),
    sent(
        "run_object_detection", b'{"url": "http://\\ud800/"}', refusal("bad_request", "url_invalid")
    ),
    sent("post_image_to_index", {}, Expected(400, (), "No url provided")),
    sent("post_image_to_index", b"", Expected(400, (), "No url provided"), "an empty body"),
]

CASES = [*SCHEMES, *DATA, *AROUND, *CHARS, *AUTHORITIES, *LENGTHS, *GOOD, *TYPES]
