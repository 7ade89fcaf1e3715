"""What the tests of the stages start from: the shipped ladder with prices beside it, and a decision to buy."""

from datetime import UTC, datetime

from qts.config import ConfigManager
from qts.execution.config import ExecutionConfig
from qts.execution.contracts import OrderDecision, RiskApproval
from qts.execution.interfaces import QuoteView
from qts.instruments import Catalog

S = 1_000_000_000
NOW = int(datetime(2026, 11, 20, 2, 0, tzinfo=UTC).timestamp()) * S
CONFIG = ExecutionConfig()
CATALOG = Catalog.load(ConfigManager(environ={}).load().reference)
SYMBOL = "005930"
SHARE = CATALOG[SYMBOL].id


class Market:
    """A market whose ladder and limits are the core's, and whose prices and volumes the test sets."""

    def __init__(self, *, bid=0, ask=0, bid_qty=1_000, ask_qty=1_000, ts_ns=NOW, base=0, core=CATALOG.core):
        self.core = core
        self.base = base
        self.book = QuoteView(bid or ask, bid, bid_qty if bid else 0, ask, ask_qty if ask else 0, ts_ns)
        self.profile = ()
        self.daily_volume = 0
        self.open = True

    def quote(self, instrument):
        return self.book

    def tick_size(self, instrument, price, now_ns):
        return self.core.tick_size(instrument, price, now_ns)

    def floor_to_tick(self, instrument, price, now_ns):
        return self.core.floor_to_tick(instrument, price, now_ns)

    def ceil_to_tick(self, instrument, price, now_ns):
        return self.core.ceil_to_tick(instrument, price, now_ns)

    def price_limits(self, instrument, now_ns):
        return (self.core.price_limits(instrument, self.base, now_ns) if self.base else None) or (0, 0)

    def is_open(self, instrument, track, intent, now_ns):
        return self.open

    def volume_profile(self, instrument, now_ns):
        return self.profile

    def adv(self, instrument):
        return self.daily_volume


def decision(**changes):
    wanted = OrderDecision(
        decision_id="d-1",
        instrument=SHARE,
        symbol=SYMBOL,
        market="KRX",
        side="BUY",
        intent="ENTRY",
        qty=1_000,
        price_type="LIMIT",
        price=75_000,
        decision_price=75_000,
        decision_ts_ns=NOW,
        pool_id="SCALP",
        strategy_tag="test",
        risk_approval=RiskApproval(approved=True, allowed_qty=1_000_000_000, at_ns=NOW),
        deadline_ns=NOW + 60 * S,
        action="ENTRY",
    )
    return wanted._replace(**changes)


def at_market(**changes):
    return decision(price_type="MARKET", price=None, **changes)


def exit_of(**changes):
    return decision(**({"side": "SELL", "intent": "EXIT", "action": "STRATEGY_EXIT"} | changes))
