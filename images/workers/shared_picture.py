"""A decoded picture that is kept until boxes are drawn into it, outside of every process."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Self

Use = Callable[[], AbstractContextManager[None]]
"""Makes a block for as long as which memory is in use, whoever else gives it back meanwhile."""


class HeldPicture:
    """Pixels in memory that only this descriptor keeps: uint8 [height, width, 3], RGB.

    The process that decodes writes them, any other reads them back, and where either of them
    crashes they are still there. Nothing of it is mapped into the API's own process.

    Args:
        keep: whether there will be anything to draw into; else only the size is told.

    Attributes:
        fd: the descriptor (memfd_create(2)); None where no pixels are kept.
        size: width and height in pixels; (0, 0) before the picture is decoded.
        use: of the memory that is reserved for it; whatever works on it is such a block.
    """

    def __init__(self, *, keep: bool = True) -> None:
        self.fd = os.memfd_create("picture", os.MFD_CLOEXEC) if keep else None
        self.size = (0, 0)
        self.use: Use = nullcontext

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Give the memory back."""
        if self.fd is not None:
            os.close(self.fd)
