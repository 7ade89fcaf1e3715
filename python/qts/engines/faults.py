"""Faults that did not end the run, counted for the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_MAX_KINDS: Final = 256
"""Distinct faults that are kept; a run that has more has one problem, not so many."""


@dataclass(slots=True)
class Fault:
    """One kind of fault from one source."""

    code: str
    source: str
    """Strategy or stage that it came from."""
    message: str
    """One line."""
    first_ts_ns: int
    last_ts_ns: int
    count: int = 1
    suspended: bool = False
    """Whether its source was taken out of the run."""


class FaultLog:
    """Faults by code, source and message: the first time, the last time, and how often."""

    def __init__(self) -> None:
        self._faults: dict[tuple[str, str, str], Fault] = {}
        self.total = 0

    def record(self, code: str, source: str, message: str, ts_ns: int) -> Fault:
        """Count a fault and return its entry."""
        self.total += 1
        key = (code, source, message)
        fault = self._faults.get(key)
        if fault is not None:
            fault.count += 1
            fault.last_ts_ns = ts_ns
            return fault
        fault = Fault(code, source, message, ts_ns, ts_ns)
        if len(self._faults) < _MAX_KINDS:
            self._faults[key] = fault
        return fault

    def all(self) -> list[Fault]:
        """Return the faults in the order of their first occurrence."""
        return list(self._faults.values())


def one_line(error: BaseException) -> str:
    """Return type and text of an exception on one line."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    return f"{name}: {text}" if text else name
