"""What comes of a re-embedding: how it ended, and why it may not be switched over to."""

from dataclasses import dataclass

from store.offline.rebuild import Rebuild
from store.offline.turn import ReembedError
from store.schemas import ModelIdentity


@dataclass(frozen=True)
class Outcome:
    """How it went.

    Attributes:
        images: of the new table.
        failed: images that could not be embedded.
        switched: whether it is the index now.
        bare: images that are without their objects now, as their pictures are others by now.
    """

    images: int
    failed: int
    switched: bool
    bare: int = 0


@dataclass(frozen=True)
class OldTable:
    """A table that is not the index any more, to go back to; `size_bytes` as `size_of` has it."""

    name: str
    model: ModelIdentity
    size_bytes: int | None


async def may_switch(rebuild: Rebuild, *, leave_out_failed: bool) -> bool:
    """Whether the new table may take the old one's place.

    Raises:
        ReembedError: not one of the images could be embedded.
    """
    left = await rebuild.compare()
    if rebuild.failed and rebuild.failed == left.rows:
        raise ReembedError(
            "not one of the images could be embedded, and nothing was switched;"
            f" the last one: {rebuild.last_reason}"
        )
    return leave_out_failed or not rebuild.failed
