"""Is this text a URL that may be fetched at all? Pure: addresses are judged when connecting.

Nothing here is what keeps a download out of the private network: whatever a host name turns out
to mean, its address is judged where the connection is made. These checks are for clear messages
and against text that two parsers could read differently.
"""

import re

from urllib3.exceptions import LocationParseError
from urllib3.util.url import Url, parse_url

from images.errors import UrlError

MAX_URL_CHARS = 8192
_WEB_URL = re.compile(r"https?://(?P<authority>[^/?#]*)", re.IGNORECASE)
# Whitespace, control characters, halves of surrogate pairs, and the backslash that browsers read
# as a slash and others as a part of the name.
_FORBIDDEN_CHARS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff\\]")


def check_url(url: str) -> str:
    """Return the URL if it is one that may be fetched.

    Raises:
        UrlError: it is malformed, too long, carries credentials or is not http(s).
    """
    if len(url) > MAX_URL_CHARS:
        raise UrlError(f"the URL is longer than {MAX_URL_CHARS} characters")
    if _FORBIDDEN_CHARS.search(url):
        raise UrlError(
            "the URL contains whitespace, a control character or a backslash; write it "
            "percent-encoded"
        )
    match = _WEB_URL.match(url)
    if match is None:
        raise UrlError("the URL must start with http:// or https://")
    if "@" in match["authority"]:
        raise UrlError("the URL must not contain a user name or password")
    if "%" in match["authority"]:
        raise UrlError("the host name of the URL must not be percent-encoded")
    _check_host(url)
    return url


def _check_host(url: str) -> None:
    parsed = _parse(url)
    if not parsed.host:
        raise UrlError("the URL has no host name")
    if parsed.port == 0:
        raise UrlError("the URL's port must be between 1 and 65535")


def _parse(url: str) -> Url:
    """Read the URL with the parser that requests itself will read it with."""
    try:
        return parse_url(url)
    except LocationParseError as error:
        raise UrlError("the URL has an invalid host name or port", str(error)) from None
