"""Who a change of the table is written down as: the caller of the request that makes it."""

from api.access.caller import CALLER
from api.telemetry.logs import REQUEST_ID
from store.schemas import Author


def author() -> Author:
    """The caller of the request that is being answered, as the change log has it."""
    caller = CALLER.get()
    return Author(caller.key, caller.address, REQUEST_ID.get() or None)
