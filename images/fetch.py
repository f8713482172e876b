"""URL to bytes: the way in for everything this service looks at."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from urllib.parse import urljoin

import requests
from requests.utils import requote_uri
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as UrllibTimeoutError

from images.addresses import AllowList
from images.budget import Budget
from images.dial import Dialer
from images.errors import (
    BadAnswerError,
    HttpStatusError,
    RedirectError,
    TlsError,
    TooLargeError,
    UrlError,
)
from images.resolve import Resolver, system_resolver
from images.settings import FetchSettings
from images.transport import GuardedSession, tls_context
from images.urls import check_url

_REDIRECTS = (301, 302, 303, 307, 308)
_PIECE_BYTES = 2**16


class Fetcher:
    """Downloads images; one instance serves any number of threads.

    Args:
        settings: The limits, and what may be fetched although it is private.
        resolve: Turns a host into its addresses.
    """

    def __init__(self, settings: FetchSettings, resolve: Resolver = system_resolver) -> None:
        self._settings = settings
        self._dialer = Dialer(AllowList.from_entries(settings.allow_networks), resolve)
        self._tls = tls_context()

    def fetch(self, url: str) -> bytes:
        """Download what a URL leads to.

        Returns:
            The body, as it came: at least one byte, at most `max_image_bytes`.

        Raises:
            FetchError: it could not be had; the class says why.
            TooLargeError: it is larger than is accepted.
        """
        checked = check_url(url)
        budget = Budget(self._settings.fetch_timeout_s, self._settings.max_image_bytes)
        with GuardedSession(self._dialer, budget, self._tls) as session, _translated(budget):
            return self._follow(session, checked)

    def _follow(self, session: requests.Session, url: str) -> bytes:
        """Go from one URL to the next; each is checked like the first and dialled anew."""
        for _ in range(self._settings.max_redirects + 1):
            with self._get(session, url) as response:
                location = _redirect_target(response)
                if location is None:
                    return _read_body(response, self._settings.max_image_bytes)
            url = _next_url(url, location)
        raise RedirectError(self._settings.max_redirects)

    def _get(self, session: requests.Session, url: str) -> requests.Response:
        # This timeout is never the one that ends a download: each read has the budget's.
        return session.get(
            url, stream=True, allow_redirects=False, timeout=self._settings.fetch_timeout_s
        )


def _redirect_target(response: requests.Response) -> str | None:
    """Return where an answer points to, relative to its URL; None if it is no redirect."""
    location = response.headers.get("Location")
    return location if response.status_code in _REDIRECTS and location else None


def _next_url(url: str, location: str) -> str:
    """Join a redirect's target to the URL it came from, and check it like any other.

    Raises:
        UrlError: the target may not be fetched.
    """
    try:
        # http.client reads headers as Latin-1, but servers write UTF-8, and spaces as they are.
        readable = location.encode("latin-1").decode("utf-8", "replace").strip()
        return check_url(urljoin(url, requote_uri(readable)))
    except UrlError as error:
        raise UrlError(f"the server redirects, but {error}", error.detail) from None
    except ValueError as error:
        raise UrlError("the server redirects to a malformed URL", str(error)) from None


def _read_body(response: requests.Response, limit_bytes: int) -> bytes:
    _check_head(response, limit_bytes)
    body = bytearray()
    while piece := response.raw.read(_PIECE_BYTES, decode_content=False):
        body += piece
        if len(body) > limit_bytes:
            raise TooLargeError(limit_bytes)
    if not body:
        raise BadAnswerError("could not fetch the image: the server's answer is empty")
    return bytes(body)


def _check_head(response: requests.Response, limit_bytes: int) -> None:
    """Refuse by the headers what need not be read."""
    if response.status_code != requests.codes.ok:
        raise HttpStatusError(response.status_code)
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise BadAnswerError(
            "could not fetch the image: the server compressed its answer although it was asked "
            "not to",
            f"Content-Encoding: {encoding[:80]!r}",
        )
    length = response.raw.length_remaining
    if length is not None and length > limit_bytes:
        raise TooLargeError(limit_bytes)


@contextmanager
def _translated(budget: Budget) -> Iterator[None]:
    """Turn what requests, urllib3 and http.client raise into this room's errors."""
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise TlsError(str(error)) from error
    except requests.exceptions.InvalidURL as error:
        raise UrlError("the URL has an invalid host name", str(error)) from error
    except (requests.Timeout, UrllibTimeoutError) as error:
        raise budget.timeout() from error
    except (requests.RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
        # A ValueError is what http.client makes of a negative chunk size.
        raise BadAnswerError(
            "could not fetch the image: the server's answer is incomplete or not valid HTTP",
            f"{type(error).__name__}: {error}",
        ) from error
