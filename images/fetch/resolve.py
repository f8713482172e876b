"""Name lookups that end in time."""

import queue
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from images.errors import UnreachableError
from images.fetch.budget import Budget

Resolver = Callable[[str], Sequence[str]]
"""Takes a host as a URL names it, returns its addresses as text; raises OSError for none."""

# A lookup cannot be interrupted, so each one that hangs keeps its thread until the system's
# resolver gives up: 10 seconds for each name server by default, while its download has long ended.
# With the default settings, downloads of names that hang start about 16 of them a second.
_MAX_LOOKUPS = 512


def system_resolver(host: str) -> list[str]:
    """Ask the system.

    Raises:
        OSError: the name is unknown, or no name server answers.
        UnicodeError: the name cannot be one.
    """
    answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


def _literal(host: str) -> Sequence[str]:
    """The address that a host spells itself; reads 127.1, 0x7f.1 and 2130706433 as ones, too.

    Empty for a name. Asks nobody, so that it needs no thread.
    """
    try:
        answers = socket.getaddrinfo(
            host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
    except (OSError, UnicodeError):
        return ()
    return [str(answer[4][0]) for answer in answers]


@dataclass(frozen=True)
class _Answer:
    addresses: Sequence[str] = ()
    error: Exception | None = None


class BoundedResolver:
    """A resolver with a time limit; may be called from many threads."""

    def __init__(self, resolve: Resolver) -> None:
        self._resolve = resolve
        self._free = threading.BoundedSemaphore(_MAX_LOOKUPS)

    def __call__(self, host: str, budget: Budget) -> Sequence[str]:
        """Return the host's addresses.

        Raises:
            UnreachableError: it has none, or they were not known in time.
            FetchTimeoutError: there was no time left to begin with.
        """
        literal = _literal(host)
        if literal:
            return literal
        if not self._free.acquire(timeout=budget.remaining_s()):
            raise UnreachableError(f"{host}: too many name lookups hang")
        inbox = self._start(host)
        try:
            with budget.interruptible(lambda: inbox.put(_Answer())):
                answer = inbox.get(timeout=budget.remaining_s())
        except queue.Empty:
            raise UnreachableError(f"{host}: the name lookup took too long") from None
        if not answer.addresses:
            raise UnreachableError(f"{host}: {answer.error or 'the name has no address'}")
        return answer.addresses

    def _start(self, host: str) -> queue.SimpleQueue[_Answer]:
        inbox: queue.SimpleQueue[_Answer] = queue.SimpleQueue()
        # A daemon, so that a hanging lookup does not keep the process from ending.
        thread = threading.Thread(target=self._look_up, args=(host, inbox), daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system has no thread to spare
            self._free.release()
            raise UnreachableError(f"{host}: {error}") from error
        return inbox

    def _look_up(self, host: str, inbox: queue.SimpleQueue[_Answer]) -> None:
        try:
            inbox.put(_Answer(addresses=self._resolve(host)))
        except Exception as error:  # whatever it is, someone waits for it in another thread
            inbox.put(_Answer(error=error))
        finally:
            self._free.release()
