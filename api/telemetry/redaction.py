"""What the log may hold: no secrets, and nothing that passes for a line of its own.

Pictures' addresses carry secrets in the query (signed links of S3, GCS and Azure) or before the
host (user and password), and libraries quote them in their errors. So every text is cleaned where
it is written, whoever wrote it.
"""

import re
from collections.abc import Iterable

MOST_CHARS = 32_768
"""Of a message or a trace; what is longer loses its middle."""

_GONE = "***"
_CREDENTIALS = re.compile(r"(?<=://)[^\s/?#]*@")
_QUERY = re.compile(r"(?<=\S)\?\S+")  # to the next blank: quotes and brackets may belong to it
_WORD = re.compile(r"\S+")
_AUTHORIZATION = re.compile(r"\b(bearer|basic)\s+\S+", re.IGNORECASE)
# Line breaks of any kind, what steers a terminal, what turns the direction of writing, and halves
# of surrogate pairs, which no stream can write.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_SHORTEST_KEY = 6
"""Shorter keys are words such as `key`, that stand in the log anyway."""


class Redaction:
    """Cleans texts for the log.

    Args:
        secrets: texts that must not be in it, such as the API keys.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        longest_first = sorted(secrets, key=len, reverse=True)
        known = [re.escape(one) for one in longest_first if len(one) >= _SHORTEST_KEY]
        self._secrets = re.compile("|".join(known)) if known else None

    def lines(self, text: str) -> list[str]:
        """The lines of a message or a trace, printable and without secrets."""
        return [_printable(line) for line in _cut(self.without_secrets(text)).split("\n")]

    def without_secrets(self, text: str) -> str:
        """A text without keys, and with addresses cut down to scheme, host and path."""
        if self._secrets:
            text = self._secrets.sub(_GONE, text)
        text = _AUTHORIZATION.sub(rf"\1 {_GONE}", text)
        text = _CREDENTIALS.sub(f"{_GONE}@", text)
        return _WORD.sub(_without_fragment, _QUERY.sub(f"?{_GONE}", text))


def _without_fragment(word: re.Match[str]) -> str:
    """In plain steps: a pattern would try anew from each of thousands of "://"."""
    scheme, found, rest = word[0].partition("://")
    rest, mark, _ = rest.partition("#")
    return f"{scheme}{found}{rest}{mark}{_GONE if mark else ''}"


def _cut(text: str) -> str:
    half = MOST_CHARS // 2
    return text if len(text) <= MOST_CHARS else f"{text[:half]} ... {text[-half:]}"


def _printable(line: str) -> str:
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", line)
