"""Decoders: what a pool of processes does with pictures: decodes, prepares, cuts and draws."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial

import numpy as np
from numpy.typing import NDArray

from images.schemas import (
    ClipPicture,
    ClipTask,
    CropTask,
    LabelledBox,
    Letterboxed,
    LetterboxTask,
    Pin,
    PixelBox,
    SharedPicture,
    needed_bytes,
)
from images.workers.pool import Job, Pool
from images.workers.replies import (
    longest_side,
    read_both,
    read_clip,
    read_crops,
    read_letterbox,
    read_tiles,
)

MAX_THUMBNAIL_BYTES = 1 << 20
"""Noise of 1024 x 1024 pixels, which nothing compresses, takes 0.9 MB."""

_JPEG_BYTES_PER_PIXEL, _JPEG_HEADER_BYTES = 4, 1 << 16


def _most_clip_bytes(task: ClipTask) -> int:
    return 3 * task.image_size**2 + (MAX_THUMBNAIL_BYTES if task.thumbnail_side else 0)


class Decoders(Pool):
    """Decodes, prepares and draws; one picture at a time in each process."""

    async def clip(
        self, data: bytes, task: ClipTask, memory_bytes: int, pin: Pin = nullcontext
    ) -> ClipPicture:
        """Decode a file, and prepare it for the embedder, with no more memory than was reserved.

        Raises:
            MoreMemoryError: it needs more memory than that.
            ImageError: it is no acceptable picture.
        """

        header = {"task": "clip", "memory_bytes": memory_bytes, "with": vars(task)}
        parse = partial(read_clip, task=task)
        return await self.run(Job(header, data, _most_clip_bytes(task), parse, pin=pin))

    async def letterbox(
        self, data: bytes, task: LetterboxTask, memory_bytes: int, picture: SharedPicture
    ) -> tuple[Letterboxed, int]:
        """Decode a file, prepare it for the detector, and share it with `draw`.

        Returns:
            What the detector takes, and the memory that it takes at most until it is drawn: none
            where its pixels are not shared.

        Raises:
            MoreMemoryError: it needs more memory than that.
            ImageError: it is no acceptable picture.
        """
        header = {"task": "letterbox", "memory_bytes": memory_bytes, "with": vars(task)}
        parse = partial(read_letterbox, task=task, memory_bytes=memory_bytes, limits=self._limits)
        job = Job(header, data, 3 * longest_side(task) ** 2, parse, picture.fd, picture.pin)
        boxed, held_bytes = await self.run(job)
        picture.size = boxed.original_size
        return boxed, held_bytes

    async def both(
        self,
        data: bytes,
        tasks: tuple[ClipTask, LetterboxTask],
        memory_bytes: int,
        picture: SharedPicture,
    ) -> tuple[ClipPicture, Letterboxed, int]:
        """Decode a file once, for the embedder and the detector, and share it with `crop`.

        Raises:
            MoreMemoryError: it needs more memory than that.
            ImageError: it is no acceptable picture.
        """
        clip, box = tasks
        header = {"task": "both", "memory_bytes": memory_bytes, "with": vars(clip)}
        parse_box = partial(
            read_letterbox, task=box, memory_bytes=memory_bytes, limits=self._limits
        )
        parse = partial(read_both, clip=clip, boxed=parse_box)
        most_bytes = _most_clip_bytes(clip) + 3 * longest_side(box) ** 2
        header |= {"letterbox": vars(box)}
        job = Job(header, data, most_bytes, parse, picture.fd, picture.pin)
        clipped, (boxed, held_bytes) = await self.run(job)
        picture.size = boxed.original_size
        return clipped, boxed, held_bytes

    async def crop(
        self, picture: SharedPicture, boxes: Sequence[PixelBox], task: CropTask
    ) -> NDArray[np.uint8]:
        """Cut parts out of a shared picture: uint8 [boxes, side, side, 3].

        Args:
            picture: that was decoded.
            boxes: the parts, each of one pixel or more, all of it in the picture.
            task: what becomes of them.

        Raises:
            ImageError: they cannot be cut out.
        """
        memory_bytes = needed_bytes("JPEG", picture.size[0] * picture.size[1], 0)
        header = {
            "task": "crop",
            "memory_bytes": memory_bytes,
            "with": {"size": picture.size, "boxes": list(boxes)},
            "crop": vars(task),
        }
        most_bytes = 3 * task.image_size**2 * len(boxes)
        parse = partial(read_crops, count=len(boxes), side=task.image_size)
        return await self.run(Job(header, b"", most_bytes, parse, picture.fd, picture.pin))

    async def tiles(
        self, picture: SharedPicture, boxes: Sequence[PixelBox], task: LetterboxTask
    ) -> list[Letterboxed]:
        """Cut parts out of a shared picture, and prepare each for the detector.

        Args:
            picture: that was decoded.
            boxes: the parts, as of `crop`.
            task: what becomes of each.

        Raises:
            ImageError: they cannot be cut out.
        """
        header = {
            "task": "tiles",
            "memory_bytes": needed_bytes("JPEG", picture.size[0] * picture.size[1], 0),
            "with": {"size": picture.size, "boxes": list(boxes)},
            "letterbox": vars(task),
        }
        sizes = [(right - left, lower - upper) for left, upper, right, lower in boxes]
        most_bytes = 3 * longest_side(task) ** 2 * len(boxes)
        parse = partial(read_tiles, sizes=sizes, task=task)
        return await self.run(Job(header, b"", most_bytes, parse, picture.fd, picture.pin))

    async def draw(
        self, picture: SharedPicture, boxes: Sequence[LabelledBox], quality: int
    ) -> bytes:
        """Draw boxes into a copy of a shared picture, and return it as a JPEG file.

        Raises:
            ImageError: it cannot be drawn, or is too long for a JPEG file.
        """
        pixels = picture.size[0] * picture.size[1]
        drawn = {"size": picture.size, "boxes": [asdict(box) for box in boxes], "quality": quality}
        memory_bytes = needed_bytes("JPEG", pixels, 0)
        header = {"task": "draw", "memory_bytes": memory_bytes, "with": drawn}
        most_bytes = _JPEG_BYTES_PER_PIXEL * pixels + _JPEG_HEADER_BYTES
        job = Job(header, b"", most_bytes, lambda _, body: body.tobytes(), picture.fd, picture.pin)
        return await self.run(job)
