"""Transform: what the account is worth and how it stands, by arithmetic alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts.engines.performance import drawdown_ppm
from qts.pipeline.contracts import CalcDataContract
from qts.pipeline.exceptions import StageFailure
from qts.strategy.contracts import PPM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qts.pipeline.contracts import RawDataContract
    from qts.strategy.contracts import Quote, Terms

MARK_MAX_AGE_NS: Final = 3_000_000_000
"""Age above which a bid no longer says what a sale would bring."""


class Transform:
    """Turns `RawDataContract` into `CalcDataContract`. Judges nothing."""

    def __init__(self, terms: Sequence[Terms]) -> None:
        self._terms = terms

    def run(self, raw: RawDataContract) -> CalcDataContract:
        """Return the account's figures.

        Raises:
            StageFailure: FS050 if equity is not positive.
        """
        values: dict[int, int] = {}
        market_value = 0
        for row in raw.positions:
            price = mark_price(raw.quotes[row.instrument], raw.cycle.ts_ns)
            # A price that nobody knows is not zero: until one is seen the position counts at its cost.
            value = self._terms[row.instrument].value(price, row.qty) if price > 0 else row.cost_total
            values[row.instrument] = values.get(row.instrument, 0) + value
            market_value += value
        equity = raw.cash + market_value
        if equity <= 0:
            message = f"equity is {equity} (cash {raw.cash}, market value {market_value}); expected more than 0"
            raise StageFailure("FS050", "transform", message, critical=True)
        return CalcDataContract(
            raw,
            equity,
            market_value,
            raw.cash - raw.reserved,
            market_value * PPM // equity,
            equity - raw.start_equity,
            drawdown_ppm(equity, raw.high_water),
            values,
        )


def mark_price(quote: Quote, ts_ns: int) -> int:
    """Return what a sale would bring: the fresh bid, else the last trade, else the previous close."""
    if quote.bid > 0 and (ts_ns - quote.ts_ns <= MARK_MAX_AGE_NS or quote.last <= 0):
        return quote.bid
    return quote.last or quote.prev_close
