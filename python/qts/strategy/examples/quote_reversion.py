"""Mean reversion on quotes: buy a dip below the recent mid price, sell when it is back or when time is up."""

from typing import Any, ClassVar

from pydantic import Field

from qts.broker.contracts import Track
from qts.strategy.base import Strategy
from qts.strategy.contracts import Intent, Tick
from qts.strategy.params import Duration, StrategyParams, Weight, duration_ns, weight_ppm


class QuoteReversionParams(StrategyParams):
    """What can be set with `--set name=value`."""

    period: int = Field(500, ge=2, description="quotes in the moving average that stands for fair value")
    spreads: float = Field(3.0, gt=0, description="how many spreads below fair value the mid must be to buy")
    min_dip_bps: float = Field(2.0, ge=0, description="smallest dip in hundredths of a percent, whatever the spread")
    max_hold: Duration = Field("30s", description="longest time to hold, for example 30s or 5m")
    retry: Duration = Field("1s", description="shortest time before a wish that led to nothing is repeated")
    pause: Duration = Field("61s", description="pause after an exit; the engine's own is 60 s for scalping")
    weight: Weight = Field(0.1, description="share of equity per position")


class _Fair:
    """What the strategy remembers of one symbol.

    Prices are sums of bid and ask: twice the mid, and an integer.
    """

    __slots__ = ("held_since_ns", "mid2", "next_entry_ns", "next_exit_ns", "seen")

    def __init__(self, mid2: int) -> None:
        self.mid2 = float(mid2)
        self.seen = 0
        self.held_since_ns = 0
        self.next_entry_ns = 0
        self.next_exit_ns = 0


class QuoteReversion(Strategy):
    """Follows every quote. `on_tick` returns early wherever it can: it is called for each of them.

    While a position is held only its exit is considered, and only if nothing is being sold yet; so the
    strategy never offers more than it has.
    """

    name: ClassVar[str] = "quote_reversion"
    track: ClassVar[Track] = "SCALP"
    Params = QuoteReversionParams
    params: QuoteReversionParams

    def __init__(self, **params: Any) -> None:  # noqa: ANN401 - see Strategy
        super().__init__(**params)
        # Plain numbers: what `on_tick` needs is one attribute away, not two.
        self._alpha = 2.0 / (self.params.period + 1)
        self._period = self.params.period
        self._spreads2 = 2.0 * self.params.spreads
        self._min_dip = self.params.min_dip_bps / 10_000
        self._max_hold_ns = duration_ns(self.params.max_hold)
        self._retry_ns = duration_ns(self.params.retry)
        self._pause_ns = duration_ns(self.params.pause)
        self._weight_ppm = weight_ppm(self.params.weight)
        self._fair: dict[int, _Fair] = {}

    def on_tick(self, tick: Tick) -> Intent | None:
        """Follow the mid price and compare the market with it."""
        bid = tick.bid
        ask = tick.ask
        if not bid or not ask:
            return None  # one side is missing: there is no mid price
        mid2 = bid + ask
        instrument = tick.instrument
        fair = self._fair.get(instrument)
        if fair is None:
            self._fair[instrument] = _Fair(mid2)
            return None
        fair_mid2 = fair.mid2 = fair.mid2 + self._alpha * (mid2 - fair.mid2)
        fair.seen += 1
        if tick.position_qty:
            return self._exit(tick, fair, mid2)
        fair.held_since_ns = 0
        dip2 = fair_mid2 - mid2
        if dip2 < self._spreads2 * (ask - bid) or dip2 < self._min_dip * fair_mid2 or fair.seen < self._period:
            return None
        return self._enter(tick, fair, ask)

    def _enter(self, tick: Tick, fair: _Fair, ask: int) -> Intent | None:
        now_ns = tick.ts_ns
        if tick.working_buy or tick.working_sell or now_ns < fair.next_entry_ns:
            return None
        fair.next_entry_ns = now_ns + self._retry_ns
        return Intent.entry(
            tick.symbol, "dip below fair value", weight_ppm=self._weight_ppm, ttl_ms=1_000, ref_price=ask
        )

    def _exit(self, tick: Tick, fair: _Fair, mid2: int) -> Intent | None:
        now_ns = tick.ts_ns
        if not fair.held_since_ns:
            fair.held_since_ns = now_ns
        if mid2 >= fair.mid2:
            reason = "back at fair value"
        elif now_ns - fair.held_since_ns >= self._max_hold_ns:
            reason = "held for the longest time"
        else:
            return None
        if tick.working_sell or now_ns < fair.next_exit_ns:
            return None
        fair.next_exit_ns = now_ns + self._retry_ns
        fair.next_entry_ns = now_ns + self._pause_ns
        return Intent.exit(tick.symbol, reason, ref_price=tick.bid)
