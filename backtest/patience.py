"""Patience with a strategy that may never come back: it runs in a thread of its own, which is abandoned if it hangs."""

import ctypes
import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from market.errors import DeskError

Result = TypeVar("Result")

PATIENCE_S: Final = 60.0
"""How long a chunk of bars may take: a thousand times what any of ours needs in plain Python."""


class Beat:
    """What a caller waits for: work that goes on now and then says so."""

    def __init__(self) -> None:
        self._woken = threading.Condition()
        self._count = 0
        self._over = False
        self.where = ""
        """What is being done, for the error."""

    def go_on(self, where: str = "") -> None:
        """Say that something was done, and what is next."""
        with self._woken:
            self._count += 1
            self.where = where or self.where
            self._woken.notify_all()

    def end(self) -> None:
        """Say that all is done."""
        with self._woken:
            self._over = True
            self._woken.notify_all()

    def wait(self, patience_s: float) -> bool:
        """Wait for the end; False if nothing was done for so long."""
        with self._woken:
            while not self._over:
                count = self._count
                woken = self._woken.wait_for(lambda count=count: self._over or self._count != count, patience_s)  # type: ignore[misc]
                if not woken:
                    return False
        return True


class _Abandoned(BaseException):
    """Raised in a thread that nobody waits for any more."""


class _Outcome(Generic[Result]):
    """What came of a call in another thread."""

    value: Result
    error: BaseException | None = None


def patiently(call: Callable[[Beat], Result], patience_s: float, hint: str) -> Result:
    """Call a function that may hang, and return what it returns or raise what it raises.

    A thread that hangs is told to end, which it does in plain Python. Compiled code goes on until the process ends, and
    that does not wait for it.

    Args:
        call: Is given the beat by which it says that it goes on.
        patience_s: How long it may be silent.
        hint: What to do about one that hangs.

    Raises:
        DeskError: It was silent for longer.
    """
    beat, found = Beat(), _Outcome[Result]()

    def work() -> None:
        try:
            found.value = call(beat)
        except BaseException as error:  # noqa: BLE001  # It is raised in the caller's thread.
            found.error = error
        beat.end()

    thread = threading.Thread(target=work, name="run", daemon=True)
    thread.start()
    if not beat.wait(patience_s):
        assert thread.ident is not None, "it was started"
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(_Abandoned))
        msg = f"{beat.where or 'the strategy'} has not come back for {patience_s:g} s: {hint}"
        raise DeskError(msg)
    if found.error is not None:
        raise found.error
    return found.value
