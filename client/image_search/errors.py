"""What a call can end with, other than its result.

ImageSearchError            has the service's line, its code and the HTTP status
|-- RefusedError            the request or its picture: sent again, it fails again
|   |-- AccessError         it is not let in, whatever the request
|   |   |-- UnauthorizedError   401: no API key, or a wrong one
|   |   |-- ForbiddenError      403: the key's scope does not reach so far
|   |   `-- MisdirectedError    421: a service without keys is not called by one of its own names
|   `-- NotFoundError       404: no image has the id, or the address is another service's
|-- OverloadedError         429: too many requests at once
|-- UnexpectedAnswerError   an answer that is not this service's
`-- UnreachableError        no answer: refused, cut off, or 502 to 504 of a proxy in front
    `-- TimedOutError       no answer in time
"""


class ImageSearchError(Exception):
    """Base of all errors of the client.

    Attributes:
        message: one line for people.
        code: for programs; empty where the service gave none.
        status: of HTTP, or None where there was no answer.
    """

    def __init__(self, message: str, code: str = "", status: int | None = None) -> None:
        super().__init__(message)
        self.message, self.code, self.status = message, code, status


class RefusedError(ImageSearchError):
    """The service refused the request, or could not get its picture."""


class AccessError(RefusedError):
    """The service does not let this client do that."""


class UnauthorizedError(AccessError):
    """The service wants an API key, or another one."""


class ForbiddenError(AccessError):
    """The API key may not do that: it takes one of another scope, which the message names."""


class MisdirectedError(AccessError):
    """The service has no API keys, and does not know the host name of its address."""


class NotFoundError(RefusedError):
    """There is no such image, or no such address."""


class OverloadedError(ImageSearchError):
    """Too many requests at once.

    Attributes:
        retry_after_s: seconds that the service asks to wait.
    """

    def __init__(self, message: str, code: str, status: int, retry_after_s: float) -> None:
        super().__init__(message, code, status)
        self.retry_after_s = retry_after_s


class UnexpectedAnswerError(ImageSearchError):
    """What answered is not this service, or another version of it."""


class UnreachableError(ImageSearchError):
    """Nothing answered."""


class TimedOutError(UnreachableError):
    """Nothing answered in time."""
