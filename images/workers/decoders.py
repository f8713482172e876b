"""What the processes that decode are asked for: as many pictures at once as there are of them."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial

from images.decode.memory import needed_bytes
from images.schemas import ClipPicture, ClipTask, LabelledBox, Letterboxed, LetterboxTask
from images.workers.pool import Pool, Question
from images.workers.replies import read_clip, read_letterbox
from images.workers.shared_picture import HeldPicture, Use

MAX_THUMBNAIL_BYTES = 1 << 20
"""Noise of 1024 x 1024 pixels, which nothing compresses, takes 0.9 MB."""

_JPEG_BYTES_PER_PIXEL, _JPEG_HEADER_BYTES = 4, 1 << 16


class Decoders(Pool):
    """Decodes, prepares and draws; one picture at a time in each process."""

    async def clip(
        self, data: bytes, task: ClipTask, room_bytes: int, use: Use = nullcontext
    ) -> ClipPicture:
        """Decode a file, and prepare it for the embedder.

        Args:
            data: the file.
            task: how it is prepared.
            room_bytes: memory that it may take.
            use: of that memory: a process works on when nobody waits for it any more.

        Raises:
            MoreRoomError: it needs more memory than that.
            ImageError: it is no acceptable picture.
        """
        request = {"task": "clip", "room_bytes": room_bytes, "with": asdict(task)}
        most_bytes = 3 * task.image_size**2 + (MAX_THUMBNAIL_BYTES if task.thumbnail_side else 0)
        question = Question(request, data, most_bytes, partial(read_clip, task=task))
        return await self.asked(question, None, use)

    async def letterbox(
        self, data: bytes, task: LetterboxTask, room_bytes: int, held: HeldPicture
    ) -> tuple[Letterboxed, int]:
        """Decode a file, prepare it for the detector, and keep it for `draw` if that is wanted.

        Args:
            data: the file.
            task: how it is prepared.
            room_bytes: memory that it may take.
            held: gets the picture, or its size alone; its `use` is that of the memory.

        Returns:
            What the detector takes, and the memory that it takes at most until it is drawn: none
            where it is not kept.

        Raises:
            MoreRoomError: it needs more memory than that.
            ImageError: it is no acceptable picture.
        """
        most_side = -(-task.image_size // task.stride) * task.stride
        request = {"task": "letterbox", "room_bytes": room_bytes, "with": asdict(task)}
        read = partial(
            read_letterbox, room_bytes=room_bytes, most_side=most_side, limits=self._limits
        )
        question = Question(request, data, 3 * most_side * most_side, read)
        boxed, needed = await self.asked(question, held.fd, held.use)
        held.size = boxed.original_size
        return boxed, needed

    async def draw(self, held: HeldPicture, boxes: Sequence[LabelledBox], quality: int) -> bytes:
        """Draw boxes into a copy of a kept picture, and return it as a JPEG file.

        Raises:
            ImageError: it cannot be drawn, or is too long for a JPEG file.
        """
        pixels = held.size[0] * held.size[1]
        told = {"size": held.size, "boxes": [asdict(box) for box in boxes], "quality": quality}
        room_bytes = needed_bytes("JPEG", pixels, 0)
        request = {"task": "draw", "room_bytes": room_bytes, "with": told}
        most_bytes = _JPEG_BYTES_PER_PIXEL * pixels + _JPEG_HEADER_BYTES
        question = Question(request, b"", most_bytes, lambda _, body: body.tobytes())
        return await self.asked(question, held.fd, held.use)
