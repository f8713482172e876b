"""PNG files, chunk by chunk: only what the pixels need goes on to the reader."""

import struct
import zlib

from images.decode.structure import check_frames, max_parts, too_many
from images.schemas import DecodeLimits

_SIGNATURE_BYTES = 8
_TRANSPARENCY, _END = b"tRNS", b"IEND"
_SECONDARY = 0x20
"""Bit of a chunk's name: lower case means ancillary, which a reader may leave out."""

_EXIF_AS_TEXT = b"Raw profile type exif\0"


def needed_chunks(data: bytes, limits: DecodeLimits) -> bytes:
    """The file without the ancillary chunks that no pixel depends on.

    Left out are texts, profiles, animations, and whatever has a wrong checksum, as browsers do;
    what is left is transparency and EXIF. Critical chunks stay, whatever they say, and so does
    everything where nothing has to go.

    Raises:
        ImageLimitError: there are more chunks or frames than any encoder makes.
    """
    whole = memoryview(data)
    kept, frames, offset, left_out = [whole[:_SIGNATURE_BYTES]], 0, _SIGNATURE_BYTES, False
    for _ in range(max_parts(data)):
        if offset + 12 > len(data):
            kept.append(whole[offset:])
            return b"".join(kept) if left_out else data
        length, kind = struct.unpack_from(">I4s", data, offset)
        frames += kind == b"fcTL"
        counted = kind == b"acTL" and length >= 4
        promised = struct.unpack_from(">I", data, offset + 8)[0] if counted else 0
        check_frames(max(frames, promised), limits)
        end = offset + 12 + length
        if _is_needed(kind, whole[offset + 4 : end]):
            kept.append(whole[offset:end])
        else:
            left_out = True
        if kind == _END:
            return b"".join(kept) if left_out else data
        offset = end
    raise too_many("PNG")


def _is_needed(kind: bytes, summed: memoryview) -> bool:
    """Whether to keep a chunk, of which `summed` is what its checksum covers, and that."""
    if not kind[0] & _SECONDARY:
        return True
    is_exif = kind == b"eXIf" or bytes(summed[4 : 4 + len(_EXIF_AS_TEXT)]) == _EXIF_AS_TEXT
    if kind != _TRANSPARENCY and not is_exif:
        return False
    return zlib.crc32(summed[:-4]) == int.from_bytes(summed[-4:], "big")
