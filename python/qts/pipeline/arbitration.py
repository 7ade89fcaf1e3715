"""Which of the wishes of one cycle go on, so that no two of them work against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from qts.pipeline.contracts import is_entry
from qts.strategy.contracts import PPM, REDUCING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qts.broker.contracts import Track
    from qts.pipeline.contracts import CalcDataContract, Cycle, Proposal
    from qts.strategy.contracts import Intent, Purpose, Sizing

CONFLICT: Final = "GR030"
SELF_MATCH: Final = "GR039"
OVERCOMMITTED: Final = "PE020"
"""The target weights of one cycle add up to more than everything."""

_PURPOSE_CLASS: Final[dict[Purpose, int]] = {"EXIT": 4, "REDUCE": 3, "REBALANCE": 2, "ADD": 1, "ENTRY": 0}
_TRACK_PRIORITY: Final[dict[Track, int]] = {"SWING": 0, "PORTFOLIO": 1, "SCALP": 2}
_BUYS: Final = frozenset({"ENTRY", "ADD", "REBALANCE"})
_SELLS: Final = frozenset({"EXIT", "REDUCE", "REBALANCE"})
_NS_PER_S: Final = 1_000_000_000


class Arbitration(NamedTuple):
    """Proposals that go on, in the order in which they are sized, and those that do not, with the reason."""

    kept: tuple[Proposal, ...]
    dropped: tuple[tuple[Proposal, str], ...]


class FlipGuard:
    """Remembers exits, so that nothing is bought back in the same breath."""

    def __init__(self, cooldown: Mapping[Track, int | Literal["session"]]) -> None:
        """Take the pause after an exit by track: seconds, or the rest of the session."""
        self._cooldown_ns = {
            track: None if pause == "session" else pause * _NS_PER_S for track, pause in cooldown.items()
        }
        self._exits: dict[tuple[int, Track], tuple[int, str]] = {}

    def on_exit(self, instrument: int, track: Track, ts_ns: int, session_date: str) -> None:
        """Remember that a sale was sent or filled."""
        self._exits[instrument, track] = (ts_ns, session_date)

    def forbids(self, instrument: int, track: Track, cycle: Cycle) -> bool:
        """Whether an entry comes too soon after the last exit."""
        last = self._exits.get((instrument, track))
        if last is None:
            return False
        cooldown_ns = self._cooldown_ns.get(track, 0)
        if cooldown_ns is None:
            return cycle.session_date == last[1]
        return cycle.ts_ns - last[0] < cooldown_ns


class Arbiter:
    """Applies the rules of arbitration; its output order is deterministic."""

    def __init__(self, max_intents_per_cycle: int, flips: FlipGuard) -> None:
        self._max_intents = max_intents_per_cycle
        self._flips = flips

    def resolve(self, proposals: Sequence[Proposal], calc: CalcDataContract) -> Arbitration:
        """Return who goes on. At most one proposal is kept per track and symbol."""
        kept: list[Proposal] = []
        dropped: list[tuple[Proposal, str]] = []
        for proposal in proposals:
            fault = self._unfit(proposal, calc)
            if fault:
                dropped.append((proposal, fault))
            else:
                kept.append(proposal)
        if len(kept) > 1:
            kept = _one_per_track_and_symbol(kept, dropped)
            kept = _no_opposite_tracks(kept, dropped)
            kept.sort(key=_rank)
            exits = sum(proposal.is_exit for proposal in kept)  # they come first, and none is too many
            most = max(self._max_intents, exits)
            dropped.extend((proposal, "max_intents_per_cycle") for proposal in kept[most:])
            del kept[most:]
            kept = _no_overcommitment(kept, dropped, by_track=calc.pool_limits is not None)
        return Arbitration(tuple(kept), tuple(dropped))

    def _unfit(self, proposal: Proposal, calc: CalcDataContract) -> str:
        """Return why the proposal cannot be considered at all, empty if it can."""
        intent = proposal.intent
        if _is_malformed(intent):
            return "malformed_intent"
        if proposal.is_exit:
            return ""
        if intent.side == "SELL":
            return ""  # a rebalancing sale: as free as an exit from what guards purchases
        is_limited = is_entry(intent.side, intent.purpose, proposal.track)
        if is_limited and intent.confidence < calc.raw.stance.threshold:
            return "BELOW_STATE_THRESHOLD"
        instrument, track = proposal.terms.instrument, proposal.track
        if self._flips.forbids(instrument, track, calc.raw.cycle):
            return "reentry_cooldown"
        for (working_instrument, _), (_, selling) in calc.raw.working.items():
            if selling and working_instrument == instrument:
                return SELF_MATCH
        return ""


def _is_malformed(intent: Intent) -> bool:
    if intent.purpose not in (_BUYS if intent.side == "BUY" else _SELLS):
        return True
    if not 0.0 <= intent.confidence <= 1.0 or intent.ttl_ms <= 0:  # NaN fails the comparison
        return True
    qty, weight, sizing = intent.qty, intent.target_weight_ppm, intent.sizing
    if sizing is not None:
        return qty is not None or weight is not None or not _is_size(sizing, intent.purpose)
    if qty is not None:
        return qty <= 0 or weight is not None
    if weight is not None:
        return not 0 <= weight <= PPM
    return intent.purpose not in REDUCING


def _is_size(sizing: Sizing, purpose: Purpose) -> bool:
    """Whether a way of sizing fits the purpose, and its amount the way."""
    if sizing.amount <= 0 or (sizing.mode == "RATIO") != (purpose in REDUCING):
        return False
    return sizing.mode == "CASH" or sizing.amount <= PPM


def _rank(proposal: Proposal) -> tuple[bool, bool, int, int, str, int]:
    """Exits first, then rebalancing sales, then purchases: tracks by priority, then strategies by theirs."""
    return (
        not proposal.is_exit,
        proposal.intent.side == "BUY",
        _TRACK_PRIORITY[proposal.track],
        proposal.priority,
        proposal.strategy_id,
        proposal.terms.instrument,
    )


def _strength(proposal: Proposal) -> tuple[int, float, int, str]:
    """Sorts the strongest first."""
    intent = proposal.intent
    return (-_PURPOSE_CLASS[intent.purpose], -intent.confidence, proposal.priority, proposal.strategy_id)


def _one_per_track_and_symbol(proposals: list[Proposal], dropped: list[tuple[Proposal, str]]) -> list[Proposal]:
    groups: dict[tuple[Track, int], list[Proposal]] = {}
    for proposal in proposals:
        groups.setdefault((proposal.track, proposal.terms.instrument), []).append(proposal)
    kept = []
    for group in groups.values():
        exits = [proposal for proposal in group if proposal.is_exit]
        if exits:
            dropped.extend((proposal, "exit_first") for proposal in group if not proposal.is_exit)
            kept.append(_strongest(exits, dropped))
        elif len({proposal.intent.side for proposal in group}) > 1:
            dropped.extend((proposal, CONFLICT) for proposal in group)
        else:
            kept.append(_strongest(group, dropped))
    return kept


def _strongest(group: list[Proposal], dropped: list[tuple[Proposal, str]]) -> Proposal:
    """Return the strongest proposal of one side, with the largest quantity that any of them asked for."""
    first, *others = sorted(group, key=_strength)
    dropped.extend((proposal, "duplicate_side") for proposal in others)
    if not others:
        return first
    intents = [proposal.intent for proposal in group]
    if first.is_exit and any(
        intent.qty is None and intent.target_weight_ppm is None and intent.sizing is None for intent in intents
    ):
        return first._replace(intent=first.intent._replace(qty=None, target_weight_ppm=None, sizing=None))  # all of it
    if first.intent.sizing is not None:
        alike = [intent.sizing for intent in intents if intent.sizing is not None]
        largest_size = max(size for size in alike if size.mode == first.intent.sizing.mode)
        return first._replace(intent=first.intent._replace(sizing=largest_size))
    if first.intent.qty is not None:
        largest = max(intent.qty for intent in intents if intent.qty is not None)
        return first._replace(intent=first.intent._replace(qty=largest))
    if first.intent.target_weight_ppm is not None and not first.is_exit:
        heaviest = max(intent.target_weight_ppm for intent in intents if intent.target_weight_ppm is not None)
        return first._replace(intent=first.intent._replace(target_weight_ppm=heaviest))
    return first


def _no_opposite_tracks(proposals: list[Proposal], dropped: list[tuple[Proposal, str]]) -> list[Proposal]:
    """Let sales of one track go before purchases of another in the same symbol; nothing is crossed inside."""
    selling = {proposal.terms.instrument for proposal in proposals if proposal.intent.side == "SELL"}
    kept = []
    for proposal in proposals:
        if proposal.intent.side == "BUY" and proposal.terms.instrument in selling:
            dropped.append((proposal, SELF_MATCH))
        else:
            kept.append(proposal)
    return kept


def _no_overcommitment(
    proposals: list[Proposal], dropped: list[tuple[Proposal, str]], *, by_track: bool
) -> list[Proposal]:
    """Refuse every entry of a scope if the weights of its entries in one cycle add up to more than everything.

    The scope is the track if it has a pool of its own, else the account.
    """
    weights: dict[Track | None, int] = {}
    for proposal in proposals:
        if proposal.intent.purpose == "ENTRY" and proposal.intent.target_weight_ppm:
            scope = proposal.track if by_track else None
            weights[scope] = weights.get(scope, 0) + proposal.intent.target_weight_ppm
    overcommitted = {scope for scope, weight in weights.items() if weight > PPM}
    if not overcommitted:
        return proposals
    kept = []
    for proposal in proposals:
        if proposal.intent.purpose == "ENTRY" and (proposal.track if by_track else None) in overcommitted:
            dropped.append((proposal, OVERCOMMITTED))
        else:
            kept.append(proposal)
    return kept
