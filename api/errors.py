"""Errors: those of HTTP itself, and the one table from any exception to status, code and message.

The errors of `images` and `store` carry a line that is safe to show and a code; the log alone has
their detail. Whatever nobody foresaw says only "internal error".
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

from images.errors import ImageError, MoreMemoryError
from store.errors import StoreError, StoreFault, shown

MAX_NAMED_CLASSES = 100


class ApiError(Exception):
    """Base of what the HTTP side itself raises; `str(error)` is the client's message.

    Args:
        message: in one line; of the class, where it is always the same.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 400
    message: ClassVar[str] = ""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.message)


class RequestError(ApiError):
    """The request is not what the route takes."""

    code = "bad_request"


class MissingUrlError(RequestError):
    """No url where one is needed. The contract fixes these answers whole: they have no code."""

    code = "no_url"


class NotFoundError(RequestError):
    """No image has the id that the path names."""

    code, status = "not_found", 404
    message = "no image has this id"


class NoFileError(RequestError):
    """An image has no such file."""

    code, status = "no_file", 404


class NoObjectsError(RequestError):
    """The service does not index the objects of images."""

    code = "no_objects"
    message = "this service indexes no objects: it is started with IMAGE_SEARCH_OBJECTS=on"


class UnknownIdError(RequestError):
    """A search names an image that is not in the index."""

    code = "unknown_id"


class UnknownClassError(RequestError):
    """A class of objects that the detector does not know."""

    code = "unknown_class"

    def __init__(self, unknown: str, known: Collection[str]) -> None:
        named = ", ".join(map(shown, islice(known, MAX_NAMED_CLASSES)))
        more = len(known) - MAX_NAMED_CLASSES
        rest = f" and {more} more" if more > 0 else ""
        super().__init__(f"unknown class {shown(unknown)}; this detector knows {named}{rest}")


class OtherModelError(RequestError):
    """Vectors that are to be stored were made by another model than the index's."""

    code = "other_model"

    def __init__(self, made: object, own: object) -> None:
        super().__init__(
            f"these vectors were made with {made}, and those of this index with {own}: index the"
            " images from their URLs"
        )


class OtherDetectorError(RequestError):
    """Objects that are to be stored were found by another detector than the index's."""

    code = "other_detector"

    def __init__(self, made: object, own: object) -> None:
        theirs = f"and those of this index with {own}" if own else "and this service indexes none"
        super().__init__(
            f"these objects were found with {made}, {theirs}: leave the rows' objects out, and have"
            " them found anew with `image-search redetect`"
        )


class UnauthorizedError(RequestError):
    """No key came with the request, or one that nobody has."""

    code, status = "unauthorized", 401
    message = "a valid API key is needed: Authorization: Bearer KEY"


class ForbiddenError(RequestError):
    """The key's scope does not reach so far."""

    code, status = "forbidden", 403

    def __init__(self, needed: str) -> None:
        super().__init__(f"this API key may not do that: a key of the scope {needed!r} is needed")


class MisdirectedError(RequestError):
    """The request is for another host; only asked of a service without keys."""

    code, status = "misdirected", 421
    message = (
        "this service has no API keys, so it answers to localhost, IP addresses and the names in"
        " IMAGE_SEARCH_HOSTS only"
    )


class BodyTooLargeError(RequestError):
    """The body is over the limit."""

    code, status = "body_too_large", 413


class MediaTypeError(RequestError):
    """The body has another content type than these."""

    code, status = "not_json", 415

    def __init__(self, types: Sequence[str]) -> None:
        super().__init__(f"the Content-Type must be {' or '.join(types)}")


class ForeignFormError(RequestError):
    """A browser sends a form for the page of another site."""

    code, status = "foreign_form", 415
    message = "cross-origin form refused; allow its origin in IMAGE_SEARCH_CORS_ORIGINS"


class EncodedBodyError(RequestError):
    """The body is compressed: a small one could become any size."""

    code, status = "encoded_body", 415
    message = "the body must not be compressed: leave Content-Encoding out"


class OverloadedError(ApiError):
    """The service is full; answered 429, with the time to come back."""

    code, status = "overloaded", 429
    message = "too many requests at once; try again"


class HostBusyError(ApiError):
    """More downloads wait for a host already than it serves in a reasonable time."""

    code = "host_busy"
    message = "too many downloads are waiting for this host to answer; try again later"


class ModelUnavailableError(ApiError):
    """A model service did not answer, or answered with a fault of its own."""

    code = "model_unavailable"


class DeadlineError(ApiError):
    """The time for one request is over."""

    code = "deadline"


@dataclass(frozen=True)
class Problem:
    """An error as it goes out: HTTP status, machine-readable code, one line for the client.

    `ours` says that the client could not have avoided it, so that it is logged with its trace.
    """

    status: int
    code: str
    message: str
    ours: bool

    @property
    def headers(self) -> dict[str, str] | None:
        """Those that the answer has besides: when to come back."""
        return {"Retry-After": "1"} if self.status == OverloadedError.status else None

    def document(self) -> dict[str, str]:
        """The JSON body of the answer."""
        if self.code == MissingUrlError.code:
            return {"message": self.message}
        return {"message": self.message, "code": self.code}


CANCELLED = "cancelled"
"""The outcome of work that nobody waits for any more; no answer has this code."""

LARGE = "large"
"""The outcome of a decoding that is to be repeated with more memory."""

_OURS = (ModelUnavailableError, DeadlineError)
_FAULTS: tuple[type[ApiError | StoreError], ...] = (
    *_OURS,
    StoreFault,
    *StoreFault.__subclasses__(),
)
FAULT_CODES = (*(one.code for one in _FAULTS), "internal")
"""The codes of what is not the client's fault."""


def problem_of(error: BaseException) -> Problem:
    """Translate any exception that leaves a route. The only such table there is."""
    if isinstance(error, ApiError):
        return Problem(error.status, error.code, str(error), isinstance(error, _OURS))
    if isinstance(error, ImageError):
        return Problem(400, error.code, str(error), ours=False)
    if isinstance(error, StoreError):
        return Problem(400, error.code, str(error), isinstance(error, StoreFault))
    if isinstance(error, asyncio.TimeoutError):
        return Problem(400, DeadlineError.code, "the request took too long; try again", ours=True)
    return Problem(400, "internal", "internal error; the server's log has the details", ours=True)


def outcome_of(error: BaseException) -> str:
    """How work ended that raised this, in one word for metrics and traces."""
    if isinstance(error, asyncio.CancelledError):
        return CANCELLED
    return LARGE if isinstance(error, MoreMemoryError) else problem_of(error).code
