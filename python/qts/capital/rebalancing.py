"""Rebalancing as the capital room does it: from a plan of the operating state to transfers (spec 14 §6.3, §6.4)."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from qts.capital.amounts import floor_part
from qts.capital.contracts import POOLS, CapitalAlert, PoolState, TransferKind, TransferProposal, TransferReason
from qts.capital.messages_books import say
from qts.state import OperatingState
from qts.state.rebalance import RebalanceTrigger, WindowView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from qts.capital.books import CapitalBooks
    from qts.capital.contracts import CapitalTransfer, SessionInfo
    from qts.capital.flow import Day
    from qts.capital.schedule import SessionSchedule
    from qts.state.rebalance import Move, Pool, Rebalancer

SHORTFALL: Final = "SHORTFALL"
STOP_BAND: Final = Decimal("0.02")
"""Distance from its target at which an over-weight pool counts as back."""
_CALENDAR_DAYS_A_SESSION: Final = 4
"""More days than any session is from the next on average: how far back transfers are looked at."""


class RebalanceDesk:
    """Carries out the plan of a rebalancer, day by day.

    Args:
        books: books of the pools.
        rebalancer: holds the plan.
        schedule: sessions.
    """

    def __init__(self, books: CapitalBooks, rebalancer: Rebalancer, schedule: SessionSchedule) -> None:
        self._books = books
        self._rebalancer = rebalancer
        self._schedule = schedule

    @property
    def is_active(self) -> bool:
        """Whether capital is being moved towards the targets now."""
        return self._rebalancer.is_active

    def run(
        self,
        day: Day,
        session: SessionInfo,
        last_state: OperatingState | None,
        commit: Callable[[TransferProposal], CapitalTransfer | None],
        *,
        is_stopped: bool,
    ) -> tuple[CapitalAlert, ...]:
        """Open a plan if anything asks for one, move what may move today, and stop what cannot be funded.

        Args:
            day: the session.
            session: its place in the calendar.
            last_state: operating state at the last close.
            commit: carries a transfer out; None if it could not be.
            is_stopped: whether an open code forbids every transfer.
        """
        totals = self._totals()
        trigger = self._trigger(day, session, totals, last_state)
        if trigger is not None:
            codes = day.cause_codes if trigger is RebalanceTrigger.DEFENSIVE_ENTRY else ()
            self._rebalancer.arm(trigger, day.snapshot, totals, codes)
        moves = self._rebalancer.next_moves(day.snapshot, self._view(day, totals, is_stopped=is_stopped))
        done = [one for one in self._proposals(moves, day, session) if commit(one) is not None]
        if done:
            self._rebalancer.book(_as_moves(done, moves), self._totals())
        alerts = self._shortfalls(day)
        self._rebalancer.close_window()
        return alerts

    def _trigger(
        self, day: Day, session: SessionInfo, totals: Mapping[Pool, int], last_state: OperatingState | None
    ) -> RebalanceTrigger | None:
        """Return what asks for a plan, the gravest first. The ranges are checked once a day whatever else asks."""
        outside = self._rebalancer.check_ranges(day.snapshot, totals, session.date)
        state = day.snapshot.current_state
        if state is OperatingState.DEFENSIVE and last_state not in (None, state):
            return RebalanceTrigger.DEFENSIVE_ENTRY
        if outside:
            return RebalanceTrigger.RANGE
        if self._rebalancer.has_drifted(state, totals):
            return RebalanceTrigger.DRIFT
        if session.recent and self._rebalancer.is_scheduled(session.date, session.recent[0]):
            return RebalanceTrigger.SCHEDULE
        return None

    def _view(self, day: Day, totals: Mapping[Pool, int], *, is_stopped: bool) -> WindowView:
        states = [self._books.state(pool) for pool in POOLS]
        moved = sum(one.proposal.amount for one in self._books.committed_on(day.date))
        return WindowView(
            safety=day.safety,
            totals=totals,
            free={pool: max(0, self._books.available(pool)) if self._books.gives(pool) else 0 for pool in POOLS},
            equity_at_open=day.equity_at_open,
            moved_today=moved,
            is_market_ready=day.is_market_ready and not is_stopped and PoolState.LOCKED not in states,
            sessions_since_release=day.sessions_since_release,
        )

    def _proposals(self, moves: Sequence[Move], day: Day, session: SessionInfo) -> list[TransferProposal]:
        """Return the transfers of the day, without those on a pair that has moved or has to rest."""
        plan = self._rebalancer.plan
        is_of_state = plan is not None and plan.trigger is RebalanceTrigger.DEFENSIVE_ENTRY
        reason = TransferReason.STATE_TARGET_CHANGE if is_of_state else TransferReason.DRIFT_EXCEEDED
        used = {frozenset((one.proposal.from_pool, one.proposal.to_pool)) for one in self._books.committed_on(day.date)}
        return [
            TransferProposal(
                source,
                target,
                amount,
                TransferKind.REBALANCE,
                reason,
                f"{_LETTER[source]}>{_LETTER[target]}:{session.date}",
                (("plan", plan.plan_id if plan else ""), ("trigger", plan.trigger if plan else "")),
            )
            for source, target, amount in pair_up(moves)
            if frozenset((source, target)) not in used and not self._rests(source, target, day, session)
        ]

    def _rests(self, source: Pool, target: Pool, day: Day, session: SessionInfo) -> bool:
        """Whether a promotion or demotion the other way is too recent to be moved back."""
        days = self._books.config.pair_cooldown_days
        first = day.date - timedelta(days=days * _CALENDAR_DAYS_A_SESSION)
        for one in self._books.committed_since(first):
            wish = one.proposal
            is_back = (wish.from_pool, wish.to_pool) == (target, source) and wish.kind is not TransferKind.REBALANCE
            is_same_state = one.operating_state is day.snapshot.current_state
            if is_back and is_same_state and self._age(one.session_date, session) <= days:
                return True
        return False

    def _age(self, since: date | None, session: SessionInfo) -> int:
        return 0 if since is None else session.number - self._schedule.info(since).number

    def _shortfalls(self, day: Day) -> tuple[CapitalAlert, ...]:
        """Stop entries of over-weight pools that cannot fund what should move, until they have drifted back."""
        totals, alerts = self._totals(), []
        whole = sum(totals.values())
        targets = self._books.config.targets[day.snapshot.current_state]
        limit = floor_part(day.equity_at_open, self._books.config.daily_move_limit_pct)
        for pool in POOLS:
            gap = totals[pool] - floor_part(whole, targets[pool])
            is_over = self._rebalancer.is_pending and whole > 0 and Decimal(gap) / whole > STOP_BAND
            lack = min(gap, limit) - max(0, self._books.available(pool))
            is_stopped = SHORTFALL in self._books.stops(pool)
            if is_over and lack > 0 and not is_stopped:
                self._books.stop(pool, SHORTFALL, on=True)
                values = (("lacks", str(lack)),)
                alerts.append(CapitalAlert("GR056", pool, "INFO", say("shortfall", pool=pool, amount=lack), values))
            elif not is_over and is_stopped:
                self._books.stop(pool, SHORTFALL, on=False)
        return tuple(alerts)

    def _totals(self) -> dict[Pool, int]:
        return {pool: self._books.total(pool) for pool in POOLS}


_LETTER: Final[Mapping[Pool, str]] = {"SCALP": "S", "SWING": "W", "PORTFOLIO": "P"}


def pair_up(moves: Sequence[Move]) -> list[tuple[Pool, Pool, int]]:
    """Return what goes from where to where: releases in their order fill receipts in theirs."""
    gives = [move for move in moves if move.amount < 0][::-1]
    takes = [move for move in moves if move.amount > 0][::-1]
    found: list[tuple[Pool, Pool, int]] = []
    while gives and takes:
        give, take = gives.pop(), takes.pop()
        amount = min(-give.amount, take.amount)
        found.append((give.pool, take.pool, amount))
        if give.amount + amount:
            gives.append(give._replace(amount=give.amount + amount))
        if take.amount - amount:
            takes.append(take._replace(amount=take.amount - amount))
    return found


def _as_moves(done: Iterable[TransferProposal], moves: Sequence[Move]) -> list[Move]:
    """Return what has really moved, in the form of a plan."""
    sums: dict[Pool, int] = {}
    for one in done:
        sums[one.from_pool] = sums.get(one.from_pool, 0) - one.amount
        sums[one.to_pool] = sums.get(one.to_pool, 0) + one.amount
    return [move._replace(amount=sums[move.pool]) for move in moves if sums.get(move.pool)]
