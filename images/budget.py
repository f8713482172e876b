"""What one download may still use: one deadline and one number of bytes for all of its hops."""

import time

from images.errors import FetchTimeoutError, TooLargeError

# Headers, chunk sizes and records are not the file's, but have to end as well.
_OVERHEAD_BYTES = 2**20


class Budget:
    """Time and bytes of one download; lives in one thread.

    A timeout per read would be no deadline: a byte every second keeps it from ever firing. And
    the body's length is no limit for what a server can make us read: header lines, redirects and
    chunk sizes come on top of it.
    """

    def __init__(self, limit_s: float, limit_bytes: int) -> None:
        self._limit_s = limit_s
        self._limit_bytes = limit_bytes
        self._end = time.monotonic() + limit_s
        self._received_bytes = 0

    def remaining_s(self) -> float:
        """Return the seconds that are left, always more than 0.

        Raises:
            FetchTimeoutError: none are left.
        """
        remaining = self._end - time.monotonic()
        if remaining <= 0:
            raise self.timeout()
        return remaining

    def timeout(self) -> FetchTimeoutError:
        """Build the error for a wait that took all the time there was."""
        return FetchTimeoutError(self._limit_s)

    def count(self, received_bytes: int) -> None:
        """Take note of bytes that came from the network.

        Raises:
            TooLargeError: more came than any acceptable answer has.
        """
        self._received_bytes += received_bytes
        if self._received_bytes > 2 * self._limit_bytes + _OVERHEAD_BYTES:
            raise TooLargeError(self._limit_bytes)
