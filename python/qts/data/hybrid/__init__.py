"""Journal, database and sheets in one: nothing booked is lost or booked twice, and no fill waits for a sheet."""

from qts.data.hybrid.adapter import HybridAdapter, Mode, ReadSource
from qts.data.hybrid.journal import FillJournal
from qts.data.hybrid.mirror import MirrorPace, MirrorWorker
from qts.data.outage import OutageClock, OutageLimits

__all__ = [
    "FillJournal",
    "HybridAdapter",
    "MirrorPace",
    "MirrorWorker",
    "Mode",
    "OutageClock",
    "OutageLimits",
    "ReadSource",
]
