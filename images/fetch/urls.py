"""URL rules: which texts are URLs that may be fetched. Pure: addresses are judged when connecting.

Nothing here is what keeps a download out of the private network: whatever a host name turns out
to mean, its address is judged where the connection is made. These checks are for clear messages
and against text that two parsers could read differently.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import NamedTuple
from urllib.parse import urljoin

from urllib3.exceptions import LocationParseError
from urllib3.util.url import Url, parse_url

from images.errors import UrlError

MAX_URL_CHARS = 8192
_NO_DATA_URLS = (
    "a data: URL is not taken; send the picture's bytes themselves, as the body with their own"
    " Content-Type (image/png) or as the file `image` of a form"
)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_WEB_URL = re.compile(r"https?://(?P<authority>[^/?#]*)", re.IGNORECASE)
# Whitespace, control characters, halves of surrogate pairs, and the backslash that browsers read
# as a slash and others as a part of the name.
_FORBIDDEN_CHARS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff\\]")
_IPV6_LITERAL = re.compile(r"\[[0-9a-f:.]+\]")
_HOST_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
_MAX_NAME_CHARS = 254


class Origin(NamedTuple):
    """Where a request goes; the host as the URL names it, in ASCII and small letters."""

    scheme: str
    host: str
    port: int


@dataclass(frozen=True)
class WebUrl:
    """A URL that may be fetched.

    Attributes:
        text: the URL.
        origin: whom the request goes to.
        authority: what its `Host` header says.
        target: path and query.
    """

    text: str
    origin: Origin
    authority: str
    target: str


def check_url(url: str) -> WebUrl:
    """Read a URL if it is one that may be fetched.

    Raises:
        UrlError: it is malformed, too long, carries credentials or is not http(s).
    """
    if url[:5].lower() == "data:":
        raise UrlError(_NO_DATA_URLS)
    if len(url) > MAX_URL_CHARS:
        raise UrlError(f"the URL is longer than {MAX_URL_CHARS} characters")
    _check_chars(url)
    match = _WEB_URL.match(url)
    if match is None:
        raise UrlError("the URL must start with http:// or https://")
    if "@" in match["authority"]:
        raise UrlError("the URL must not contain a user name or password")
    if "%" in match["authority"]:
        raise UrlError("the host name of the URL must not be percent-encoded")
    return _read(url)


def redirect_url(url: str, location: str) -> WebUrl:
    """Join a redirect's target to the URL it came from, and check it like any other.

    Raises:
        UrlError: the target may not be fetched.
    """
    try:
        # http.client reads headers as Latin-1, but servers write UTF-8, and spaces as they are.
        readable = location.encode("latin-1").decode("utf-8", "replace").strip(" \t")
        target = readable.replace(" ", "%20")
        _check_chars(target)  # urljoin would drop some of them
        return check_url(urljoin(url, target))
    except UrlError as error:
        raise UrlError(f"the server redirects, but {error}", error.detail) from None
    except ValueError:  # its words may quote credentials
        raise UrlError("the server redirects to a malformed URL") from None


def _check_chars(text: str) -> None:
    """Refuse what two parsers could read differently."""
    if _FORBIDDEN_CHARS.search(text):
        raise UrlError(
            "the URL contains whitespace, a control character or a backslash; write it "
            "percent-encoded"
        )


def _read(url: str) -> WebUrl:
    try:
        parsed = parse_url(url)
    except LocationParseError:
        # Its words quote what should be host and port, and may be half of a password.
        raise UrlError("the URL has an invalid host name or port") from None
    if parsed.port == 0:
        raise UrlError("the URL's port must be between 1 and 65535")
    scheme, host = str(parsed.scheme), _host(parsed)
    port = parsed.port or _DEFAULT_PORTS[scheme]
    # The dot at a name's end is for the name lookup alone.
    authority = f"[{host}]" if ":" in host else host.rstrip(".")
    if port != _DEFAULT_PORTS[scheme]:
        authority = f"{authority}:{port}"
    return WebUrl(url, Origin(scheme, host, port), authority, parsed.request_uri)


def _host(parsed: Url) -> str:
    """The host's name or address, an IPv6 one without its brackets."""
    host = (parsed.host or "").lower()  # urllib3 leaves 0X7F.1 as it is
    if not host:
        raise UrlError("the URL has no host name")
    if _IPV6_LITERAL.fullmatch(host):
        with suppress(ValueError):
            IPv6Address(host[1:-1])
            return host[1:-1]
    if not _HOST_NAME.fullmatch(host) or len(host) > _MAX_NAME_CHARS:
        raise UrlError("the URL has an invalid host name")
    return host
