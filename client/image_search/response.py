"""From an HTTP response to a call's result, or to an error in the service's own words."""

import math
from typing import Any, Generic

import httpx

from image_search.errors import (
    ForbiddenError,
    ImageSearchError,
    MisdirectedError,
    NotFoundError,
    OverloadedError,
    RefusedError,
    TimedOutError,
    UnauthorizedError,
    UnexpectedAnswerError,
    UnreachableError,
)
from image_search.request import MOST_BYTES, Call, T

_USUAL_RETRY_S = 1.0
_LONGEST_RETRY_S = 3600.0
_GONE = frozenset({502, 503, 504})
_REFUSALS = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    421: MisdirectedError,
}


class Received(Generic[T]):
    """The answer to a call while it comes in; one that is too long is given up.

    Args:
        call: that it answers.
        head: the answer without its body.

    Raises:
        UnexpectedAnswerError: the body is compressed, and could become any size.
    """

    def __init__(self, call: Call[T], head: httpx.Response) -> None:
        self._call, self._head = call, head
        self._parts: list[bytes] = []
        self._most = self._left = call.most_bytes if head.is_success else MOST_BYTES
        encoding = head.headers.get("Content-Encoding", "identity")
        if encoding.lower() != "identity":
            raise self._unexpected("is compressed, which was not asked for")

    def take(self, part: bytes) -> None:
        """Take a part of the body.

        Raises:
            UnexpectedAnswerError: it is more than the call's answer may have.
        """
        self._left -= len(part)
        if self._left < 0:
            raise self._unexpected(f"is larger than the {self._most:,} bytes that are read of it")
        self._parts.append(part)

    def result(self) -> T:
        """The result of the call, once all has come in.

        Raises:
            ImageSearchError: the answer is an error's, or cannot be read.
        """
        head = self._head
        body = b"".join(self._parts)
        self._parts.clear()
        return result_of(
            self._call, httpx.Response(head.status_code, headers=head.headers, content=body)
        )

    def _unexpected(self, what: str) -> UnexpectedAnswerError:
        call, status = self._call, self._head.status_code
        return UnexpectedAnswerError(f"the answer to {call.method} {call.path} {what}", "", status)


def result_of(call: Call[T], answer: httpx.Response) -> T:
    """The result of a call.

    Raises:
        ImageSearchError: the answer is an error's, or cannot be read.
    """
    if answer.status_code != httpx.codes.OK:
        raise error_of(answer)
    try:
        return call.read(answer)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnexpectedAnswerError(
            f"the answer to {call.method} {call.path} is not one of an image search service",
            status=answer.status_code,
        ) from error


def error_of(answer: httpx.Response) -> ImageSearchError:
    """The error that an answer with another status than 200 means."""
    status, document = answer.status_code, _document(answer)
    message = str(document.get("message") or f"the server answered {status}")
    code = str(document.get("code") or "")
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return OverloadedError(message, code, status, retry_after_s(answer))
    if status in _GONE:
        return UnreachableError(message, code, status)
    if httpx.codes.is_client_error(status):
        return _REFUSALS.get(status, RefusedError)(message, code, status)
    return UnexpectedAnswerError(message, code, status)


def failure_of(error: httpx.HTTPError, server: str) -> ImageSearchError:
    """The error of a call without an answer."""
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return TimedOutError(f"no answer from {server} in time")
    return UnreachableError(f"no connection to {server}: {str(error) or type(error).__name__}")


def retry_after_s(answer: httpx.Response) -> float:
    """Seconds of the header Retry-After; a date is not understood, and counts as a second."""
    try:
        seconds = float(answer.headers.get("Retry-After", _USUAL_RETRY_S))
    except ValueError:
        return _USUAL_RETRY_S
    return min(max(seconds, 0.0), _LONGEST_RETRY_S) if math.isfinite(seconds) else _USUAL_RETRY_S


def _document(answer: httpx.Response) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
