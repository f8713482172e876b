"""Redirects: each hop is checked and dialled as the first URL is."""

from dataclasses import replace

from tests.guard.case import BAD_ANSWER, FETCHED, UNREACHABLE, Case, Expected, refusal, served
from tests.guard.stage.site import PICTURE, http, redirect

TOO_MANY = refusal("too_many_redirects", says="more than 5 redirects")
BAD_TARGET = refusal("url_invalid", says="the server redirects")


def to(location: str, expected: Expected, status: str = "302 Found") -> Case:
    title = f"{status.split(maxsplit=1)[0]} to {location!r:.80}"
    return served(title, redirect(location, status), expected)


GOOD = [
    to("/a.jpg", FETCHED),
    to("a.jpg", FETCHED),
    to("//{site}/a.jpg", FETCHED),
    to("http://{site}/a.jpg", FETCHED),
    to("HTTP://{site}/a.jpg", FETCHED),
    to("http://{site}/a b.jpg", FETCHED),
    to("http://{site}/ü.jpg", FETCHED),
    to("http://{site}/%2e%2e/a.jpg", FETCHED),
    to("http://{site}/a.jpg#fragment", FETCHED),
    *(
        to("/a.jpg", FETCHED, status)
        for status in ("301 Moved", "303 See Other", "307 Temporary", "308 Permanent")
    ),
]

INSIDE = [
    *(
        to("http://127.0.0.2:{port}/secret", UNREACHABLE, status)
        for status in ("301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent")
    ),
    to("//127.0.0.2:{port}/secret", UNREACHABLE),
    to("http://127.2:{port}/", UNREACHABLE),
    to("http://2130706434:{port}/", UNREACHABLE),
    to("http://0x7f000002:{port}/", UNREACHABLE),
    to("http://[::1]:{port}/", UNREACHABLE),
    to("http://[::ffff:127.0.0.2]:{port}/", UNREACHABLE),
    to("http://[64:ff9b::7f00:2]:{port}/", UNREACHABLE),
    to("http://169.254.169.254/latest/meta-data/", UNREACHABLE),
    to("http://0.0.0.0:{port}/", UNREACHABLE),
    to("https://10.0.0.1/", UNREACHABLE),
    to("http://{site}.127.0.0.2.nip.invalid/", BAD_TARGET),
    to("http://nosuch.invalid/", UNREACHABLE),
    to("http://198.41.0.4:22/", UNREACHABLE),
    to("http://198.41.0.4:6379/", UNREACHABLE),
]

BAD_TARGETS = [
    to("ftp://{site}/", BAD_TARGET),
    to("file:///etc/passwd", BAD_TARGET),
    to("data:image/png;base64,AAAA", BAD_TARGET),
    to("javascript:alert(1)", BAD_TARGET),
    to("gopher://127.0.0.2:6379/_INFO", BAD_TARGET),
    to("http://user:word@{site}/", BAD_TARGET),
    to("http://{site}@127.0.0.2:{port}/", BAD_TARGET),
    to("http://{site}\\@127.0.0.2:{port}/", refusal("url_invalid", "host_unreachable")),
    to("http://", refusal("too_many_redirects", "url_invalid")),
    to("http://:80/", BAD_TARGET),
    to("http://[::1/", BAD_TARGET),
    to("http://{site}:99999/", BAD_TARGET),
    to("http://a:b/", BAD_TARGET),
    to("http:///a.jpg", FETCHED),
    to("/" + "x" * 9000, BAD_TARGET),
    to("http://127.0.0.2%2f@{site}/", BAD_TARGET),
]

OTHERS = [
    to("", refusal("http_status", says="302 instead of 200")),
    to("/a.jpg", refusal("http_status", says="300"), "300 Multiple Choices"),
    to("/a.jpg", refusal("http_status", says="304"), "304 Not Modified"),
    to("/a.jpg", refusal("http_status", says="305"), "305 Use Proxy"),
    to("/a.jpg", refusal("http_status", says="201"), "201 Created"),
    to("{path}", TOO_MANY),
    to("?b=1", TOO_MANY),
    to("#", TOO_MANY),
    served("no Location", http(b"", status="302 Found"), refusal("http_status", says="302")),
    served("Refresh", http(PICTURE, "Refresh: 0; url=http://127.0.0.2:{port}/"), FETCHED),
    served("Location on a 200", http(PICTURE, "Location: http://127.0.0.2:{port}/"), FETCHED),
    served(
        "two Locations",
        http(b"", "Location: /a.jpg", "Location: http://127.0.0.2:{port}/", status="302 Found"),
        BAD_ANSWER,
    ),
    served(
        "a line break in Location",
        b"HTTP/1.1 302 Found\r\nLocation: /a.jpg\r\n http://127.0.0.2:{port}/\r\n\r\n",
        BAD_TARGET,
    ),
    served(
        "a body that never ends",
        b"HTTP/1.1 302 Found\r\nLocation: /a.jpg\r\nContent-Length: 999999999\r\n\r\nxxx",
        FETCHED,
    ),
    served(
        "a NUL in Location",
        b"HTTP/1.1 302 Found\r\nLocation: http://{site}\x00.x/\r\n\r\n",
        replace(BAD_ANSWER, codes=("bad_answer", "url_invalid"), says=""),
    ),
]

CASES = [*GOOD, *INSIDE, *BAD_TARGETS, *OTHERS]
