"""HTTP behaviour: servers that are endless, slow, short, lying, compressed, or no servers at all.

The stage's limits are 4 seconds and 2,000,000 bytes a download.
"""

import gzip
import zlib

from tests.guard.case import (
    BAD_ANSWER,
    FETCHED,
    NOT_AN_IMAGE,
    TOO_LARGE,
    TOO_SLOW,
    Case,
    refusal,
    served,
)
from tests.guard.stage.site import PICTURE, http
from tests.guard.stage.talks import chunked, dripping, endless, in_pieces, late, reset_after

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LENGTH = OK + b"Content-Length: %d\r\n\r\n"
COMPRESSED = refusal("bad_answer", says="compressed its answer although it was asked not to")
# However much a server sends, and however slowly: one of the two limits ends it.
ENDED = refusal("image_too_large", "fetch_timeout", "bad_answer", "http_status")

GOOD = [
    served("a length", http(PICTURE), FETCHED),
    served("no length, closed at the end", OK + b"\r\n" + PICTURE, FETCHED),
    served("HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\n" + PICTURE, FETCHED),
    served("in one chunk", chunked(PICTURE), FETCHED),
    served(
        "in chunks of 7", chunked(*(PICTURE[n : n + 7] for n in range(0, len(PICTURE), 7))), FETCHED
    ),
    served("in pieces of 100", in_pieces(http(PICTURE), 100), FETCHED),
    served("after a second", late(http(PICTURE), 1), FETCHED),
    served("no reason", b"HTTP/1.1 200\r\n\r\n" + PICTURE, FETCHED),
    served(
        "a chunk extension and a trailer", chunked(PICTURE, end=b"0;x=y\r\nT: x\r\n\r\n"), FETCHED
    ),
    served("the wrong type", http(PICTURE, "Content-Type: text/html"), FETCHED),
    served("no type at all", http(PICTURE, "Content-Type:"), FETCHED),
    served("a cookie", http(PICTURE, "Set-Cookie: a=b; Domain=127.0.0.1"), FETCHED),
    served("100 Continue first", b"HTTP/1.1 100 Continue\r\n\r\n" + http(PICTURE), FETCHED),
    served("bytes after the length", http(PICTURE) + b"and more", FETCHED),
    served("identity", http(PICTURE, "Content-Encoding: identity"), FETCHED),
    served("headers without a space", OK + b"A:b\r\n\r\n" + PICTURE, FETCHED),
    served("bare line feeds", http(PICTURE).replace(b"\r\n", b"\n", 3), FETCHED),
    served(
        "Alt-Svc and Link", http(PICTURE, 'Alt-Svc: h2="127.0.0.2:{port}"', "Link: </x>"), FETCHED
    ),
    served(
        "keep-alive for ever",
        http(PICTURE, "Connection: keep-alive", "Keep-Alive: timeout=999"),
        FETCHED,
    ),
]

STATUSES = [
    served(status, http(PICTURE, status=status), refusal("http_status", says=f"answered {status[:3]} "))
    for status in (
        "201 Created", "203 Non-Authoritative", "204 No Content", "206 Partial Content",
        "400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found", "407 Proxy",
        "410 Gone", "418 Teapot", "429 Too Many", "451 Legal", "500 Error", "502 Bad Gateway",
        "503 Unavailable", "599 Odd", "999 Odder",
    )
]  # fmt: skip

ENDLESS = [
    served("a body", endless(OK + b"\r\n", b"x"), TOO_LARGE),
    served("a picture that goes on", endless(OK + b"\r\n" + PICTURE, b"\0"), TOO_LARGE),
    served("chunks", endless(CHUNKED, b"64\r\n" + b"x" * 100 + b"\r\n"), TOO_LARGE),
    served("chunks of one byte", endless(CHUNKED, b"1\r\nx\r\n"), ENDED),
    served("one chunk of 2^60", endless(CHUNKED + b"fffffffffffffff\r\n", b"x"), ENDED),
    served("chunk extensions", endless(CHUNKED, b"1;" + b"x" * 200 + b"\r\nx\r\n"), ENDED),
    served("trailers", endless(CHUNKED + b"5\r\nhello\r\n0\r\n", b"T: x\r\n"), ENDED),
    served("100 Continue", endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), ENDED),
    served(
        "103 Early Hints", endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"), ENDED
    ),
    served("headers", endless(OK, b"X: y\r\n"), BAD_ANSWER),
    served("one header", endless(OK + b"X: ", b"y"), BAD_ANSWER),
    served("one header over many lines", endless(OK + b"X: y\r\n", b" y\r\n"), ENDED),
    served("a status line", endless(b"HTTP/1.1 200 ", b"O"), BAD_ANSWER),
    served("no HTTP at all", endless(b"", b"x"), BAD_ANSWER),
    served("zeros", endless(b"", b"\0"), BAD_ANSWER),
    served("line breaks", endless(b"", b"\r\n"), ENDED),
    served("a chunk size", endless(CHUNKED, b"0"), BAD_ANSWER),
    served("a line with a chunk's extension", endless(CHUNKED + b"1;", b"x"), BAD_ANSWER),
    served("an error page", endless(b"HTTP/1.1 404 No\r\n\r\n", b"x"), refusal("http_status")),
    served("a redirect's body", endless(b"HTTP/1.1 302 F\r\nLocation: /a\r\n\r\n", b"x"), FETCHED),
]

SLOW = [
    served("nothing", dripping(b""), TOO_SLOW),
    served("a head, then nothing", dripping(OK), TOO_SLOW),
    served("half a status line", dripping(b"HTTP/1.1 2"), TOO_SLOW),
    served("a status line by the byte", dripping(b"HTTP/1.1 ", b"2"), TOO_SLOW),
    served("a header by the byte", dripping(OK + b"X: ", b"y"), TOO_SLOW),
    served("headers by the line", dripping(OK, b"X: y\r\n"), TOO_SLOW),
    served("a body by the byte", dripping(LENGTH % 100_000, b"x"), TOO_SLOW),
    served("a body that stops", dripping(LENGTH % len(PICTURE) + PICTURE[:-9]), TOO_SLOW),
    served("a body without length", dripping(OK + b"\r\n" + PICTURE), TOO_SLOW),
    served("chunks by the byte", dripping(CHUNKED, b"1\r\nx\r\n"), TOO_SLOW),
    served("a chunk size that stops", dripping(CHUNKED + b"5"), TOO_SLOW),
    served("the last chunk never comes", dripping(CHUNKED + b"5\r\nhello\r\n"), TOO_SLOW),
    served("100 Continue now and again", dripping(b"", b"HTTP/1.1 100 C\r\n\r\n"), TOO_SLOW),
    served(
        "a redirect's Location by the byte",
        dripping(b"HTTP/1.1 302 F\r\nLocation: /", b"x"),
        TOO_SLOW,
    ),
    served(
        "a redirect after three seconds, to itself",
        late(b"HTTP/1.1 302 F\r\nLocation: ?\r\n\r\n", 3),
        TOO_SLOW,
    ),
    served("longer than the deadline", late(http(PICTURE), 8), TOO_SLOW),
]

SHORT = [
    served("nothing, closed", b"", BAD_ANSWER),
    served("an empty body", http(b""), BAD_ANSWER),
    served("an empty body without length", OK + b"\r\n", BAD_ANSWER),
    served("no chunk", chunked(), BAD_ANSWER),
    served("a byte less than the length", LENGTH % len(PICTURE) + PICTURE[:-1], BAD_ANSWER),
    served("a length and no body", LENGTH % 100, BAD_ANSWER),
    served("half a head", OK + b"Content-Le", BAD_ANSWER),
    served("no last chunk", CHUNKED + b"5\r\nhello\r\n", BAD_ANSWER),
    served("half a chunk", CHUNKED + b"5\r\nhel", BAD_ANSWER),
    served("a half picture, closed", OK + b"\r\n" + PICTURE[:900], refusal("image_broken")),
    served("reset at once", reset_after(b""), refusal("bad_answer", "host_unreachable")),
    served("reset in the head", reset_after(OK), BAD_ANSWER),
    served("reset in the body", reset_after(LENGTH % 100_000 + PICTURE), BAD_ANSWER),
    served("reset in a chunk", reset_after(CHUNKED + b"ff\r\nx"), BAD_ANSWER),
]

LYING = [
    served("a length over the limit", dripping(LENGTH % 2_000_001), TOO_LARGE),
    served(
        "a length of 10^30", dripping(OK + b"Content-Length: 1%s\r\n\r\n" % (b"0" * 30)), TOO_LARGE
    ),
    served(
        "a length of 5000 digits",
        dripping(OK + b"Content-Length: %s\r\n\r\n" % (b"9" * 5000)),
        ENDED,
    ),
    served("a shorter length", (LENGTH % 5) + PICTURE, refusal("image_broken", "not_an_image")),
    served("a length of 0 and a body", (LENGTH % 0) + PICTURE, BAD_ANSWER),
    served("two lengths", OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", BAD_ANSWER),
    served("two lengths in one", OK + b"Content-Length: 5, 6\r\n\r\nhello!", BAD_ANSWER),
    served(
        "a negative length",
        OK + b"Content-Length: -1\r\n\r\nhello",
        refusal("bad_answer", "not_an_image"),
    ),
    served(
        "a length that is no number",
        OK + b"Content-Length: many\r\n\r\nhello",
        refusal("bad_answer", "not_an_image"),
    ),
    served("a negative chunk", CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n", BAD_ANSWER),
    served("a chunk that is no number", CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n", BAD_ANSWER),
    served("a longer chunk than its size", CHUNKED + b"2\r\nhello\r\n0\r\n\r\n", BAD_ANSWER),
    served(
        "length and chunks",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
        BAD_ANSWER,
    ),
    served(
        "an unknown transfer encoding",
        OK + b"Transfer-Encoding: gzip\r\n\r\nhello",
        refusal("bad_answer", "not_an_image"),
    ),
]

BOMB = gzip.compress(bytes(50_000_000))
BOMBS = [
    *(
        served(encoding, http(body, f"Content-Encoding: {encoding}"), COMPRESSED)
        for encoding, body in (
            ("gzip", BOMB),
            ("x-gzip", BOMB),
            ("GZIP", BOMB),
            ("gzip, gzip", gzip.compress(BOMB)),
            ("identity, gzip", BOMB),
            ("deflate", zlib.compress(bytes(50_000_000))),
            ("br", b"\x8b\x00\x80x\x03"),
            ("zstd", b"(\xb5/\xfd"),
            ("compress", b"\x1f\x9d"),
            ("nonsense", PICTURE),
        )
    ),
    served("gzip in a transfer encoding", OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n%x\r\n" % len(BOMB) + BOMB + b"\r\n0\r\n\r\n", refusal("bad_answer", "not_an_image")),
    served("gzip without saying so", http(BOMB), NOT_AN_IMAGE),
    served("a gzipped picture as gzip", http(gzip.compress(PICTURE), "Content-Encoding: gzip"), COMPRESSED),
    served("a zip", http(b"PK\x03\x04" + bytes(100)), NOT_AN_IMAGE),
]  # fmt: skip

FLOODS = [
    served(
        "1,000 headers",
        OK + b"".join(b"X-%d: y\r\n" % n for n in range(1000)) + b"\r\n" + PICTURE,
        BAD_ANSWER,
    ),
    served(
        "99 headers",
        OK + b"".join(b"X-%d: y\r\n" % n for n in range(99)) + b"\r\n" + PICTURE,
        FETCHED,
    ),
    served("a header of 100,000", OK + b"X: " + b"y" * 100_000 + b"\r\n\r\n" + PICTURE, BAD_ANSWER),
    served(
        "a status line of 100,000",
        b"HTTP/1.1 200 " + b"O" * 100_000 + b"\r\n\r\n" + PICTURE,
        BAD_ANSWER,
    ),
    served("1,000 cookies", OK + b"Set-Cookie: a=b\r\n" * 1000 + b"\r\n" + PICTURE, BAD_ANSWER),
]

NO_HTTP = [
    served(repr(answer)[1:], answer, BAD_ANSWER)
    for answer in (
        b"\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 -200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\nx",
        b"HTTP/2 200\r\n\r\nx",
        b"ICY 200 OK\r\n\r\nx",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"220 mail.example ESMTP\r\n",
        b"-ERR unknown command\r\n",
        b"\x00\x01\x02\x03",
        b"\x16\x03\x01\x02\x00",
        b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
        b"<html>hello</html>",
        PICTURE[:40],
        b"\xff" * 1000,
    )
] + [
    served("a header without a colon", OK + b"nonsense\r\n\r\n" + PICTURE, FETCHED),
    served("NUL in a header", OK + b"X: a\0b\r\n\r\n" + PICTURE, FETCHED),
    served("bytes above 127 in a header", OK + b"X-\xff: \xfe\r\n\r\n" + PICTURE, FETCHED),
]  # fmt: skip

CASES: list[Case] = [*GOOD, *STATUSES, *ENDLESS, *SLOW, *SHORT, *LYING, *BOMBS, *FLOODS, *NO_HTTP]
