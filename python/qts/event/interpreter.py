"""The interpreter's switch interval: how long a busy Python thread keeps the others waiting.

A thread that wants the interpreter asks for it after this time. The default of Python, 5 ms, is half the budget of a P0
handler. The setting belongs to the process, so those who need it agree on the shortest.
"""

import sys
import threading
from typing import ClassVar


class SwitchInterval:
    """A wish for a switch interval, kept while somebody has it.

    Args:
        interval_ms: milliseconds; 0 = leave the interpreter as it is.
    """

    _lock: ClassVar = threading.Lock()
    _asked: ClassVar[list["SwitchInterval"]] = []
    _before_s: ClassVar[float] = 0.0
    """What it was before the first of them asked, and is again after the last."""

    def __init__(self, interval_ms: float) -> None:
        self.interval_s = interval_ms / 1_000

    def ask(self) -> None:
        """Set the interval, unless it is shorter already."""
        cls = SwitchInterval
        with cls._lock:
            if not self.interval_s or self in cls._asked:
                return
            if not cls._asked:
                cls._before_s = sys.getswitchinterval()
            cls._asked.append(self)
            cls._set_shortest()

    def give_back(self) -> None:
        """Do without; whoever else has asked keeps theirs, and after the last one it is as it was."""
        cls = SwitchInterval
        with cls._lock:
            if self in cls._asked:
                cls._asked.remove(self)
                cls._set_shortest()

    @classmethod
    def _set_shortest(cls) -> None:
        sys.setswitchinterval(min([cls._before_s, *(one.interval_s for one in cls._asked)]))
