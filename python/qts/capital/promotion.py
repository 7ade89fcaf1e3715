"""Promotion: realised profit goes up, SCALP to SWING to PORTFOLIO, by criteria and on schedule (spec 14 §7).

The edges are those of the plans: profit and counts may be met exactly, Sharpe ratio and win rate must be exceeded,
drawdowns may not be.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from qts.capital.amounts import floor_part, share
from qts.capital.contracts import POOLS, TransferKind, TransferProposal, TransferReason
from qts.capital.measures import Lack, report
from qts.money import plain

if TYPE_CHECKING:
    from qts.capital.alerts import Findings
    from qts.capital.contracts import CapitalEngineInput, CapitalPoolContract, Pool
    from qts.capital.measures import Measures
    from qts.capital.room import Room

Edge = Literal[">", ">=", "<="]
_MONTHS_A_QUARTER: Final = 3


class Rule(NamedTuple):
    """A measure and the limit that it is held against."""

    metric: str
    edge: Edge
    limit: Decimal


class Pair(NamedTuple):
    """A promotion: from where to where, by which rules, how much."""

    source: Pool
    destination: Pool
    threshold: int
    ratio: Decimal
    rules: tuple[Rule, ...]
    key: str
    """Key of the period that the session belongs to."""
    is_due: bool
    """Whether this is the session in which the pair is reviewed."""


class Standing(NamedTuple):
    """How far a pool is from its promotion."""

    is_eligible: bool
    progress: Decimal


def pairs_of(inp: CapitalEngineInput) -> tuple[Pair, Pair]:
    """Return both promotions as the configuration and the session have them."""
    scalp, swing = inp.config.s2w, inp.config.w2p
    session, day = inp.session, inp.session.date
    year, week, _ = day.isocalendar()
    is_weekly = scalp.frequency == "weekly"
    return (
        Pair(
            "SCALP",
            "SWING",
            scalp.min_accumulated_profit,
            scalp.transfer_ratio,
            (
                Rule("scalp_sharpe", ">", scalp.min_sharpe),
                Rule("scalp_win_rate", ">", scalp.min_win_rate_30d),
                Rule("scalp_trades_30d", ">=", Decimal(scalp.min_trades_30d)),
                Rule("scalp_mdd_30d", "<=", scalp.max_mdd_30d),
            ),
            f"S>W:{year}-W{week:02}" if is_weekly else f"S>W:{day.year}-{day.month:02}",
            session.is_first_of_week if is_weekly else session.is_first_of_month,
        ),
        Pair(
            "SWING",
            "PORTFOLIO",
            swing.min_accumulated_profit,
            swing.transfer_ratio,
            (
                Rule("swing_sharpe", ">", swing.min_sharpe),
                Rule("swing_mdd_recovery_days", "<=", Decimal(swing.max_mdd_recovery_days)),
                Rule("swing_avg_holding_days", ">=", swing.min_holding_period_avg),
                Rule("swing_mdd_90d", "<=", swing.max_mdd_90d),
            ),
            f"W>P:{day.year}-Q{(day.month - 1) // _MONTHS_A_QUARTER + 1}",
            session.is_last_of_quarter,
        ),
    )


def promotable(pool: CapitalPoolContract) -> int:
    """Return the profit that counts: realised, and bounded by what the unit price has gained (A-03).

    An unrealised gain never counts, an unrealised loss does.
    """
    return min(pool.accumulated_profit, pool.nav_gain)


def promotions(
    inp: CapitalEngineInput, measures: Measures, room: Room, findings: Findings
) -> tuple[tuple[TransferProposal, ...], dict[Pool, Standing]]:
    """Return what should go up now, and how far each pool is from it."""
    standings = {pool: Standing(is_eligible=False, progress=Decimal("0.0000")) for pool in POOLS}
    proposals = []
    for pair in pairs_of(inp):
        profit = promotable(inp.pool_states[pair.source])
        progress = progress_of(profit, pair.threshold)
        standings[pair.source] = Standing(is_eligible=False, progress=progress)
        if profit < pair.threshold:
            continue  # no other criterion decides anything
        read = {rule.metric: measures.read(rule.metric) for rule in pair.rules}
        for value in read.values():
            if isinstance(value, Lack):
                report(value, pair.key, findings)
        is_met = all(_holds(rule, read[rule.metric]) for rule in pair.rules)
        standings[pair.source] = Standing(is_met, progress)
        if is_met and pair.is_due and pair.key not in inp.used_keys and not room.is_stopped:
            proposal = _proposal(inp, pair, profit, read, room)
            if proposal is not None:
                room.take(proposal)
                proposals.append(proposal)
    return tuple(proposals), standings


def progress_of(profit: int, threshold: int) -> Decimal:
    """Return profit as a share of its threshold, four places, 0 or more; not capped."""
    return share(max(0, profit), threshold) if threshold > 0 else share(int(profit >= 0), 1)


def _holds(rule: Rule, value: Decimal | Lack | None) -> bool:
    if value is None or isinstance(value, Lack):
        return False
    if rule.edge == ">":
        return value > rule.limit
    return value >= rule.limit if rule.edge == ">=" else value <= rule.limit


def _proposal(
    inp: CapitalEngineInput, pair: Pair, profit: int, read: dict[str, Decimal | Lack | None], room: Room
) -> TransferProposal | None:
    """Return what moves of the profit above the threshold; None if gates or limits leave nothing."""
    raw = floor_part(profit - pair.threshold, pair.ratio)
    most = inp.config.max_transfer_amount
    wanted = raw if most is None else min(raw, most)
    if wanted < max(1, inp.config.min_transfer_amount):
        return None  # the profit carries over
    reason = room.obstacle(pair.source, pair.destination)
    if not reason and not inp.gates.promotion_allowed:
        reason = room.because_state()
    if reason:
        room.defer(pair.source, pair.destination, reason)
        return None
    caps = room.caps(pair.source, pair.destination)
    room.tell_limits(pair.source, pair.destination, wanted, caps, is_promotion=True)
    amount = min(wanted, *caps)
    if amount < max(1, inp.config.min_transfer_amount):
        return None
    told = {name: plain(value) for name, value in read.items() if isinstance(value, Decimal)}
    told |= {"profit": str(profit), "raw": str(raw), "ratio": plain(pair.ratio), "threshold": str(pair.threshold)}
    return TransferProposal(
        pair.source,
        pair.destination,
        amount,
        TransferKind.PROMOTION,
        TransferReason.PROFIT_THRESHOLD_EXCEEDED,
        pair.key,
        tuple(sorted(told.items())),
    )
