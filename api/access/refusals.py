"""Refused keys in the service's log: from which address, limited in rate; never the key itself."""

import asyncio
import logging

WINDOW_S = 10.0
"""In which an address has one line for each reason, and another one that counts the rest."""

MOST_LINES = 64
"""Of a window; the rest is counted together: addresses cost an attacker nothing."""

logger = logging.getLogger("bentoml.image_search")


class RefusalLog:
    """What a worker has refused in this window. For one event loop."""

    def __init__(self) -> None:
        self._more: dict[tuple[str, str], int] = {}
        self._others = 0

    def note(self, reason: str, address: str | None) -> None:
        """Log a refusal, or count it.

        Args:
            reason: in words, such as ``401, no valid key``; without what the client sent.
            address: of the client.
        """
        if not self._more:
            asyncio.get_running_loop().call_later(WINDOW_S, self._end)
        refused = (reason, address or "an unknown address")
        if refused in self._more:
            self._more[refused] += 1
        elif len(self._more) < MOST_LINES:
            self._more[refused] = 0
            logger.warning("refused: %s, from %s", *refused, extra={"address": address})
        else:
            self._others += 1

    def _end(self) -> None:
        """Log what was counted, and begin anew."""
        for (reason, address), more in self._more.items():
            if more:
                logger.warning(
                    "refused: %s, from %s: %d more within %g s", reason, address, more, WINDOW_S
                )
        if self._others:
            logger.warning("refused: %d more from other addresses", self._others)
        self._more, self._others = {}, 0
