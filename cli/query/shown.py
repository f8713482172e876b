"""What the service sends, made safe for a terminal: whoever adds an image chooses its metadata."""

import json
import unicodedata
from datetime import datetime
from typing import Any

_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def shown(text: str) -> str:
    """The text with control characters, direction marks and the like escaped, as in JSON."""
    return "".join(_escaped(one) if unicodedata.category(one) in _UNSAFE else one for one in text)


def as_json(value: Any) -> str:
    """One line of plain ASCII."""
    return json.dumps(value, default=datetime.isoformat).replace("\x7f", "\\u007f")


def _escaped(one: str) -> str:
    return f"\\u{ord(one):04x}" if ord(one) <= 0xFFFF else f"\\U{ord(one):08x}"
