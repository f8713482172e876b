"""URL to bytes: the way in for everything this service looks at."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPException
from urllib.parse import urljoin

from images.errors import (
    BadAnswerError,
    HttpStatusError,
    RedirectError,
    TooLargeError,
    UrlError,
)
from images.fetch.addresses import AllowList
from images.fetch.budget import Budget
from images.fetch.connections import Connections
from images.fetch.dial import Dialer
from images.fetch.ports import Ports
from images.fetch.resolve import Resolver, system_resolver
from images.fetch.transport import Answer, Connection, tls_context
from images.fetch.urls import Origin, WebUrl, check_chars, check_url
from images.settings import FetchSettings

_REDIRECTS = (301, 302, 303, 307, 308)
_INCOMPLETE = "could not fetch the image: the server's answer is incomplete or not valid HTTP"
_PIECE_BYTES = 2**18
_LENGTH = re.compile("[0-9]{1,1000}")  # beyond some thousands of digits, Python reads no integer


class Fetcher:
    """Downloads images; one instance serves any number of threads.

    Args:
        settings: The limits, and what may be fetched although it is private.
        resolve: Turns a host into its addresses.
    """

    def __init__(self, settings: FetchSettings, resolve: Resolver = system_resolver) -> None:
        self._settings = settings
        allow = AllowList.from_entries(settings.allow_networks)
        dialer = Dialer(allow, Ports.parse(settings.fetch_ports), resolve)
        self._connections = Connections(dialer, tls_context())

    def fetch(self, url: str) -> bytes:
        """Download what a URL leads to, in this thread.

        Returns:
            The body, as it came: at least one byte, at most `max_image_bytes`.

        Raises:
            FetchError: it could not be had; the class says why.
            TooLargeError: it is larger than is accepted.
        """
        download = self.begin(url)
        while (body := download.hop()) is None:
            pass
        return body

    def begin(self, url: str) -> "Download":
        """Prepare a download, for who wants to decide when each of its hops is made.

        Raises:
            UrlError: the URL cannot be fetched.
        """
        return Download(check_url(url), self._settings, self._connections)

    def close_idle(self, older_than_s: float) -> int:
        """Close connections that were idle for so long, and say how many are left."""
        return self._connections.close_idle(older_than_s)


class Download:
    """One download, hop by hop. All but `cancel` belongs into one thread at a time."""

    def __init__(self, url: WebUrl, settings: FetchSettings, connections: Connections) -> None:
        self._url = url
        self._settings = settings
        self._connections = connections
        self._hops_left = settings.max_redirects + 1
        self._budget = Budget(
            settings.fetch_timeout_s, settings.max_image_bytes, settings.connect_timeout_s
        )

    @property
    def origin(self) -> Origin:
        """Where the next hop goes."""
        return self._url.origin

    @property
    def unreachable_at(self) -> float:
        """When an `UnreachableError` may be told, by `time.monotonic`.

        Told at once, it would say whether an address is forbidden, unknown, closed or silent.
        """
        return self._budget.connect_end

    def hop(self) -> bytes | None:
        """Ask once.

        Returns:
            The body; None where the answer is a redirect, which the next hop follows.

        Raises:
            FetchError: it could not be had; the class says why.
            TooLargeError: it is larger than is accepted.
        """
        if self._hops_left == 0:
            raise RedirectError(self._settings.max_redirects)
        self._hops_left -= 1
        with self._budget.hop(), _translated():
            self._budget.remaining_s()
            connection = self._connections.idle(self.origin)
            if connection is not None:
                try:
                    return self._ask(connection)
                except (HTTPException, OSError):
                    # The server closed it just now: nothing was answered, so ask once more.
                    if self._budget.has_begun():
                        raise
            return self._ask(self._connections.fresh(self.origin))

    def cancel(self) -> None:
        """End the hop that another thread is at, at once, and let none follow."""
        self._budget.cancel()

    def _ask(self, connection: Connection) -> bytes | None:
        with connection.asked(self._url.target, self._budget) as answer:
            location = _redirect_target(answer)
            if location is None:
                body = self._read_body(answer)
            else:
                body, self._url = None, _next_url(self._url.text, location)
                if answer.length == 0:
                    answer.read()
        if connection.is_open():
            self._connections.keep(connection)
        return body

    def _read_body(self, answer: Answer) -> bytes:
        limit_bytes = self._settings.max_image_bytes
        _check_head(answer, limit_bytes)
        body = bytearray()
        while piece := answer.read(_PIECE_BYTES):
            body += piece
            if len(body) > limit_bytes:
                raise TooLargeError(limit_bytes)
            self._budget.check_overhead(len(body))
        if answer.length:
            raise BadAnswerError(_INCOMPLETE, f"{answer.length} bytes are missing")
        if not body:
            raise BadAnswerError("could not fetch the image: the server's answer is empty")
        return bytes(body)


def _redirect_target(answer: Answer) -> str | None:
    """Return where an answer points to, relative to its URL; None if it is no redirect.

    Raises:
        BadAnswerError: it points to several places.
    """
    locations = set(answer.headers.get_all("Location", []))
    if answer.status not in _REDIRECTS or not any(locations):
        return None
    if len(locations) > 1:
        raise BadAnswerError("could not fetch the image: the server redirects to several URLs")
    return str(locations.pop())


def _next_url(url: str, location: str) -> WebUrl:
    """Join a redirect's target to the URL it came from, and check it like any other.

    Raises:
        UrlError: the target may not be fetched.
    """
    try:
        # http.client reads headers as Latin-1, but servers write UTF-8, and spaces as they are.
        readable = location.encode("latin-1").decode("utf-8", "replace").strip(" \t")
        target = readable.replace(" ", "%20")
        check_chars(target)  # urljoin would drop some of them
        return check_url(urljoin(url, target))
    except UrlError as error:
        raise UrlError(f"the server redirects, but {error}", error.detail) from None
    except ValueError:  # its words may quote credentials
        raise UrlError("the server redirects to a malformed URL") from None


def _check_head(answer: Answer, limit_bytes: int) -> None:
    """Refuse by the headers what need not be read."""
    if answer.status != HTTPStatus.OK:
        raise HttpStatusError(answer.status)
    encoding = ", ".join(answer.headers.get_all("Content-Encoding", [])).strip().lower()
    if encoding not in ("", "identity"):
        raise BadAnswerError(
            "could not fetch the image: the server compressed its answer although it was asked "
            "not to",
            f"Content-Encoding: {encoding[:80]!r}",
        )
    _check_framing(answer)
    if answer.length is not None and answer.length > limit_bytes:
        raise TooLargeError(limit_bytes)


def _check_framing(answer: Answer) -> None:
    """Refuse headers that leave open where the body ends (RFC 9112, 6.3).

    http.client reads what it does not understand here as no header at all.
    """
    codings = answer.headers.get_all("Transfer-Encoding", [])
    if codings and (len(codings) > 1 or not answer.chunked):
        raise BadAnswerError(_INCOMPLETE, f"Transfer-Encoding: {codings!r:.80}")
    lengths = {length.strip() for length in answer.headers.get_all("Content-Length", [])}
    if len(lengths) > 1 or any(not _LENGTH.fullmatch(length) for length in lengths):
        raise BadAnswerError(_INCOMPLETE, f"Content-Length: {lengths!r:.80}")


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what http.client and the socket raise into this room's errors."""
    try:
        yield
    except (HTTPException, OSError, ValueError) as error:
        # A ValueError is what http.client makes of a negative chunk size.
        raise BadAnswerError(_INCOMPLETE, f"{type(error).__name__}: {error}") from error
