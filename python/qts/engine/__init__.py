"""The composition root: the only room that knows all others.

`backtest` runs recorded data at full speed, `check_lookahead` proves that its decisions knew no future; `Engine` runs a
paper session, as fast as wanted; `live_events` runs the event system of a live session.
"""

from qts.engine.backtest import backtest
from qts.engine.live import LiveEvents, live_events
from qts.engine.lookahead import LookaheadReport, check_lookahead
from qts.engine.paper import MAX_SPEED, Engine, Status
from qts.engine.sample import write_sample

__all__ = [
    "MAX_SPEED",
    "Engine",
    "LiveEvents",
    "LookaheadReport",
    "Status",
    "backtest",
    "check_lookahead",
    "live_events",
    "write_sample",
]
