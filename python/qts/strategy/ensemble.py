"""Several strategies that decide as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from pydantic import Field

from qts.codes import UsageError
from qts.strategy.base import Strategy
from qts.strategy.contracts import Requirements
from qts.strategy.params import StrategyParams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qts.broker.contracts import Side
    from qts.broker.interfaces import FillNotice, OrderEndNotice
    from qts.strategy.contracts import ExecutionView, Intent, MarketView

VoteRule: TypeAlias = Literal["MAJORITY", "CONFIDENCE"]


class EnsembleParams(StrategyParams):
    """What can be set with `--set name=value`."""

    rule: VoteRule = Field("MAJORITY", description="MAJORITY: more than half; CONFIDENCE: by confidence and weight")
    threshold: float = Field(
        0.5, gt=0, le=1, allow_inf_nan=False, description="CONFIDENCE: share of all weight that a side needs"
    )


class Member(NamedTuple):
    """A strategy with its weight in the vote."""

    strategy: Strategy
    weight: float = 1.0


class Ensemble(Strategy):
    """Asks all its members and follows the side that wins; a tie, and a contradiction within a member, is no vote.

    Subclass it, give it a name and a track, and return the members:

        class Vote(Ensemble):
            name = "vote"
            track = "SWING"

            def members(self):
                return (Member(DailyMomentum(entry_days=20)), Member(DailyMomentum(entry_days=55), 2.0))

    MAJORITY follows a side that more than half of all members want, those that want nothing counted in. CONFIDENCE
    adds up confidence times weight of each side and follows the difference, if it is at least `threshold` times all
    weight. The wish that leaves is the surest one of the winning side, as sure as its voters are on average. Members
    live on bars of one interval; they hear of every fill.
    """

    Params = EnsembleParams
    params: EnsembleParams

    def __init__(self, **params: Any) -> None:  # noqa: ANN401 - typed by the Params model, which checks it
        """Check `params` and the members; UsageError names what does not fit."""
        super().__init__(**params)
        self._members = tuple(self.members())
        _check(self, self._members)

    def members(self) -> Sequence[Member]:
        """Return who votes: at least two."""
        return ()

    def requirements(self) -> Requirements:
        """Return what satisfies every member."""
        needs = [member.strategy.requirements() for member in self._members]
        phases = frozenset().union(*(need.phases for need in needs))
        return Requirements(needs[0].bar_interval_ns, max(need.lookback for need in needs), phases)

    def generate_intents(self, market: MarketView, execution: ExecutionView) -> Sequence[Intent]:
        """Let all members vote."""
        votes: dict[Side, list[tuple[Intent, float]]] = {"BUY": [], "SELL": []}
        for strategy, weight in self._members:
            intents = strategy.generate_intents(market, execution)
            sides = {intent.side for intent in intents}
            if len(sides) == 1:
                surest = max(intents, key=lambda intent: intent.confidence)
                votes[surest.side].append((surest, weight))
        side = self._winner(votes)
        if side is None:
            return ()
        voters = votes[side]
        wish = max(voters, key=lambda vote: vote[0].confidence)[0]
        sureness = sum(intent.confidence for intent, _ in voters) / len(voters)
        reason = f"{len(voters)} of {len(self._members)}: {wish.reason}"
        return (wish._replace(confidence=sureness, reason=reason),)

    def _winner(self, votes: dict[Side, list[tuple[Intent, float]]]) -> Side | None:
        if self.params.rule == "MAJORITY":
            half = len(self._members) / 2
            return next((side for side in votes if len(votes[side]) > half), None)
        score = {side: sum(intent.confidence * weight for intent, weight in cast) for side, cast in votes.items()}
        lead = score["BUY"] - score["SELL"]
        needed = self.params.threshold * sum(member.weight for member in self._members)
        if lead == 0 or abs(lead) < needed:
            return None
        return "BUY" if lead > 0 else "SELL"

    def on_fill(self, fill: FillNotice) -> None:
        """Tell every member."""
        for member in self._members:
            member.strategy.on_fill(fill)

    def on_reject(self, end: OrderEndNotice) -> None:
        """Tell every member."""
        for member in self._members:
            member.strategy.on_reject(end)


def _check(ensemble: Ensemble, members: Sequence[Member]) -> None:
    name = ensemble.strategy_id
    if len(members) < 2:
        raise UsageError(
            found=f"ensemble {name!r} of {len(members)} members",
            expected="at least two",
            hint="return them from `members`, each as Member(strategy, weight)",
        )
    intervals = {member.strategy.requirements().bar_interval_ns for member in members}
    for member in members:
        strategy = member.strategy
        if strategy.track != ensemble.track:
            raise UsageError(
                found=f"member {strategy.strategy_id!r} of track {strategy.track} in ensemble {name!r}",
                expected=f"track {ensemble.track}",
                hint="an ensemble trades one track's money: set the class attribute `track` of both",
            )
        if strategy.wants_ticks() or strategy.requirements().bar_interval_ns is None or len(intervals) > 1:
            raise UsageError(
                found=f"member {strategy.strategy_id!r} of ensemble {name!r}, which does not live on the same bars",
                expected="members that decide on bars of one interval",
                hint="give all members the same bar interval; strategies on ticks cannot vote",
            )
        if not member.weight > 0:
            raise UsageError(
                found=f"weight {member.weight} of member {strategy.strategy_id!r} in ensemble {name!r}",
                expected="more than 0",
                hint="leave the member out instead",
            )
