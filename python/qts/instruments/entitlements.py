"""Who is owed a dividend, and which splits have been applied: each once, across restarts."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from qts.codes import DataError
from qts.instruments.corporate import CorporateActions, Dividend, Split
from qts.instruments.messages import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from qts._shapes import TrackName
    from qts.instruments.calendar import Calendar

_DAYS: Final = ("ex_date", "record_date", "pay_date")


class Held(NamedTuple):
    """What a track holds of a symbol, in quantity units."""

    symbol: str
    track: TrackName
    qty: int


class DividendPayment(NamedTuple):
    """What one track is paid, in money units. `key` is the same whenever it is asked for."""

    key: str
    """`dividend:SYMBOL:RECORD_DATE:TRACK`"""
    symbol: str
    track: TrackName
    qty: int
    gross: int
    tax: int
    net: int
    pay_date: date

    @property
    def ref(self) -> str:
        """Record date: what tells it from other dividends of the symbol."""
        return self.key.split(":")[2]


class Entitlement(NamedTuple):
    """A dividend and who held it at the close before its ex-date."""

    dividend: Dividend
    holdings: tuple[tuple[TrackName, int], ...]
    """Track and quantity, in order of the tracks."""


class DividendBook:
    """The dividends that one account is owed.

    Args:
        actions: dividends of the reference data.
        calendar: sessions of the market.
        since: first session of the account; what went ex up to it is owed to others.
    """

    def __init__(self, actions: CorporateActions, calendar: Calendar, since: date) -> None:
        self._actions = actions
        self._calendar = calendar
        self._ex_through = since
        self._since = since
        self._owed: dict[str, Entitlement] = {}
        self._seen: dict[str, date] = {}

    def on_session_close(self, day: date, positions: Iterable[Held]) -> list[Entitlement]:
        """Record who is entitled: what goes ex at the next session belongs to who holds now.

        A day on which nothing was called loses nothing: what went ex meanwhile is recorded by the holdings of today.
        The same day again changes nothing.

        Raises:
            DataError: a quantity is below zero; nothing is recorded.
        """
        held = _by_symbol(positions)
        last = self._calendar.next_session(day).date
        found = []
        for dividend in self._actions.going_ex(self._ex_through, last):
            entitlement = Entitlement(dividend, held.get(dividend.symbol, ()))
            self._seen[dividend.key] = dividend.pay_date
            if entitlement.holdings and dividend.key not in self._owed:
                self._owed[dividend.key] = entitlement
                found.append(entitlement)
        self._ex_through = max(self._ex_through, last)
        return found

    def waiting(self, day: date) -> list[DividendPayment]:
        """Return what `due` would, without taking it."""
        return [payment for row in self._payable(day) for payment in _payments(row)]

    def due(self, day: date) -> list[DividendPayment]:
        """Return what is to be paid by `day` and has not been returned before, in the order of pay dates.

        A row that was corrected in the file since counts as it is there now.
        """
        payable = self._payable(day)
        for row in payable:
            del self._owed[row.dividend.key]
        self._seen = {key: pay_date for key, pay_date in self._seen.items() if key in self._owed or pay_date > day}
        return [payment for row in payable for payment in _payments(row)]

    def owed(self) -> list[Entitlement]:
        """Return what is recorded and not yet taken."""
        return list(self._owed.values())

    def late(self, day: date) -> list[Dividend]:
        """Return dividends that came into the file after their ex-date and are still to be paid after `day`.

        Nothing is recorded for them: who held then has to be looked up and given to `entitle`.
        """
        return [
            row
            for row in self._actions.going_ex(self._since, self._ex_through)
            if row.pay_date > day and row.key not in self._seen
        ]

    def entitle(self, dividend: Dividend, positions: Iterable[Held]) -> None:
        """Record a late dividend by the holdings at the close before its ex-date; once.

        Raises:
            DataError: a quantity is below zero.
        """
        holdings = _by_symbol(positions).get(dividend.symbol, ())
        if dividend.key not in self._seen:
            self._seen[dividend.key] = dividend.pay_date
            if holdings:
                self._owed[dividend.key] = Entitlement(dividend, holdings)

    def _payable(self, day: date) -> list[Entitlement]:
        current = [
            row._replace(dividend=self._actions.dividend(key) or row.dividend) for key, row in self._owed.items()
        ]
        due = [row for row in current if row.dividend.pay_date <= day]
        return sorted(due, key=lambda row: (row.dividend.pay_date, row.dividend.key))

    def state(self) -> dict[str, Any]:
        """Return everything that has to be kept, as plain JSON types."""
        return {
            "since": self._since.isoformat(),
            "ex_through": self._ex_through.isoformat(),
            "owed": [
                {"dividend": _plain(row.dividend), "holdings": [list(holding) for holding in row.holdings]}
                for row in self._owed.values()
            ],
            "seen": {key: pay_date.isoformat() for key, pay_date in self._seen.items()},
        }

    @classmethod
    def restored(cls, actions: CorporateActions, calendar: Calendar, state: Mapping[str, Any]) -> Self:
        """Return the book that `state` was taken from.

        Raises:
            ValueError, KeyError, TypeError: it is none.
        """
        book = cls(actions, calendar, date.fromisoformat(state["since"]))
        book._ex_through = date.fromisoformat(state["ex_through"])
        for row in state["owed"]:
            dividend = _dividend(row["dividend"])
            book._owed[dividend.key] = Entitlement(dividend, tuple((track, int(qty)) for track, qty in row["holdings"]))
        book._seen = {key: date.fromisoformat(pay_date) for key, pay_date in state["seen"].items()}
        return book


class SplitBook:
    """The splits that one account has had.

    Args:
        actions: splits of the reference data.
        since: first session of the account; splits up to it are in what it bought.
    """

    def __init__(self, actions: CorporateActions, since: date) -> None:
        self._actions = actions
        self.through = since
        """Splits that take effect up to this day have been taken."""

    def waiting(self, day: date) -> list[Split]:
        """Return what `due` would, without taking it."""
        return self._actions.splitting(self.through, day)

    def due(self, day: date) -> list[Split]:
        """Return the splits to apply before the session of `day` that have not been returned before."""
        found = self.waiting(day)
        self.through = max(self.through, day)
        return found


def _by_symbol(positions: Iterable[Held]) -> dict[str, tuple[tuple[TrackName, int], ...]]:
    held: dict[str, dict[TrackName, int]] = {}
    for symbol, track, qty in positions:
        if qty < 0:
            raise DataError(
                found=say("negative_holding", symbol=symbol, track=track, qty=qty),
                expected=say("negative_holding_expected"),
                hint=say("negative_holding_hint"),
                code="FS053",
            )
        if qty:
            tracks = held.setdefault(symbol, {})
            tracks[track] = tracks.get(track, 0) + qty
    return {symbol: tuple(sorted(tracks.items())) for symbol, tracks in held.items()}


def _payments(row: Entitlement) -> list[DividendPayment]:
    """Return what each track gets: together to the unit what the account gets, as one holder of all shares."""
    dividend, paid = row.dividend, []
    qty_so_far = gross_so_far = tax_so_far = 0
    for track, qty in row.holdings:
        qty_so_far += qty
        gross = dividend.gross(qty_so_far) - gross_so_far
        gross_so_far += gross
        tax = dividend.tax(gross_so_far) - tax_so_far
        tax_so_far += tax
        key = f"{dividend.key}:{track}"
        paid.append(DividendPayment(key, dividend.symbol, track, qty, gross, tax, gross - tax, dividend.pay_date))
    return paid


def _plain(dividend: Dividend) -> dict[str, Any]:
    return {name: value.isoformat() if name in _DAYS else value for name, value in dividend._asdict().items()}


def _dividend(row: Mapping[str, Any]) -> Dividend:
    values: dict[str, Any] = {name: row[name] for name in Dividend._fields}
    return Dividend(**values | {name: date.fromisoformat(row[name]) for name in _DAYS})
