"""Rebalancing as an action of the state: when a plan starts, how much may move in a day, when it rests (spec 18a 9).

The plan says what should move; the capital room moves it and knows what has moved. A restart loses nothing: the
trigger is asked again, and the amounts come from fresh totals.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from qts.safety import SafetyState
from qts.state.ids import ulid
from qts.state.messages import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import date, datetime

    from qts.clock import Clock
    from qts.state.config import RebalanceRules, StateConfig
    from qts.state.contracts import OperatingState, OperatingStateSnapshot, StateProperties

Pool: TypeAlias = Literal["SCALP", "SWING", "PORTFOLIO"]

POOLS: Final[tuple[Pool, ...]] = ("SCALP", "SWING", "PORTFOLIO")
WINDOWS_MAX: Final = 3
"""Windows over which a plan may be carried without notice."""
_RISK_CODES: Final = frozenset({50, *range(80, 86), *range(100, 105)})
"""Numbers of the FS codes that tell of losses: after one of them a plan needs nobody's consent."""


class RebalanceTrigger(StrEnum):
    """What asked for a rebalance."""

    DEFENSIVE_ENTRY = "DEFENSIVE_ENTRY"
    SCHEDULE = "SCHEDULE"
    DRIFT = "DRIFT"
    RANGE = "RANGE"
    OPERATOR = "OPERATOR"


class PlanStatus(StrEnum):
    """Where a plan stands; no plan at all is the idle state."""

    ARMED = "ARMED"
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"


class Move(NamedTuple):
    """Capital that a pool releases (negative) or receives, in units of the account's currency."""

    pool: Pool
    amount: int


@dataclass(frozen=True, slots=True)
class RebalanceLimits:
    """What the capital room configures (`capital.*`). Shares are fractions of the total of the pools."""

    targets: Mapping[OperatingState, Mapping[Pool, Decimal]]
    drift_threshold: Decimal = Decimal("0.10")
    daily_move_limit: Decimal = Decimal("0.05")
    min_amount: int = 100_000
    priority: tuple[Pool, ...] = ("PORTFOLIO", "SWING", "SCALP")

    def check(self, properties: Mapping[OperatingState, StateProperties]) -> None:
        """Raise ValueError unless the targets of each state are the whole and lie in its ranges."""
        for state, target in self.targets.items():
            own = properties[state]
            ranges = (own.scalp_allocation_range, own.swing_allocation_range, own.portfolio_allocation_range)
            if sum(target.values()) != 1:
                raise ValueError(f"targets of {state} add up to {sum(target.values())}; expected 1")
            for pool, (least, most) in zip(POOLS, ranges, strict=True):
                if not Decimal(str(least)) <= target[pool] <= Decimal(str(most)):
                    raise ValueError(f"target of {pool} in {state} is {target[pool]}; expected {least} to {most}")


@dataclass(frozen=True, slots=True)
class RebalancePlan:
    """A rebalance under way."""

    plan_id: str
    trigger: RebalanceTrigger
    state: OperatingState
    version: int
    """Version of the snapshot that it was made for."""
    status: PlanStatus
    needs_confirmation: bool
    created_at: datetime
    updated_at: datetime
    done: Mapping[Pool, int]
    windows: int = 0
    """Windows that ended without completing it."""


class WindowView(NamedTuple):
    """What has to be known to move capital in a window. All amounts in units of the account's currency."""

    safety: SafetyState
    totals: Mapping[Pool, int]
    free: Mapping[Pool, int]
    """Free capital by pool, at most what it may release."""
    equity_at_open: int
    moved_today: int
    """One-way turnover of the day so far: rebalances, promotions and demotions together."""
    is_market_ready: bool
    """In the window, prices fresh, no circuit breaker, no pool locked."""
    sessions_since_release: int | None
    """Sessions since the last release from LOCKDOWN, None = there was none."""


def shares(totals: Mapping[Pool, int]) -> dict[Pool, Decimal]:
    """Return the share of each pool; empty if there is nothing to share."""
    whole = sum(totals.values())
    return {pool: Decimal(totals[pool]) / whole for pool in POOLS} if whole > 0 else {}


def moves_towards(
    target: Mapping[Pool, Decimal],
    totals: Mapping[Pool, int],
    *,
    budget: int,
    releasable: Mapping[Pool, int],
    min_amount: int,
    priority: tuple[Pool, ...],
) -> list[Move]:
    """Return moves towards the target: releases first, together exactly what is received, at most `budget`.

    A receipt below `min_amount` is left for another day.
    """
    whole = sum(totals.values())
    gaps = {pool: target[pool] * whole - totals[pool] for pool in POOLS}
    wanted = {pool: gaps[pool] for pool in priority if gaps[pool] > 0}
    give = {pool: min(int(-gaps[pool]), max(0, releasable[pool])) for pool in POOLS if gaps[pool] < 0}
    can_give, wants = sum(give.values()), sum(wanted.values())
    amount = min(budget, int(wants), can_give)
    if amount <= 0:
        return []
    receipts = {pool: int(amount * gap / wants) for pool, gap in wanted.items()}
    receipts[next(iter(receipts))] += amount - sum(receipts.values())  # what rounding left
    receipts = {pool: part for pool, part in receipts.items() if part >= min_amount}
    amount = sum(receipts.values())
    releases = {pool: amount * most // can_give for pool, most in give.items()}
    for pool, most in give.items():
        rest = amount - sum(releases.values())
        releases[pool] += min(rest, most - releases[pool])
    return [
        *(Move(pool, -part) for pool, part in releases.items() if part > 0),
        *(Move(pool, part) for pool, part in receipts.items()),
    ]


class Rebalancer:
    """Holds at most one plan. Never forces a sale unless the configuration allows it, never delays an exit.

    Args:
        config: settings of the operating state.
        limits: settings of the capital room.
        clock: where time comes from.
        note: is told of codes.

    Raises:
        ValueError: the targets do not fit the states.
    """

    def __init__(
        self, config: StateConfig, limits: RebalanceLimits, clock: Clock, note: Callable[[str, str], None]
    ) -> None:
        limits.check(config.properties)
        self._config = config
        self._rules: RebalanceRules = config.rebalance
        self._limits = limits
        self._clock = clock
        self._note = note
        self._outside: dict[Pool, date] = {}
        self.plan: RebalancePlan | None = None

    @property
    def is_pending(self) -> bool:
        """Whether a plan is open: new entries then answer REBALANCE_PENDING."""
        return self.plan is not None and self.plan.status in (PlanStatus.ARMED, PlanStatus.ACTIVE, PlanStatus.PAUSED)

    @property
    def is_active(self) -> bool:
        """Whether capital is moving now: no promotion then."""
        return self.plan is not None and self.plan.status is PlanStatus.ACTIVE

    def drift(self, state: OperatingState, totals: Mapping[Pool, int]) -> dict[Pool, Decimal]:
        """Return actual less target share by pool; empty if there is nothing to share."""
        return {pool: share - self._limits.targets[state][pool] for pool, share in shares(totals).items()}

    def has_drifted(self, state: OperatingState, totals: Mapping[Pool, int]) -> bool:
        """Whether a pool is further from its target than `capital.drift_threshold`. In AGGRESSIVE that is all."""
        return any(abs(gap) > self._limits.drift_threshold for gap in self.drift(state, totals).values())

    def is_scheduled(self, day: date, last_session: date) -> bool:
        """Whether `day`, a session, is the first of its month or quarter; `last_session` is the one before it."""
        if self._rules.schedule == "monthly":
            return (day.year, day.month) != (last_session.year, last_session.month)
        return (day.year, (day.month - 1) // 3) != (last_session.year, (last_session.month - 1) // 3)

    def check_ranges(self, snapshot: OperatingStateSnapshot, totals: Mapping[Pool, int], day: date) -> list[Pool]:
        """Compare shares with the ranges of the state once a day; return pools outside twice in a row (GR081)."""
        own = snapshot.properties
        ranges = (own.scalp_allocation_range, own.swing_allocation_range, own.portfolio_allocation_range)
        twice: list[Pool] = []
        found = shares(totals)
        for pool, (least, most) in zip(POOLS, ranges, strict=True):
            if pool not in found or Decimal(str(least)) <= found[pool] <= Decimal(str(most)):
                self._outside.pop(pool, None)
            elif self._outside.setdefault(pool, day) != day:
                twice.append(pool)
                self._note("GR081", say("out_of_range", pool=pool, share=f"{found[pool]:.4f}", least=least, most=most))
        return twice

    def arm(
        self,
        trigger: RebalanceTrigger,
        snapshot: OperatingStateSnapshot,
        totals: Mapping[Pool, int],
        cause_codes: Iterable[str] = (),
    ) -> RebalancePlan | None:
        """Open a plan and return it; None if the state or the settings do not want one, or nothing has to move.

        After a forced DEFENSIVE without a code that tells of losses (`cause_codes`), an operator has to confirm it.
        A plan for another state is superseded.
        """
        self.follow(snapshot)
        if self.is_pending:
            return self.plan
        is_refused = (
            not snapshot.effective_properties.rebalancing_enabled
            or (trigger is RebalanceTrigger.OPERATOR and not self._rules.manual_enabled)
            or (trigger is RebalanceTrigger.DEFENSIVE_ENTRY and not self._rules.on_defensive_entry)
        )
        gaps = self.drift(snapshot.current_state, totals)
        if is_refused or not gaps or self._is_near(gaps):
            return None
        codes = [int(code[2:]) for code in cause_codes if code.startswith("FS")]
        now = self._clock.now_utc()
        self.plan = RebalancePlan(
            plan_id=ulid(self._clock.now_ns(), f"rebalance:{snapshot.version}:{trigger}"),
            trigger=trigger,
            state=snapshot.current_state,
            version=snapshot.version,
            status=PlanStatus.ARMED,
            needs_confirmation=bool(codes) and _RISK_CODES.isdisjoint(codes),
            created_at=now,
            updated_at=now,
            done=dict.fromkeys(POOLS, 0),
        )
        return self.plan

    def confirm(self) -> None:
        """Take an operator's consent to a plan that needs it."""
        if self.plan is not None:
            self.plan = replace(self.plan, needs_confirmation=False)

    def cancel(self) -> None:
        """Give up an open plan: after a release from LOCKDOWN, or by an operator."""
        if self.is_pending:
            self._to(PlanStatus.CANCELLED)

    def follow(self, snapshot: OperatingStateSnapshot) -> None:
        """Give up a plan that was made for another state."""
        if self.plan is not None and self.plan.state is not snapshot.current_state:
            self.cancel()

    def next_moves(self, snapshot: OperatingStateSnapshot, view: WindowView) -> list[Move]:
        """Return what may move now, releases first; empty if nothing may.

        Anything but safety NORMAL, and a market that is not ready, pause an active plan.
        """
        self.follow(snapshot)
        plan = self.plan
        if plan is None or not self.is_pending:
            return []
        if view.safety is not SafetyState.NORMAL or not view.is_market_ready:
            if plan.status is PlanStatus.ACTIVE:
                self._to(PlanStatus.PAUSED)
            return []
        is_resting = view.sessions_since_release is not None and view.sessions_since_release < 1
        if is_resting or plan.needs_confirmation or not snapshot.effective_properties.rebalancing_enabled:
            return []
        if self._is_near(self.drift(plan.state, view.totals)):
            self._to(PlanStatus.COMPLETED)
            return []
        limit = int(self._limits.daily_move_limit * view.equity_at_open)
        budget = limit - view.moved_today
        moves = moves_towards(
            self._limits.targets[plan.state],
            view.totals,
            budget=budget,
            releasable=view.totals if self._rules.allow_position_sells else view.free,
            min_amount=self._limits.min_amount,
            priority=self._limits.priority,
        )
        if moves:
            self._to(PlanStatus.ACTIVE)
        elif budget < self._limits.min_amount:
            if plan.status is PlanStatus.ACTIVE:
                self._note("GR088", say("budget_used", limit=limit))
            self._to(PlanStatus.ARMED)
        return moves

    def book(self, moves: Iterable[Move], totals: Mapping[Pool, int]) -> bool:
        """Take note of what has moved, with the totals after it; False, and the plan pauses, if money was lost."""
        plan = self.plan
        if plan is None:
            return False
        done, balance = dict(plan.done), 0
        for move in moves:
            done[move.pool] += move.amount
            balance += move.amount
        self.plan = replace(plan, done=done)
        if abs(balance) > 1:
            self._to(PlanStatus.PAUSED)
            return False
        if self._is_near(self.drift(plan.state, totals)):
            self._to(PlanStatus.COMPLETED)
        return True

    def close_window(self) -> None:
        """End the window of the day: what is open waits for the next, with fresh totals."""
        plan = self.plan
        if plan is None or not self.is_pending:
            return
        self.plan = replace(plan, windows=plan.windows + 1)
        self._to(PlanStatus.ARMED)
        if self.plan.windows == WINDOWS_MAX:
            self._note("GR088", say("carried", count=WINDOWS_MAX))

    def _is_near(self, gaps: Mapping[Pool, Decimal]) -> bool:
        return all(abs(gap) <= Decimal(str(self._rules.stop_band_pct)) for gap in gaps.values())

    def _to(self, status: PlanStatus) -> None:
        if self.plan is not None:
            self.plan = replace(self.plan, status=status, updated_at=self._clock.now_utc())
