"""Round trips: positions of a track from flat to flat, followed once for everybody who counts trades."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from qts.capital.metrics import ClosedTrade

if TYPE_CHECKING:
    from datetime import date

    from qts._core import FillEvent
    from qts.broker.contracts import Track


class _Trip(NamedTuple):
    qty: int
    net: int
    opened: date


class RoundTrips:
    """Adds up what each position brings, fees and taxes included, until it is flat again."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, Track], _Trip] = {}

    def on_fill(self, fill: FillEvent, session: date) -> ClosedTrade | None:
        """Take in a fill of a session; return the trade that it ends, None if it ends none."""
        trip = self._open.get((fill.instrument, fill.track)) or _Trip(0, 0, session)
        sign = 1 if fill.side == "BUY" else -1
        net = trip.net - sign * fill.amount - fill.fee - fill.tax
        return self._keep(fill.instrument, fill.track, trip._replace(qty=trip.qty + sign * fill.qty, net=net), session)

    def on_split(self, instrument: int, track: Track, qty: int, cash_in_lieu: int, session: date) -> ClosedTrade | None:
        """Take in what a split has made of a holding, and what was paid for the rest of it; return as `on_fill`."""
        trip = self._open.get((instrument, track))
        if trip is None:
            return None
        return self._keep(instrument, track, trip._replace(qty=qty, net=trip.net + cash_in_lieu), session)

    def _keep(self, instrument: int, track: Track, trip: _Trip, session: date) -> ClosedTrade | None:
        if trip.qty:
            self._open[instrument, track] = trip
            return None
        self._open.pop((instrument, track), None)
        return ClosedTrade(track, trip.opened, session, trip.net)
