"""API keys with names and scopes: of the environment, and of a file that is read as it changes."""

import asyncio
import hashlib
import hmac
import logging
import math
import re
import stat
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from api.access.caller import Scope
from api.settings import ENV_PREFIX, key_fault

logger = logging.getLogger("bentoml.image_search")

SETTING = f"{ENV_PREFIX}API_KEYS_FILE"
LOOK_S = 1.0
"""Seconds between two looks at the file."""

MAX_KEYS = 1000
_MAX_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SCOPES = {scope.name.lower(): scope for scope in Scope}
READ_BY_OTHERS = "%s=%s can be read by other users: chmod 600"

_State = tuple[int, ...] | str | None

Hide = Callable[[Collection[str]], None]


class KeysFileError(Exception):
    """A file of keys cannot be used; the message is one line, and holds nothing of the file."""


class UnreadableError(KeysFileError):
    """It cannot be opened or read: that may pass, as where descriptors have run out."""


@dataclass(frozen=True)
class Key:
    """A key as the gate knows it: by its SHA-256 alone."""

    name: str
    scope: Scope
    digest: bytes

    @classmethod
    def of_environment(cls, key: str) -> "Key":
        """A key without a name of its own: it is told by the beginning of its digest."""
        digest = _digest(key.encode())
        return cls(f"key-{digest.hex()[:8]}", Scope.ADMIN, digest)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


class KeyRing:
    """The keys that open a service.

    Args:
        keys: of the environment; each may do everything.
        file: with a line `name scope key` for each other one. What it holds counts, as soon as it
            changes; where it cannot be read the keys stay as they were, and where it is gone or
            empty, its keys open nothing any more.
        hide: is told all keys that are read, to keep them out of the log.
    """

    def __init__(
        self,
        keys: Collection[str] = (),
        file: Path | None = None,
        hide: Hide = lambda _: None,
    ) -> None:
        self.locked = bool(keys) or file is not None
        """Whether a request needs a key."""
        self._own = [Key.of_environment(key) for key in sorted(keys)]
        self._known = self._own
        self._file, self._hide = file, hide
        self._state: _State = ()
        self._unreadable = ""
        self._looked_at = -math.inf
        self._looking: asyncio.Task[None] | None = None
        # A look takes microseconds, but on a network's file system for ever: not on the event loop.
        self._thread = ThreadPoolExecutor(1, "keys")

    async def refresh(self) -> None:
        """Look whether the file has changed, once a second at most; all wait for the same look."""
        if self._file is None or time.monotonic() - self._looked_at < LOOK_S:
            return
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(self._file))
        await asyncio.shield(self._looking)

    async def _look(self, file: Path) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._read, file)
        finally:
            self._looked_at, self._looking = time.monotonic(), None

    def _read(self, file: Path) -> None:
        state = _state_of(file)
        if state == self._state:
            return
        self._state = state
        told, self._unreadable = self._unreadable, ""
        try:
            keys = {} if state is None else read_keys(file, self._own)
        except KeysFileError as error:
            if isinstance(error, UnreadableError):  # the next look tries again, changed or not
                self._state, self._unreadable = (), str(error)
            if str(error) != told:
                logger.error("the API keys stay as they were: %s", error)  # noqa: TRY400 - one line
            return
        self._hide(keys)
        self._known = [*self._own, *keys.values()]
        if not keys:
            logger.error("%s=%s holds no key: what it held opens nothing any more", SETTING, file)
        elif is_read_by_others(file):
            logger.warning(READ_BY_OTHERS, SETTING, file)

    def find(self, authorization: Sequence[str]) -> Key | None:
        """The key of a request; None for none, and for one that nobody has.

        Args:
            authorization: the values of all headers of this name, as Latin-1.
        """
        scheme, _, key = authorization[0].partition(" ") if authorization else ("", "", "")
        # Blanks alone: of a key in UTF-8, a byte may be what Latin-1 takes for a space.
        digest = _digest(key.strip(" \t").encode("latin-1"))
        found = None
        # All are compared, and digests of one length: the time tells nothing about a key.
        for known in self._known:
            if hmac.compare_digest(digest, known.digest):
                found = known
        # Of two headers another server could have read the other one.
        return found if len(authorization) == 1 and scheme.lower() == "bearer" else None


def read_keys(file: Path, others: Collection[Key] = ()) -> dict[str, Key]:
    """The keys of a file, by themselves.

    Args:
        file: of lines `name scope key`; empty lines, and those that begin with `#`, say nothing.
        others: whose keys and names are taken already.

    Raises:
        KeysFileError: a line is not like that, a name or key is there twice, or it is unreadable.
    """
    found: dict[str, Key] = {}
    names, digests = {one.name for one in others}, {one.digest for one in others}
    for number, line in enumerate(_text_of(file).split("\n"), 1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        if (fault := _fault_of(fields)) is None:
            key = Key(fields[0], _SCOPES[fields[1]], _digest(fields[2].encode()))
            if key.name in names:
                fault = "the name is there twice"
            elif key.digest in digests:
                fault = "the key is there twice, or in IMAGE_SEARCH_API_KEYS too"
            elif len(found) == MAX_KEYS:
                fault = f"there are more than {MAX_KEYS} keys"
        if fault is not None:
            raise KeysFileError(f"{SETTING}={file}, line {number}: {fault}")
        found[fields[2]] = key
        names.add(key.name)
        digests.add(key.digest)
    return found


def _fault_of(fields: list[str]) -> str | None:
    """What is wrong with a line. Nothing of it is told: where the key should be may be anything."""
    if len(fields) != len(("name", "scope", "key")):
        return "it must be a name, a scope and a key, with blanks in between"
    if not _NAME.fullmatch(fields[0]):
        return "the name must be up to 64 letters, digits, '.', '_' and '-'"
    if fields[1] not in _SCOPES:
        return f"the scope must be {', '.join(list(_SCOPES)[:-1])} or {list(_SCOPES)[-1]}"
    return key_fault(fields[2])


def _text_of(file: Path) -> str:
    try:
        if not file.is_file():
            raise KeysFileError(f"{SETTING}={file} is no file")
        with file.open("rb") as opened:
            data = opened.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise KeysFileError(f"{SETTING}={file} is larger than {_MAX_BYTES >> 20} MiB")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise KeysFileError(f"{SETTING}={file} is not UTF-8") from None
    except OSError as error:
        raise UnreadableError(f"{SETTING}={file} cannot be read: {error.strerror}") from None


def _state_of(file: Path) -> _State:
    """What another content of a file would change; None where it is gone."""
    try:
        now = file.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return str(error)
    return now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns


def is_read_by_others(file: Path) -> bool:
    """Whether other users of the machine may read a file."""
    try:
        return bool(file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    except OSError:
        return False
