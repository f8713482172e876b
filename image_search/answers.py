"""From an HTTP answer, or none, to a result or an error. No network here."""

import math
from typing import Any

import httpx

from image_search.errors import (
    ImageSearchError,
    NotFoundError,
    OverloadedError,
    RefusedError,
    TimedOutError,
    UnauthorizedError,
    UnexpectedAnswerError,
    UnreachableError,
)
from image_search.request import Call, T

_USUAL_RETRY_S = 1.0
_LONGEST_RETRY_S = 3600.0
_GONE = frozenset({502, 503, 504})
_REFUSALS = {401: UnauthorizedError, 404: NotFoundError}


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
