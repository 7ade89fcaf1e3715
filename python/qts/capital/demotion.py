"""Demotion: capital goes down after losses, once for each episode of them (spec 14 §8).

A trigger fires when its measure exceeds the threshold, and not again until it is armed again: below half the threshold,
or so many sessions after the transfer. What limits do not let go at once stays the rest of the episode and follows.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from qts.capital.amounts import floor_part
from qts.capital.contracts import Episode, TransferKind, TransferProposal, TransferReason
from qts.capital.measures import Lack, report
from qts.capital.room import is_defensive
from qts.money import plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from qts.capital.alerts import Findings
    from qts.capital.config import CapitalFlowConfig
    from qts.capital.contracts import CapitalEngineInput, Pool
    from qts.capital.measures import Measures
    from qts.capital.room import Room

NO_EPISODE: Final = Episode(number=0, is_armed=True, fired_on=None)


class Trigger(NamedTuple):
    """What makes capital go down."""

    name: str
    """Key of its episodes: `P>W:MDD`, `W>S:MDD`, `W>S:LOSSES`."""
    source: Pool
    destination: Pool
    metric: str
    threshold: Decimal
    """Must be exceeded."""
    ratio: Decimal
    """Part of the source's total that goes."""
    reason: TransferReason


class Claim(NamedTuple):
    """What a trigger wants to move."""

    trigger: Trigger
    key: str
    amount: int
    measured: str
    fired: tuple[str, ...]
    """Triggers that have exceeded their thresholds together: one transfer stands for them all."""


def triggers_of(config: CapitalFlowConfig) -> tuple[Trigger, ...]:
    """Return the triggers, pair by pair."""
    rules, fall = config.demotion, TransferReason.MDD_THRESHOLD_EXCEEDED
    losses = Decimal(rules.w2s_trigger_consecutive_losses)
    return (
        Trigger(
            "P>W:MDD", "PORTFOLIO", "SWING", "portfolio_mdd", rules.p2w_trigger_mdd, rules.p2w_transfer_ratio, fall
        ),
        Trigger("W>S:MDD", "SWING", "SCALP", "swing_mdd", rules.w2s_trigger_mdd, rules.w2s_transfer_ratio, fall),
        Trigger(
            "W>S:LOSSES",
            "SWING",
            "SCALP",
            "swing_consecutive_losses",
            losses,
            rules.w2s_loss_transfer_ratio,
            TransferReason.CONSECUTIVE_LOSSES_EXCEEDED,
        ),
    )


def demotions(
    inp: CapitalEngineInput, measures: Measures, room: Room, findings: Findings
) -> tuple[TransferProposal, ...]:
    """Return what should go down now."""
    if not inp.config.demotion.is_enabled:
        return ()
    claims: dict[Pool, list[Claim]] = {}
    for trigger in triggers_of(inp.config):
        claims.setdefault(trigger.source, []).extend(_claims(inp, trigger, measures, findings))
    proposals = []
    for source, found in claims.items():
        if not found or room.is_stopped or _is_beyond_lock(inp, source, measures):
            continue
        largest = max(found, key=lambda claim: claim.amount)
        fired = tuple(sorted(name for claim in found for name in claim.fired))
        proposal = _proposal(inp, largest._replace(fired=fired), room)
        if proposal is None:
            room.keep_clear(source, largest.trigger.destination)
        else:
            room.take(proposal)
            proposals.append(proposal)
    return tuple(proposals)


def _claims(inp: CapitalEngineInput, trigger: Trigger, measures: Measures, findings: Findings) -> list[Claim]:
    pool = inp.pool_states[trigger.source]
    episode = inp.episodes.get(trigger.name, NO_EPISODE)
    value = measures.read(trigger.metric)
    if isinstance(value, Lack):
        if pool.is_funded and inp.session.number > 0:  # before the first close nothing can have been measured
            report(value, trigger.name, findings)
        measured = ""
    else:
        measured = "" if value is None else plain(value)
    if is_armed(episode, inp.config):
        if not isinstance(value, Decimal) or value <= trigger.threshold:
            return []
        key, amount = f"{trigger.name}:{episode.number + 1}", floor_part(pool.total_capital, trigger.ratio)
        fired: tuple[str, ...] = (trigger.name,)
    else:
        key, amount, fired = f"{trigger.name}:{episode.number}/{episode.parts + 1}", episode.rest, ()
    return [Claim(trigger, key, amount, measured, fired)] if amount > 0 and key not in inp.used_keys else []


def _is_beyond_lock(inp: CapitalEngineInput, source: Pool, measures: Measures) -> bool:
    """Whether the measured drawdown asks for a lock: then nothing goes down."""
    value = measures.read(f"{source.lower()}_mdd")
    return isinstance(value, Decimal) and value > inp.config.lock_mdd


def _proposal(inp: CapitalEngineInput, claim: Claim, room: Room) -> TransferProposal | None:
    """Return what can move of a claim; None if it has to wait."""
    trigger = claim.trigger
    source, destination = trigger.source, trigger.destination
    reason = room.obstacle(source, destination)
    if not reason and is_defensive(inp):
        reason = room.because_defensive()
    if reason:
        room.defer(source, destination, reason)
        return None
    caps = room.caps(source, destination)
    room.tell_limits(source, destination, claim.amount, caps, is_promotion=False)
    amount = min(claim.amount, *caps)
    if amount <= 0 or amount < min(claim.amount, inp.config.min_transfer_amount):
        return None
    told = {
        "fired": ",".join(claim.fired),
        "measured": claim.measured,
        "ratio": plain(trigger.ratio),
        "threshold": plain(trigger.threshold),
        "wanted": str(claim.amount),
    }
    return TransferProposal(
        source, destination, amount, TransferKind.DEMOTION, trigger.reason, claim.key, tuple(sorted(told.items()))
    )


# -- episodes: what the books keep of them


def is_armed(episode: Episode, config: CapitalFlowConfig) -> bool:
    """Whether a trigger may fire: never fired, armed again, or enough sessions after its transfer."""
    return episode.is_armed or episode.sessions_since >= config.demotion.rearm_days


def after_transfer(
    episodes: Mapping[str, Episode], proposal: TransferProposal, session_date: date
) -> dict[str, Episode]:
    """Return the episodes once a demotion was committed in the session of `session_date`.

    Every trigger that the transfer stands for has fired. Only the one in its key has a rest: a smaller claim of the
    same pair is not added to it.
    """
    told = dict(proposal.criteria)
    number, _, part = proposal.transfer_key.rpartition(":")[2].partition("/")
    name = proposal.transfer_key.rpartition(":")[0]
    rest = int(told["wanted"]) - proposal.amount
    pair = name.partition(":")[0]
    found = {key: episode._replace(rest=0) if key.startswith(pair) else episode for key, episode in episodes.items()}
    for other in filter(None, told["fired"].split(",")):
        last = found.get(other, NO_EPISODE)
        found[other] = Episode(last.number + 1, is_armed=False, fired_on=session_date)
    own = found.get(name, NO_EPISODE)
    fired_on = own.fired_on if part else session_date
    since = own.sessions_since if part else 0
    parts = int(part) if part else 1
    found[name] = Episode(int(number), is_armed=False, fired_on=fired_on, sessions_since=since, rest=rest, parts=parts)
    return found


def after_close(
    episodes: Mapping[str, Episode], values: Mapping[str, Decimal | None], config: CapitalFlowConfig
) -> dict[str, Episode]:
    """Return the episodes once a session has closed.

    Args:
        episodes: as they were.
        values: measure by name of the trigger, after this close; None = not known.
        config: thresholds.

    A trigger is armed again below half its threshold, or enough sessions after its transfer; a rest is then given up.
    """
    found = dict(episodes)
    for trigger in triggers_of(config):
        episode = found.get(trigger.name)
        if episode is None or episode.is_armed:
            continue
        aged = episode._replace(sessions_since=episode.sessions_since + 1)
        value = values.get(trigger.name)
        has_recovered = value is not None and value * 2 < trigger.threshold
        if has_recovered or is_armed(aged, config):
            aged = aged._replace(is_armed=True, rest=0, parts=0)
        found[trigger.name] = aged
    return found


def is_complete(proposal: TransferProposal) -> bool:
    """Whether a demotion leaves no rest: only then does the peak of its pool start anew."""
    return proposal.amount >= int(dict(proposal.criteria)["wanted"])
