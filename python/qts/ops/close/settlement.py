"""Cash of trades until it is settled: what can be withdrawn, and what is on its way."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from qts.codes import DataError, UsageError
from qts.ops.close.messages import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from qts.data import FillRow
    from qts.instruments import Calendar

LAG_SESSIONS: Final = 2
"""Business days from a trade to its cash: T+2."""


class Trade(NamedTuple):
    """A trade as cash: what the account receives (positive) or pays (negative), fees and taxes included."""

    key: str
    """What it is known by once and for all."""
    trade_date: date
    amount: int
    """In money units."""


class Pending(NamedTuple):
    """A trade that is not settled."""

    trade: Trade
    settles_on: date


def trades_of(fills: Iterable[FillRow]) -> list[Trade]:
    """Return fills as cash."""
    trades = []
    for fill in fills:
        paid = fill.amount - fill.fee - fill.tax if fill.side == "SELL" else -(fill.amount + fill.fee + fill.tax)
        key = f"{fill.trade_date}:{fill.order_id}:{fill.exec_ref}"
        trades.append(Trade(key, date.fromisoformat(fill.trade_date), paid))
    return trades


class SettlementLedger:
    """The trades of one account that are not settled.

    The account's cash counts a trade at once: proceeds buy again on the same day. It can be withdrawn once it is
    settled. Settled cash on a day is the account's cash less what is still on its way; what may be withdrawn is the
    lowest that settled cash gets from that day on, so that no purchase is ever left without its money.

    Args:
        calendar: its sessions are the business days.
        lag: business days from a trade to its cash.
    """

    def __init__(self, calendar: Calendar, lag: int = LAG_SESSIONS) -> None:
        self._calendar = calendar
        self._lag = lag
        self._pending: dict[str, Pending] = {}
        self._through = date.min

    def settles_on(self, trade_date: date) -> date:
        """Return the day on which a trade is settled: `lag` sessions after it, holidays not counted."""
        day = trade_date
        for _ in range(self._lag):
            day = self._calendar.next_session(day).date
        return day

    def book(self, trade: Trade) -> bool:
        """Take a trade in; False if it is known or was settled before.

        Raises:
            DataError: FS122, it is known with another amount; nothing changes.
        """
        known = self._pending.get(trade.key)
        if known is not None:
            if known.trade != trade:
                raise DataError(
                    found=say(
                        "trade_differs",
                        key=trade.key,
                        day=trade.trade_date,
                        known=known.trade.amount,
                        amount=trade.amount,
                    ),
                    expected=say("trade_differs_expected"),
                    hint=say("trade_differs_hint"),
                    code="FS122",
                )
            return False
        settles_on = self.settles_on(trade.trade_date)
        if settles_on <= self._through:
            return False
        self._pending[trade.key] = Pending(trade, settles_on)
        return True

    def settle(self, day: date) -> list[Pending]:
        """Return the trades that are settled by `day` and were not returned before."""
        settled = sorted((row for row in self._pending.values() if row.settles_on <= day), key=_order)
        for row in settled:
            del self._pending[row.trade.key]
        self._through = max(self._through, day)
        return settled

    def waiting(self) -> list[Pending]:
        """Return the trades that `settle` has not returned, the next to settle first."""
        return sorted(self._pending.values(), key=_order)

    def unsettled(self, day: date) -> int:
        """Return the net amount that settles after `day`: positive if more comes in than goes out."""
        return sum(row.trade.amount for row in self._pending.values() if row.settles_on > day)

    def withdrawable(self, cash: int, day: date) -> int:
        """Return what can be withdrawn on `day` out of `cash`, in money units; at least 0.

        `cash` counts every trade and no money that is held for orders.
        """
        days = {day, *(row.settles_on for row in self._pending.values() if row.settles_on > day)}
        return max(0, min(cash - self.unsettled(when) for when in days))

    def check_withdrawal(self, amount: int, cash: int, day: date) -> None:
        """Pass if `amount` can be withdrawn on `day`.

        Raises:
            UsageError: GR042, it cannot; or it is not above 0.
        """
        free = self.withdrawable(cash, day)
        if not 0 < amount <= free:
            raise UsageError(
                found=say("withdrawal", amount=amount, free=free, day=day),
                expected=say("withdrawal_expected"),
                hint=say("withdrawal_hint", lag=self._lag),
                code="GR042",
            )

    def state(self) -> dict[str, Any]:
        """Return everything that has to be kept, as plain JSON types."""
        return {
            "through": self._through.isoformat(),
            "pending": [
                [row.trade.key, row.trade.trade_date.isoformat(), row.trade.amount, row.settles_on.isoformat()]
                for row in self.waiting()
            ],
        }

    @classmethod
    def restored(cls, calendar: Calendar, state: Mapping[str, Any], lag: int = LAG_SESSIONS) -> Self:
        """Return the ledger that `state` was taken from.

        Raises:
            ValueError, KeyError, TypeError: it is none.
        """
        ledger = cls(calendar, lag)
        ledger._through = date.fromisoformat(state["through"])
        for key, trade_date, amount, settles_on in state["pending"]:
            trade = Trade(key, date.fromisoformat(trade_date), int(amount))
            ledger._pending[key] = Pending(trade, date.fromisoformat(settles_on))
        return ledger


def _order(row: Pending) -> tuple[date, date, str]:
    return row.settles_on, row.trade.trade_date, row.trade.key
