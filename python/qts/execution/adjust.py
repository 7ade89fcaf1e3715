"""Stage 5: what is done about a child that waits for its fills.

Every price is on the ladder and within the limits of the day. An entry never goes beyond the slippage limit of its
decision; an exit may, and says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from qts.execution.config import PPM
from qts.execution.contracts import AdjustAction, Adjustment
from qts.execution.ladder import adverse_ppm, entry_cap

if TYPE_CHECKING:
    from qts.execution.config import ExecutionConfig
    from qts.execution.contracts import OrderDecision
    from qts.execution.interfaces import MarketView, QuoteView

_E6: Final = 1_000_000
_WARNED: Final = ("GR063",)
_BEYOND: Final = ("FS094",)


class WorkingOrder(NamedTuple):
    """A child that is live, as the gateway knows it."""

    order_id: int
    price: int
    """Its limit; 0 = a MARKET order, about which nothing can be done but to wait."""
    qty: int
    """Its whole quantity, what is filled included."""
    filled_qty: int = 0
    rounds: int = 0
    """Rounds of adjustment that the execution has used."""


class AdaptiveAdjust:
    """Proposes one step for one child. Sends nothing and remembers nothing.

    Codes may come again with each proposal: the caller reports each once an execution.
    """

    __slots__ = ("_config",)

    def __init__(self, config: ExecutionConfig) -> None:
        self._config = config

    def is_silent(self, instrument: int, now_ns: int, market: MarketView) -> bool:
        """Whether quotes have been away for so long that it counts as the time limit.

        An instrument that never showed a quote (bars, trades alone) is not silent: there is nothing to miss.
        """
        quote = market.quote(instrument)
        return (quote.bid > 0 or quote.ask > 0) and now_ns - quote.ts_ns > self._config.quote_silence_ns

    def propose(
        self,
        order: OrderDecision,
        child: WorkingOrder,
        now_ns: int,
        market: MarketView,
        *,
        avg_fill_price_e6: int | None = None,
        allowed_qty: int | None = None,
        urgent: bool = False,
    ) -> Adjustment:
        """Return what to do about a live child.

        Args:
            order: the decision that it belongs to.
            child: the child; with quantity left to fill.
            now_ns: the engine's time.
            market: best prices and ladder.
            avg_fill_price_e6: average price of the execution's fills in millionths, None without any.
            allowed_qty: the whole quantity that this child may still have after a limit has fallen; None = no change.
                If the answer's `new_qty` is what is filled already, there is nothing to amend: cancel it.
            urgent: go to the worst price that is allowed at once.

        Returns:
            `round` is the number of the round that a new price takes, and that of the last one if there is none. With
            WAIT, GR063 says that this entry's price may be improved no further; an exit that is moved with GR063 goes
            on, it is told only. CONVERT_MARKET of an exit is a limit at the end of the day's range, which takes what a
            MARKET order would and can be reached by an amendment; where the day has no range, the best quote.
        """
        if allowed_qty is not None and allowed_qty < child.qty:
            return _answer(AdjustAction.REDUCE_QTY, child, qty=max(allowed_qty, child.filled_qty))
        quote = market.quote(order.instrument)
        if child.price <= 0 or now_ns - quote.ts_ns > self._config.book_max_age_ns:
            return _answer(AdjustAction.WAIT, child)
        if order.intent == "EXIT":
            return self._exit(order, child, now_ns, market, quote, urgent=urgent)
        return self._entry(order, child, now_ns, market, quote, avg_fill_price_e6, urgent=urgent)

    def slippage_codes(self, order: OrderDecision, avg_fill_price_e6: int) -> tuple[str, ...]:
        """Return what the average price of the fills so far is to be reported as."""
        adverse = adverse_ppm(order.side, order.decision_price, avg_fill_price_e6)
        if order.intent == "ENTRY" and adverse > self._config.max_slippage_ppm:
            return _BEYOND
        return _WARNED if adverse > self._config.slippage_warning_ppm else ()

    def _entry(
        self,
        order: OrderDecision,
        child: WorkingOrder,
        now_ns: int,
        market: MarketView,
        quote: QuoteView,
        avg_fill_price_e6: int | None,
        *,
        urgent: bool,
    ) -> Adjustment:
        side = order.side
        opposite = quote.ask if side == "BUY" else quote.bid
        cap = entry_cap(order, market, self._config, now_ns)
        if opposite > 0 and _is_beyond(side, opposite, cap):
            return _answer(AdjustAction.GIVE_UP, child, codes=_BEYOND)
        paid_e6 = avg_fill_price_e6
        if paid_e6 is None and child.rounds:  # nothing filled yet: what has been improved to would be paid
            paid_e6 = child.price * _E6
        if paid_e6 is not None and adverse_ppm(side, order.decision_price, paid_e6) > self._config.slippage_warning_ppm:
            return _answer(AdjustAction.WAIT, child, codes=_WARNED)
        if child.rounds >= self._config.max_adjustment_rounds or opposite <= 0:
            return _answer(AdjustAction.WAIT, child)
        if urgent:
            return _moved(AdjustAction.CONVERT_MARKET, side, child, cap)
        price = self._improved(order, child.price, opposite, now_ns, market)
        return _moved(AdjustAction.PRICE_IMPROVE, side, child, min(price, cap) if side == "BUY" else max(price, cap))

    def _exit(
        self,
        order: OrderDecision,
        child: WorkingOrder,
        now_ns: int,
        market: MarketView,
        quote: QuoteView,
        *,
        urgent: bool,
    ) -> Adjustment:
        side, instrument = order.side, order.instrument
        opposite = quote.ask if side == "BUY" else quote.bid
        lowest, highest = market.price_limits(instrument, now_ns)
        if urgent:
            limit = highest if side == "BUY" else lowest
            action, price = AdjustAction.CONVERT_MARKET, limit or opposite or child.price
        elif child.rounds >= self._config.max_adjustment_rounds or opposite <= 0:
            return _answer(AdjustAction.WAIT, child)
        else:
            action, price = AdjustAction.PRICE_IMPROVE, self._improved(order, child.price, opposite, now_ns, market)
        if side == "BUY":
            price = market.floor_to_tick(instrument, min(price, highest) if highest else price, now_ns)
        else:
            price = market.ceil_to_tick(instrument, max(price, lowest, order.worst_price), now_ns)
        adverse = adverse_ppm(side, order.decision_price, price * _E6)
        codes = _WARNED if adverse > self._config.slippage_warning_ppm else ()
        return _moved(action, side, child, price, codes)

    def _improved(self, order: OrderDecision, current: int, opposite: int, now_ns: int, market: MarketView) -> int:
        """Return the price one step nearer to the other side, not beyond its best quote, on the ladder.

        A step is the configured share of the price, rounded up to the tick: rounded down it might never move.
        """
        instrument = order.instrument
        share = -(-current * self._config.price_improve_step_ppm // PPM)
        if order.side == "BUY":
            tick = market.tick_size(instrument, current, now_ns)
            step = max(tick, -(-share // tick) * tick)
            return market.floor_to_tick(instrument, min(current + step, opposite), now_ns)
        tick = current - market.floor_to_tick(instrument, current - 1, now_ns)
        step = max(tick, -(-share // tick) * tick)
        return market.ceil_to_tick(instrument, max(current - step, opposite), now_ns)


def _is_beyond(side: str, price: int, cap: int) -> bool:
    return price > cap if side == "BUY" else price < cap


def _moved(action: AdjustAction, side: str, child: WorkingOrder, price: int, codes: tuple[str, ...] = ()) -> Adjustment:
    """Take a price if it is more aggressive than the child's, else wait."""
    if not _is_beyond(side, price, child.price):
        return _answer(AdjustAction.WAIT, child)
    return _answer(action, child, price=price, codes=codes)


def _answer(
    action: AdjustAction,
    child: WorkingOrder,
    *,
    price: int | None = None,
    qty: int | None = None,
    codes: tuple[str, ...] = (),
) -> Adjustment:
    return Adjustment(
        action=action,
        order_id=child.order_id,
        old_price=child.price,
        new_price=child.price if price is None else price,
        old_qty=child.qty,
        new_qty=child.qty if qty is None else qty,
        round=child.rounds + (price is not None),
        codes=codes,
    )
