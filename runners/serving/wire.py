"""Wire format of calls to a model service on another host: tensors in a safetensors file.

It holds numbers and their shapes, and nothing that runs. A batch is one array (`array`), arrays of
different shapes (`array.0`, `array.1`, ...) or texts in UTF-8 (`text.0`, ...).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

MEDIA_TYPE = "application/vnd.image-search.tensors"
FINGERPRINT_HEADER = "X-Image-Search-Model"
"""Of an answer: `Serving.fingerprint` of the model that made it."""

MAX_BODY_BYTES = 256 << 20
"""Of a call: sixteen pictures of 2,048 pixels in square take 201 MB."""

MAX_ITEMS = 256
_ARRAY, _TEXT = "array", "text"
Batch = NDArray[Any] | Sequence[NDArray[Any]] | Sequence[str]


class WireError(Exception):
    """A body is no batch."""


def encode(batch: Batch) -> bytes:
    """The body that holds a batch."""
    if isinstance(batch, np.ndarray):
        return bytes(save({_ARRAY: np.ascontiguousarray(batch)}))
    named: dict[str, NDArray[Any]] = {}
    for number, item in enumerate(batch):
        if isinstance(item, str):
            named[f"{_TEXT}.{number}"] = np.frombuffer(item.encode(), np.uint8)
        else:
            named[f"{_ARRAY}.{number}"] = np.ascontiguousarray(item)
    return bytes(save(named))


def decode(body: bytes) -> Any:
    """The batch in a body: an array, a list of arrays or a list of texts.

    Raises:
        WireError: If there is none in it.
    """
    try:
        named = load(body)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise WireError(f"no safetensors file: {error}") from error
    if _ARRAY in named and len(named) == 1:
        return named[_ARRAY]
    kinds = {name.partition(".")[0] for name in named}
    if len(kinds) > 1 or not kinds <= {_ARRAY, _TEXT} or len(named) > MAX_ITEMS:
        raise WireError(f"a batch has the tensors array, array.N or text.N, {MAX_ITEMS} at most")
    try:
        items = [named[f"{kind}.{n}"] for kind in kinds for n in range(len(named))]
        return [_text(item) for item in items] if kinds == {_TEXT} else items
    except (KeyError, UnicodeDecodeError) as error:
        raise WireError(f"the items are not numbered from 0, or not UTF-8: {error}") from error


def _text(item: NDArray[Any]) -> str:
    if item.dtype != np.uint8 or item.ndim != 1:
        raise WireError("a text is one row of bytes")
    return item.tobytes().decode()
