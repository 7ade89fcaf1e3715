"""The base class of every strategy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from qts.strategy.contracts import ExecutionView, Intent, MarketView, Requirements, Tick
from qts.strategy.params import StrategyParams, load_params

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qts.broker.contracts import Track
    from qts.broker.interfaces import FillNotice, OrderEndNotice


class Strategy:
    """Turns what it sees of a symbol into wishes; it never sends an order itself.

    Give the class a `name`, a `track` and, if it takes parameters, a `Params` model. Then implement

    * `generate_intents`, called for a symbol when a bar of the interval in `requirements` has closed, or
    * `on_tick`, called for every market-data event,

    or both. A strategy reads no clock, draws no random numbers and knows nothing of other strategies: what it
    needs is in the views, and what it remembers is in plain attributes. The same input then gives the same
    wishes, in a backtest as well as live. An exception disables nobody else; three in a row suspend the
    strategy.
    """

    name: ClassVar[str] = ""
    """Short name, unique in the registry."""
    version: ClassVar[str] = "1.0.0"
    track: ClassVar[Track] = "SCALP"
    """Whose money it trades: minutes (SCALP), days (SWING) or years (PORTFOLIO)."""
    Params: ClassVar[type[StrategyParams]] = StrategyParams

    def __init__(self, **params: Any) -> None:  # noqa: ANN401 - typed by the Params model, which checks it
        """Check `params` against the Params model; UsageError names what does not fit."""
        self.params = load_params(self.Params, self.name or type(self).__name__, params)

    @property
    def strategy_id(self) -> str:
        """Who a wish comes from, in orders and reports; unique in a run."""
        return self.name or type(self).__name__

    def is_enabled(self) -> bool:
        """Whether the strategy wants to be run at all."""
        return True

    def requirements(self) -> Requirements:
        """Return what the strategy needs: bars, warm-up, session phases."""
        return Requirements()

    def generate_intents(self, market: MarketView, execution: ExecutionView) -> Sequence[Intent]:  # noqa: ARG002
        """Return the wishes for one symbol after a bar has closed; most of the time none."""
        return ()

    def on_tick(self, tick: Tick) -> Intent | None:  # noqa: ARG002
        """Return a wish after a market-data event, or None. Called very often: keep it short."""
        return None

    def on_fill(self, fill: FillNotice) -> None:
        """Hear of a fill of an own order, after it has been booked."""

    def on_reject(self, end: OrderEndNotice) -> None:
        """Hear that an own order was refused."""

    @classmethod
    def wants_ticks(cls) -> bool:
        """Whether the class implements `on_tick`."""
        return cls.on_tick is not Strategy.on_tick
