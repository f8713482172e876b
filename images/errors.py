"""Exceptions of downloading and decoding.

ImageError
├── FetchError
│   ├── UrlError            the URL, or one that it redirects to, is malformed or not http(s)
│   ├── UnreachableError    no connection: blocked, unknown, refused or silent, all alike
│   ├── TlsError            the server's certificate or its TLS is not acceptable
│   ├── FetchTimeoutError   connected, but the download took longer than it may
│   ├── HttpStatusError     the server answered with another status than 200
│   ├── RedirectError       more redirects than are followed
│   └── BadAnswerError      the answer is no complete, plain HTTP body
│       └── CutOffError     the connection broke before its end
├── TooLargeError           more bytes than are accepted
├── NotAnImageError         the bytes are of no known image format
├── BrokenImageError        an image by its header, but damaged or cut off
├── ImageLimitError         more pixels, a longer strip, or more frames than is accepted
│   ├── ImageMemoryError    more memory than its pixels account for
│   └── MoreMemoryError     more memory than it was given: give it more, or refuse it
└── DecoderError            the process that decoded it crashed, or hung and was ended

`str(error)` is one line for the client, without anything that came from the server or tells of the
network here; `detail` is for the log.
"""

from http import HTTPStatus
from typing import ClassVar

_MAX_DETAIL_CHARS = 500


class ImageError(Exception):
    """Base of all errors of downloading and decoding.

    Attributes:
        code: Machine-readable name of the kind of error.
        detail: For the log; may name addresses, and is cut off where a server made it up.
        may_pass: Whether the same download may succeed in a moment.
        retry_after_s: Seconds that the server asks to wait until then.
    """

    code: ClassVar[str] = "image_error"
    may_pass = False
    retry_after_s = 0.0

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail[:_MAX_DETAIL_CHARS]


class FetchError(ImageError):
    """Base of the errors of downloads."""

    code = "fetch_failed"


class UrlError(FetchError):
    """The URL cannot be fetched whatever the network does."""

    code = "url_invalid"


class UnreachableError(FetchError):
    """No connection to the host.

    Always the same message: a client that could tell a forbidden address from a silent one could
    map the network this service runs in. The reason is in `detail` only.
    """

    code = "host_unreachable"

    def __init__(self, detail: str) -> None:
        super().__init__("could not fetch the image: the host could not be reached", detail)


class TlsError(FetchError):
    """The connection stands, but it cannot be trusted."""

    code = "tls_failed"

    def __init__(self, detail: str) -> None:
        super().__init__(
            "could not fetch the image: no secure connection; the server's certificate is not "
            "valid for this host, or it speaks no TLS on this port",
            detail,
        )


class FetchTimeoutError(FetchError):
    """The host was reached, but the time for the whole download is over."""

    code = "fetch_timeout"

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"could not fetch the image: it took longer than {limit_s:g} seconds")


class HttpStatusError(FetchError):
    """The server answered, but not with a picture."""

    code = "http_status"

    def __init__(self, status: int, retry_after_s: float = 0.0) -> None:
        super().__init__(f"could not fetch the image: the server answered {status} instead of 200")
        self.status, self.retry_after_s = status, retry_after_s
        self.may_pass = status == HTTPStatus.TOO_MANY_REQUESTS or status >= 500


class RedirectError(FetchError):
    """The server keeps redirecting."""

    code = "too_many_redirects"

    def __init__(self, limit: int) -> None:
        super().__init__(f"could not fetch the image: more than {limit} redirects")


class BadAnswerError(FetchError):
    """The server's answer is not complete, plain HTTP."""

    code = "bad_answer"


class CutOffError(BadAnswerError):
    """The connection broke before the answer's end."""

    may_pass = True


class TooLargeError(ImageError):
    """The file is larger than is accepted."""

    code = "image_too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the image file is larger than {limit_bytes:,} bytes")


class NotAnImageError(ImageError):
    """The bytes are of no format that is accepted."""

    code = "not_an_image"


class BrokenImageError(ImageError):
    """The header is an image's, but its pixels cannot be decoded."""

    code = "image_broken"


class ImageLimitError(ImageError):
    """The picture's width and height, frames or parts are beyond what is accepted."""

    code = "image_dimensions"


class ImageMemoryError(ImageLimitError):
    """Decoding it took more memory than a picture of its size may take."""

    def __init__(self, message: str = "", detail: str = "") -> None:
        super().__init__(message or "the image needs more memory than it may take", detail)


class MoreMemoryError(ImageLimitError):
    """A picture needs more memory than it was given; nothing else is wrong with it."""

    def __init__(self, needed_bytes: int) -> None:
        super().__init__(
            "the image needs more memory than it may take", f"{needed_bytes:,} bytes are needed"
        )
        self.needed_bytes = needed_bytes


class DecoderError(ImageError):
    """The process that worked on the picture is no more.

    One picture in a million finds a fault in a decoder; it is answered with this, and no other is.
    """

    code = "image_decoder_failed"
