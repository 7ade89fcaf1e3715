"""Booking of fills where no database does it: instruments, their scales, and the arithmetic of positions."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from qts.clock import from_ns, to_ns
from qts.codes import UsageError
from qts.data.exceptions import RowInvalid
from qts.data.ledger import Holding
from qts.data.records import Position, check_decimal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qts.data.contracts import CurrencyRow, InstrumentRow
    from qts.data.records import Fill


class _Scaled(NamedTuple):
    """What the arithmetic asks of a fill, in whole units."""

    side: str
    qty: int
    amount: int
    fee: int
    tax: int
    ts_ns: int


class Scales:
    """Currencies and instruments that are known, with the decimals in which they are counted."""

    def __init__(self) -> None:
        self._currencies: dict[str, CurrencyRow] = {}
        self._instruments: dict[str, InstrumentRow] = {}

    def register(self, currencies: Iterable[CurrencyRow], instruments: Iterable[InstrumentRow]) -> None:
        """Make them known; UsageError if one is known with another scale."""
        for currency in currencies:
            known = self._currencies.setdefault(currency.code, currency)
            if known.scale != currency.scale:
                raise _other_scale(f"{currency.code} with scale {currency.scale}", f"scale {known.scale}")
        for instrument in instruments:
            before = self._instruments.get(instrument.symbol)
            if before is not None and before[2:] != instrument[2:]:
                raise _other_scale(f"{instrument.symbol} with currency and scales {instrument[2:]}", str(before[2:]))
            self._instruments[instrument.symbol] = instrument

    def instrument(self, symbol: str, where: str) -> InstrumentRow:
        """Return an instrument; RowInvalid if it is not known."""
        try:
            return self._instruments[symbol]
        except KeyError:
            raise RowInvalid(
                found=f"symbol {symbol!r}, which nobody registered",
                expected=", ".join(sorted(self._instruments)) or "a registered instrument",
                hint="add it to reference/instruments.yaml",
                where=where,
            ) from None

    def check(self, fill: Fill) -> None:
        """Check that a fill fits its instrument; RowInvalid if it does not."""
        where = f"fill {fill.fill_key}"
        instrument = self.instrument(fill.symbol, where)
        if fill.currency != instrument.currency:
            raise RowInvalid(
                found=f"currency {fill.currency}",
                expected=instrument.currency,
                hint="check the adapter of the broker",
                where=where,
            )
        scaled(fill.price, instrument.price_scale, "price", where)
        self._scaled(fill, instrument, where)

    @staticmethod
    def _scaled(fill: Fill, instrument: InstrumentRow, where: str) -> _Scaled:
        money = instrument.money_scale
        return _Scaled(
            fill.side,
            scaled(fill.qty, instrument.qty_scale, "qty", where),
            scaled(fill.amount, money, "amount", where),
            scaled(fill.fee, money, "fee", where),
            scaled(fill.tax, money, "tax", where),
            fill.ts_recv_ns,
        )

    def apply(self, fill: Fill, before: Position | None) -> tuple[Position, Decimal | None]:
        """Return the position after a fill, and the result of a sale."""
        where = f"fill {fill.fill_key}"
        instrument = self.instrument(fill.symbol, where)
        holding = Holding()
        if before is not None:
            holding = Holding(
                scaled(before.qty, instrument.qty_scale, "qty", where),
                scaled(before.cost_total, instrument.money_scale, "cost_total", where),
                scaled(before.realized_pnl, instrument.money_scale, "realized_pnl", where, signed=True),
                None if before.opened_at is None else to_ns(before.opened_at),
                before.last_fill_key,
                before.version,
                before.oversold,
            )
        realized = holding.apply(self._scaled(fill, instrument, where), fill.fill_key)  # type: ignore[arg-type]
        position = Position(
            account_id=fill.account_id,
            pool_id=fill.pool_id,
            symbol=fill.symbol,
            qty=Decimal(holding.qty).scaleb(-instrument.qty_scale),
            cost_total=Decimal(holding.cost_total).scaleb(-instrument.money_scale),
            realized_pnl=Decimal(holding.realized_pnl).scaleb(-instrument.money_scale),
            currency=fill.currency,
            opened_at=None if holding.opened_ns is None else from_ns(holding.opened_ns),
            last_fill_key=holding.last_fill_key,
            version=holding.version,
            oversold=bool(holding.oversold),
        )
        return position, None if realized is None else Decimal(realized).scaleb(-instrument.money_scale)


def scaled(value: Decimal, scale: int, name: str, where: str, *, signed: bool = False) -> int:
    """Return a number in units of a scale, exact; RowInvalid if digits would be lost."""
    check_decimal(value, name, where, signed=signed)
    units = value.scaleb(scale)
    if units != units.to_integral_value():
        raise RowInvalid(
            found=f"{name} {value}",
            expected=f"at most {scale} digits behind the point",
            hint="check the instrument in reference/instruments.yaml",
            where=where,
        )
    return int(units)


def _other_scale(found: str, expected: str) -> UsageError:
    return UsageError(
        found=found,
        expected=f"{expected}, with which the sheets count it",
        hint="put the old scale back into reference/instruments.yaml",
    )
