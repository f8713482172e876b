"""Who looks on while the store works, such as metrics: told of what happens, never asked."""


class Observer:
    """Looks away. Those who want to see take its place; they must not raise, and be quick."""

    def committed(self, operations: int, seconds: float) -> None:
        """A group of operations is on the disk; the time includes waiting for other processes."""

    def kept_up(self, seconds: float) -> None:
        """A round of upkeep is over."""
