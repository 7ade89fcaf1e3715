"""The composition root: the only room that knows all others.

`backtest` runs recorded data at full speed; `Engine` runs a paper session, as fast as wanted; `live_events` runs the
event system of a live session.
"""

from qts.engine.backtest import backtest
from qts.engine.live import LiveEvents, live_events
from qts.engine.paper import MAX_SPEED, Engine, Status
from qts.engine.sample import write_sample

__all__ = ["MAX_SPEED", "Engine", "LiveEvents", "Status", "backtest", "live_events", "write_sample"]
