"""The end of a worker in which something hangs.

A GPU or a lock that hangs keeps the thread that computes, while the worker still says that it is
well. Only faulthandler's own thread needs no lock of Python's, and it has one timer: that is for
the call which began first.
"""

import faulthandler
import functools
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

HUNG_S = 600.0
"""A batch that takes longer will not end: the largest models need a minute or two for 64 pictures
on two cores."""

_STDERR = 2
_Function = TypeVar("_Function", bound=Callable[..., Any])


class _Calls:
    """The calls that are under way, of all methods of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends_by: dict[object, float] = {}

    def begin(self, call: object) -> None:
        with self._lock:
            self._ends_by[call] = time.monotonic() + HUNG_S
            if len(self._ends_by) == 1:
                self._watch()

    def end(self, call: object) -> None:
        with self._lock:
            is_watched = next(iter(self._ends_by)) is call
            del self._ends_by[call]
            if is_watched:
                self._watch()

    def _watch(self) -> None:
        if not self._ends_by:
            faulthandler.cancel_dump_traceback_later()
            return
        left = next(iter(self._ends_by.values())) - time.monotonic()
        faulthandler.dump_traceback_later(max(left, 0.001), exit=True, file=_STDERR)


_calls = _Calls()


def ends_if_hung(method: _Function) -> _Function:
    """End this process, with the traces of all threads, when a call of the method does not end.

    The supervisor starts another one.
    """

    @functools.wraps(method)
    def watched(*args: Any, **kwargs: Any) -> Any:
        call = object()
        _calls.begin(call)
        try:
            return method(*args, **kwargs)
        finally:
            _calls.end(call)

    return cast(_Function, watched)
