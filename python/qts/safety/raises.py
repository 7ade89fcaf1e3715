"""The log in which the core writes down its raises while nobody hears of them."""

from pathlib import Path
from typing import NamedTuple

from qts._core import RaiseLog
from qts.clock import Clock
from qts.safety.record import StateRecord


class Opened(NamedTuple):
    """A log that is open, and what makes it doubtful.

    Attributes:
        log: the log.
        fault: "" if it is what was written, else the reason to begin in FAIL.
        detail: what is wrong with it.
    """

    log: RaiseLog
    fault: str = ""
    detail: str = ""


def open_raises(path: Path, clock: Clock, record: StateRecord | None) -> Opened:
    """Open the log of raises; one that is damaged is set aside whole, and a new one begins.

    Args:
        path: the file.
        clock: names what is set aside.
        record: the recorded state; one that knows of a log does not go without it.

    Raises:
        OSError: it cannot be read or written.
    """
    is_missing = record is not None and record.raises_heard is not None and not path.exists()
    try:
        log = RaiseLog(path)
    except ValueError as error:
        aside = path.with_name(f"raises-damaged-{clock.now_ns()}.log")
        path.rename(aside)
        return Opened(RaiseLog(path), "raises_damaged", f"{error}; set aside as {aside.name}")
    if log.cut_bytes:
        # Something raised the word and was not written to its end: nobody knows how far.
        return Opened(log, "raises_torn", f"{log.cut_bytes} bytes cut")
    return Opened(log, "raises_missing" if is_missing else "")
