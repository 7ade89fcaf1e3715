"""What the transfer service remembers from day to day, and over a restart."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from qts.capital.audit import DaySnapshot
from qts.capital.contracts import POOLS, Episode, TransferKind, TransferStatus
from qts.capital.demotion import after_transfer
from qts.capital.messages_books import say
from qts.codes import DataError
from qts.state import OperatingState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from qts.capital.books import CapitalBooks
    from qts.capital.contracts import CapitalTransfer, SessionInfo
    from qts.capital.metrics import MetricsTracker
    from qts.capital.schedule import SessionSchedule
    from qts.state.rebalance import Pool

_KEYS_DAYS: Final = 100
"""Days for which the key of a transfer could come up again: a quarter and its late run."""


@dataclass(slots=True)
class Memory:
    """State of the service between two days."""

    episodes: dict[str, Episode] = field(default_factory=dict)
    periods: dict[str, str] = field(default_factory=dict)
    """Last period of each pair whose review is done."""
    attempts: dict[str, int] = field(default_factory=dict)
    """Failed commits by pair and period."""
    open_codes: set[str] = field(default_factory=set)
    last_close: DaySnapshot | None = None
    last_state: OperatingState | None = None
    targets: Mapping[Pool, Decimal] | None = None
    is_lowering: bool = False
    """Whether PORTFOLIO is being brought down to its AGGRESSIVE target."""
    unaged: SessionSchedule | None = None
    """Set while the episodes come from the record alone: their age is still to be counted."""

    def tried(self, pair: str, period: str) -> int:
        """Count a failed commit; return how many there are in the period."""
        key = f"{pair}:{period}"
        self.attempts = {key: self.attempts.get(key, 0) + 1, **{k: v for k, v in self.attempts.items() if k != key}}
        return self.attempts[key]

    def age(self, session: SessionInfo) -> None:
        """Count the age of episodes that came from the record, once."""
        if self.unaged is None:
            return
        for name, one in self.episodes.items():
            if one.fired_on is not None:
                since = session.number - self.unaged.info(one.fired_on).number - 1
                self.episodes[name] = one._replace(sessions_since=max(0, since))
        self.unaged = None

    def recent_keys(self, books: CapitalBooks, day: date) -> frozenset[str]:
        """Return the keys of committed transfers that could come up again."""
        first = day - timedelta(days=_KEYS_DAYS)
        return frozenset(one.proposal.transfer_key for one in books.committed_since(first))

    def state(self) -> dict[str, Any]:
        """Return everything as plain data."""
        close = self.last_close
        return {
            "episodes": {
                name: [one.number, one.is_armed, _iso(one.fired_on), one.sessions_since, one.rest, one.parts]
                for name, one in self.episodes.items()
            },
            "periods": dict(self.periods),
            "attempts": dict(self.attempts),
            "open_codes": sorted(self.open_codes),
            "last_close": None
            if close is None
            else [close.equity, close.explained, {pool: str(price) for pool, price in close.prices.items()}],
            "last_state": self.last_state,
            "targets": None if self.targets is None else {pool: str(share) for pool, share in self.targets.items()},
            "is_lowering": self.is_lowering,
        }

    @classmethod
    def restored(cls, kept: Mapping[str, Any], metrics: MetricsTracker) -> Memory:
        """Return what `state` returned, and give the metrics what they returned.

        Raises:
            DataError: it is something else; the metrics are as they were.
        """
        try:
            memory = cls._read(kept)
            metrics.restore(kept["metrics"])
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise DataError(
                found=say("stored_state", reason=f"{type(error).__name__}: {error}"),
                expected=say("stored_state_expected"),
                hint=say("stored_state_hint"),
            ) from error
        return memory

    @classmethod
    def _read(cls, kept: Mapping[str, Any]) -> Memory:
        close, state, targets = kept["last_close"], kept["last_state"], kept["targets"]
        return cls(
            episodes={
                name: Episode(number, armed, None if fired is None else date.fromisoformat(fired), since, rest, parts)
                for name, (number, armed, fired, since, rest, parts) in kept["episodes"].items()
            },
            periods=dict(kept["periods"]),
            attempts=dict(kept["attempts"]),
            open_codes=set(kept["open_codes"]),
            last_close=None if close is None else DaySnapshot(close[0], close[1], _decimals(close[2])),
            last_state=None if state is None else OperatingState(state),
            targets=None if targets is None else _decimals(targets),
            is_lowering=bool(kept["is_lowering"]),
        )


def remembered(transfers: Iterable[CapitalTransfer], schedule: SessionSchedule) -> Memory:
    """Return what transfers on record tell: episodes, and the periods whose promotion is done."""
    memory = Memory(unaged=schedule)
    for one in transfers:
        wish, day = one.proposal, one.session_date
        if one.status is not TransferStatus.COMMITTED or day is None:
            continue
        if wish.kind is TransferKind.DEMOTION and "fired" in dict(wish.criteria):
            memory.episodes = after_transfer(memory.episodes, wish, day)
        elif wish.kind is TransferKind.PROMOTION:
            pair, _, period = wish.transfer_key.partition(":")
            memory.periods[pair] = period
    return memory


def _decimals(texts: Mapping[str, str]) -> dict[Pool, Decimal]:
    return {pool: Decimal(texts[pool]) for pool in POOLS if pool in texts}


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
