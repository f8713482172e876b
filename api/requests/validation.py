"""One-line messages for pydantic's errors: where, what is wrong, and what would be right."""

from collections.abc import Collection, Sequence

from pydantic_core import ErrorDetails

_TYPE_NAMES = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}
_MAX_SHOWN_CHARS = 64


def in_words(details: ErrorDetails, known: Collection[str]) -> str:
    """One line for a pydantic error.

    Args:
        details: the error.
        known: the fields that the request may have.
    """
    where, kind = _place(details["loc"]), details["type"]
    if kind == "extra_forbidden" and len(details["loc"]) == 1:
        return f"unknown field {short(where)}; known fields: {', '.join(known) or 'none'}"
    if kind == "extra_forbidden":
        return f"unknown field {short(where)}"
    if details["loc"][:1] == ("metadata",) and len(details["loc"]) > 1:
        return "metadata must be an object or a string"
    return f"{shortened(where)} {_reason(details)}".lstrip()


def _reason(details: ErrorDetails) -> str:
    kind = details["type"]
    if kind in _TYPE_NAMES:
        return f"must be {_TYPE_NAMES[kind]}"
    if kind == "missing":
        return "is missing"
    reason = details["msg"].replace("should ", "must ").replace(" after validation", "")
    for subject in ("Input ", "List ", "String ", "Value error, "):
        reason = reason.removeprefix(subject)
    return reason


def _place(loc: Sequence[str | int]) -> str:
    """As JavaScript would write it: `query[2].weight`; empty for the request as a whole."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return "".join(parts).removeprefix(".")


def short(name: str) -> str:
    """A client's text, quoted and shortened, fit for a message."""
    return repr(shortened(name))


def shortened(text: str) -> str:
    """A client's text, cut to a length fit for a message."""
    return text if len(text) <= _MAX_SHOWN_CHARS else text[: _MAX_SHOWN_CHARS - 3] + "..."
