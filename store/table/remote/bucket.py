"""A bucket of an object store, for what is no table; and what keeps one from being used.

It is found as LanceDB finds it: by the URI, and the variables `AWS_ENDPOINT`, `AWS_REGION`,
`AWS_ACCESS_KEY_ID` and so on.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from store.errors import StoreOpenError

if TYPE_CHECKING:
    from obstore.store import S3Store

SCHEME = "s3://"

_TIMEOUT_S = 10.0
_TRIES = 3
_LEAST = "may read, write, list and delete there"
_SETTING = "IMAGE_SEARCH_STORE_URI"
_CAUSES = (
    (
        r"NoSuchBucket|bucket does not exist",
        "there is no bucket {bucket!r} at {endpoint}: make it, or name one that is there",
    ),
    (
        r"169\.254\.|CredentialsNotLoaded|[Mm]issing (AccessKeyId|SecretAccessKey)"
        r"|AWS_CONTAINER_CREDENTIALS|performing PUT http://\S+/latest/api/token",
        "the object store needs credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    (
        r"PermanentRedirect|AuthorizationHeaderMalformed|IncorrectEndpoint|non-redirect|301 Moved",
        "the bucket {bucket!r} is in another region: set AWS_REGION to its own",
    ),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|AuthFailure|InvalidClientTokenId|ExpiredToken"
        r"|AccessDenied|\b40[13]\b",
        "the object store refuses the credentials for the bucket {bucket!r}: AWS_ACCESS_KEY_ID and"
        f" AWS_SECRET_ACCESS_KEY must be those of an account that {_LEAST}",
    ),
    (
        r"error sending request|dns error|Connect|timed out|error following redirect|builder error",
        "no object store answers at {endpoint}: AWS_ENDPOINT must be its address, such as"
        " https://s3.example.org",
    ),
)
"""What is wrong, by the words of the store's error, which has no other sign."""


def bucket_at(uri: str) -> "S3Store":
    """Opens the place that an ``s3://`` URI names; nothing is asked of the store yet.

    Raises:
        StoreOpenError: the variables that say where it is contradict each other.
    """
    from obstore.store import S3Store  # noqa: PLC0415 - for who has an object store alone

    allowed = os.environ.get("AWS_ALLOW_HTTP", "").lower() in {"true", "1"}
    if _endpoint().startswith("http://") and not allowed:
        raise StoreOpenError(
            f"{_SETTING}: {_endpoint()} is not encrypted: use https://, or set AWS_ALLOW_HTTP=true"
        )
    timeout = timedelta(seconds=_TIMEOUT_S)
    return S3Store.from_url(
        uri,
        client_options={"allow_http": allowed, "timeout": timeout, "connect_timeout": timeout},
        retry_config={"max_retries": _TRIES - 1, "retry_timeout": timeout},
    )


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Turns what keeps an object store from being used into one line that says what to do.

    Raises:
        StoreOpenError: that line.
    """
    from obstore.exceptions import BaseError  # noqa: PLC0415 - see above

    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        said = {"bucket": uri.removeprefix(SCHEME).partition("/")[0], "endpoint": _endpoint()}
        words = f"{type(error).__name__} {error}"
        known = (line for pattern, line in _CAUSES if re.search(pattern, words))
        line = next(known, "the object store at {endpoint} could not be used").format(**said)
        raise StoreOpenError(f"{_SETTING}: {line}", words) from error


def _endpoint() -> str:
    names = ("AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
    return next((os.environ[name] for name in names if os.environ.get(name)), "AWS itself")
