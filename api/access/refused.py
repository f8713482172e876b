"""Refused requests in the service's log, for who guesses keys: from where, and never the key."""

import logging

from api.telemetry.log_limit import RateLimitedLog

_log = RateLimitedLog()


def log_refused(status: int, key: str | None, address: str | None) -> None:
    """Log that a request was refused: a line in ten seconds about each address and key.

    Args:
        status: 401 or 403.
        key: the name of the request's key; None where it has none that is known.
        address: of its client.
    """
    whose = "without a valid key" if key is None else f"with the key {key!r}"
    about = f"refused ({status}): a request {whose}, from {address or 'an unknown address'}"
    _log.log(logging.WARNING, about, about)
