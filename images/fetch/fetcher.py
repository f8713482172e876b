"""Fetcher: URL to bytes, the way in for everything this service looks at."""

import re
import time
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, IncompleteRead

import requests
import urllib3.exceptions

from images.errors import (
    BadAnswerError,
    CutOffError,
    HttpStatusError,
    RedirectError,
    TooLargeError,
)
from images.fetch.budget import OVERHEAD_BYTES, Budget
from images.fetch.destinations import AllowList, Ports
from images.fetch.dial import Dialer, Resolver, system_resolver
from images.fetch.headers import HostHeaders
from images.fetch.proxy import ProxyDialer
from images.fetch.transport import GuardedSession
from images.fetch.urls import WebUrl, check_url, redirect_url
from images.settings import FetchSettings, parse_ports

_OK = 200
_REDIRECTS = (301, 302, 303, 307, 308)
_INCOMPLETE = "could not fetch the image: the server's answer is incomplete or not valid HTTP"
_PIECE_BYTES = 2**18
_MAX_DATE_CHARS = 64
_LENGTH = re.compile("[0-9]{1,1000}")  # beyond some thousands of digits, Python reads no integer


class Fetcher:
    """Downloads images; one instance serves any number of threads.

    Raises:
        HeadersError: the file of the hosts' headers is not what it should be.
    """

    def __init__(self, settings: FetchSettings, resolve: Resolver = system_resolver) -> None:
        self._settings = settings
        allow = AllowList.from_entries(settings.allow_networks)
        ports, proxy = Ports(*parse_ports(settings.fetch_ports)), settings.fetch_proxy
        dialer = (
            ProxyDialer(proxy, allow, ports, resolve) if proxy else Dialer(allow, ports, resolve)
        )
        headers = HostHeaders.from_file(settings.fetch_headers)
        self._session = GuardedSession(dialer, settings.fetch_user_agent, headers, proxy)

    def begin(self, url: str) -> "Download":
        """Prepare a download, whose hops the caller makes.

        Raises:
            UrlError: the URL cannot be fetched, whatever the network does.
        """
        return Download(check_url(url), self._settings, self._session)

    def close(self) -> None:
        """Close the idle connections."""
        self._session.close_idle()


class Download:
    """One download, hop by hop; `origin` is where the next goes.

    All but `cancel` belongs into one thread at a time.
    """

    def __init__(self, url: WebUrl, settings: FetchSettings, session: GuardedSession) -> None:
        self.origin = url.origin
        self._url = url
        self._settings = settings
        self._session = session
        self._hops_left = settings.max_redirects + 1
        self._budget = Budget(
            settings.fetch_timeout_s, settings.max_image_bytes, settings.connect_timeout_s
        )

    @property
    def unreachable_at(self) -> float:
        """When an `UnreachableError` may be answered; see `Budget.connect_end`."""
        return self._budget.connect_end

    def hop(self) -> bytes | None:
        """Make one request.

        Returns:
            The body: at least one byte, at most `max_image_bytes`. None where the answer is a
            redirect, which the next hop follows.

        Raises:
            FetchError: it could not be had; the class says why.
            TooLargeError: it is larger than is accepted.
        """
        if self._hops_left == 0:
            raise RedirectError(self._settings.max_redirects)
        self._hops_left -= 1
        budget = self._budget
        budget.end = time.monotonic() + budget.left_s
        try:
            with self._session.answer(self._url, budget) as response:
                location = _redirect_target(response)
                if location is None:
                    return self._read_body(response)
                self._url = redirect_url(self._url.text, location)
                self.origin = self._url.origin
                if response.raw.length_remaining == 0:
                    response.raw.read()  # leaves the connection fit for the next request
                return None
        except (HTTPException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            # A ValueError is what http.client makes of a negative chunk size.
            kind = CutOffError if _is_break(error) else BadAnswerError
            raise kind(_INCOMPLETE, f"{type(error).__name__}: {error}") from error
        finally:
            budget.left_s = budget.end - time.monotonic()

    def repeat(self, least_s: float) -> bool:
        """Let the next hop be the one that failed; False where less time than this is left."""
        self._hops_left += 1
        return self._budget.left_s >= least_s

    def cancel(self) -> None:
        """End the hop that another thread is at, and let none follow; see `Budget.cancel`."""
        self._budget.cancel()

    def _read_body(self, response: requests.Response) -> bytes:
        limit_bytes = self._settings.max_image_bytes
        _check_head(response, limit_bytes)
        pieces: list[bytes] = []
        body_bytes = 0
        while piece := response.raw.read(_PIECE_BYTES):
            pieces.append(piece)
            body_bytes += len(piece)
            if body_bytes > limit_bytes:
                raise TooLargeError(limit_bytes)
            if self._budget.received_bytes > 2 * body_bytes + OVERHEAD_BYTES:
                # Chunks of a byte each would keep a core busy for as long as the deadline allows.
                raise BadAnswerError(
                    "could not fetch the image: the answer comes in too small chunks"
                )
        if not pieces:
            raise BadAnswerError("could not fetch the image: the server's answer is empty")
        return b"".join(pieces)


def _redirect_target(response: requests.Response) -> str | None:
    """Return where an answer points to, relative to its URL; None if it is no redirect.

    Raises:
        BadAnswerError: it points to several URLs.
    """
    if response.status_code not in _REDIRECTS:
        return None
    locations = set(response.raw.headers.getlist("Location"))
    if len(locations) > 1:
        raise BadAnswerError("could not fetch the image: the server redirects to several URLs")
    return str(locations.pop()) if any(locations) else None


def _is_break(error: Exception) -> bool:
    """Did the connection break? What came until then was HTTP."""
    broken = isinstance(error, urllib3.exceptions.ProtocolError) and len(error.args) > 1
    return isinstance(error.args[1] if broken else error, ConnectionError | IncompleteRead)


def _retry_after_s(response: requests.Response) -> float:
    """The seconds that an answer asks to wait (RFC 9110, 10.2.3); 0 where it does not."""
    given = response.raw.headers.getlist("Retry-After")
    if len(given) != 1 or len(given[0]) > _MAX_DATE_CHARS:
        return 0.0
    with suppress(ValueError, OverflowError):
        if _LENGTH.fullmatch(given[0].strip()):
            return float(given[0])
        moment = parsedate_to_datetime(given[0])
        return max(0.0, (moment.astimezone(UTC) - datetime.now(UTC)).total_seconds())
    return 0.0


def _check_head(response: requests.Response, limit_bytes: int) -> None:
    """Refuse by the headers what need not be read.

    Where they leave open where the body ends (RFC 9112, 6.3), http.client would read what it does
    not understand as no header at all.
    """
    if response.status_code != _OK:
        raise HttpStatusError(response.status_code, _retry_after_s(response))
    headers = response.raw.headers
    encoding = ", ".join(headers.getlist("Content-Encoding")).strip().lower()
    if encoding not in ("", "identity"):
        raise BadAnswerError(
            "could not fetch the image: the server compressed its answer although it was asked "
            "not to",
            f"Content-Encoding: {encoding[:80]!r}",
        )
    codings = headers.getlist("Transfer-Encoding")
    if codings and (len(codings) > 1 or codings[0].lower() != "chunked"):
        raise BadAnswerError(_INCOMPLETE, f"Transfer-Encoding: {codings!r:.80}")
    lengths = {length.strip() for length in headers.getlist("Content-Length")}
    if len(lengths) > 1 or any(not _LENGTH.fullmatch(length) for length in lengths):
        raise BadAnswerError(_INCOMPLETE, f"Content-Length: {lengths!r:.80}")
    if not codings and lengths and int(lengths.pop()) > limit_bytes:
        raise TooLargeError(limit_bytes)
