"""Turn: keeps a second re-embedding of one index away, by a lock in a folder, a lease elsewhere."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from store.errors import StoreError
from store.table.disk.location import Location
from store.table.lease import REEMBED, REEMBED_S, Lease

if TYPE_CHECKING:
    from lancedb import AsyncTable

_PATIENCE_S = 1.2 * REEMBED_S
"""In which the lease of one that was killed is over, and that of another is renewed."""


class ReembedError(StoreError, code="reembed"):
    """The index cannot be embedded again as things are."""


Check = Callable[[], None]
"""Raises a ReembedError where another re-embedding may be at it; asked before each commit."""


@asynccontextmanager
async def turn(location: Location, index: "AsyncTable") -> AsyncIterator[Check]:
    """Keeps others away during the block.

    Args:
        location: of the database.
        index: a handle of the table that is the index.

    Raises:
        ReembedError: another process is at it.
    """
    another = ReembedError("another `image-search reembed` is at work on this index")
    if location.folder is not None:
        with location.lock("reembed").held_if_free() as free:
            if not free:
                raise another
            yield lambda: None
        return
    lease = Lease(index, REEMBED, REEMBED_S)

    def check() -> None:
        if not lease.is_ours():
            raise ReembedError(
                "this stood still, or the object store did, for so long that another"
                " `image-search reembed` may be at work by now: start it again to go on"
            )

    async with lease.held_if_free(_PATIENCE_S) as free:
        if not free:
            raise another
        yield check
