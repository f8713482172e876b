"""Caller: who sent a request, as whose key it counts and what that key may do."""

from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum

from api.access.refused import log_refused
from api.errors import ForbiddenError


class Scope(IntEnum):
    """What a key may do; each scope includes the ones below it."""

    READ = 1
    """Search, get, list and detect."""

    WRITE = 2
    """Add images, and change and delete them by their ids."""

    ADMIN = 3
    """Everything."""


@dataclass(frozen=True)
class Caller:
    """The sender of a request.

    Attributes:
        key: the name of its API key; None where the service has no keys.
        scope: what the key may do; everything where the service has no keys.
        address: the client's IP address, as far as it is known.
    """

    key: str | None
    scope: Scope
    address: str | None


_ANYBODY = Caller(None, Scope.ADMIN, None)
CALLER: ContextVar[Caller] = ContextVar("caller", default=_ANYBODY)
"""The caller of the request that is being answered; set by the gate."""


def require(scope: Scope) -> None:
    """Refuse what the route takes from some keys and not from others.

    Raises:
        ForbiddenError: the caller's key may not do that.
    """
    caller = CALLER.get()
    if caller.scope < scope:
        log_refused(ForbiddenError.status, caller.key, caller.address)
        raise ForbiddenError(scope.name.lower())
