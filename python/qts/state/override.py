"""What an operator may impose, and when (spec 18a section 6)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from qts.clock import from_ns
from qts.safety import SafetyState
from qts.state.contracts import OPERATOR_CHARS_MAX, REASON_CHARS_MAX, OperatingState
from qts.state.exceptions import OverrideRejected
from qts.state.messages import say
from qts.state.transition import AggressiveToBalanced, BalancedToDefensive

if TYPE_CHECKING:
    from qts.state.config import StateConfig
    from qts.state.contracts import ManualOverride
    from qts.state.quality import Judged
    from qts.state.transition import TransitionRule


def check_form(override: ManualOverride, now_ns: int, config: StateConfig) -> None:
    """Raise OverrideRejected unless reason, operator and expiry are as they must be."""
    for name, text, most in (
        ("override_reason", override.override_reason, REASON_CHARS_MAX),
        ("operator_id", override.operator_id, OPERATOR_CHARS_MAX),
    ):
        if not 1 <= len(text.strip()) <= len(text) <= most:
            raise OverrideRejected(
                found=say("override_text", name=name, count=len(text)),
                expected=say("override_text_expected", most=most),
            )
    now, expiry = from_ns(now_ns), override.expiry_time
    if expiry.utcoffset() is None:
        raise OverrideRejected(
            found=say("override_naive", expiry=expiry.isoformat()), expected=say("override_naive_expected")
        )
    if not now < expiry <= now + timedelta(days=config.override_max_days):
        raise OverrideRejected(
            found=say("override_expiry", expiry=expiry.isoformat()),
            expected=say("override_expiry_expected", now=now.isoformat(), days=config.override_max_days),
        )


def check_risk(
    override: ManualOverride,
    current: OperatingState,
    safety: SafetyState,
    judged: Judged | None,
    config: StateConfig,
    *,
    confirmed_by: str,
    is_live: bool,
) -> None:
    """Raise OverrideRejected unless the override may take effect now. DEFENSIVE always may, LOCKDOWN apart."""
    target = override.override_state
    if safety is SafetyState.LOCKDOWN:
        raise OverrideRejected(found=say("override_lockdown"), expected=say("override_lockdown_expected"))
    if target is OperatingState.DEFENSIVE:
        return
    if not config.override_enabled:
        raise OverrideRejected(
            found=say("override_disabled", target=target), expected=say("override_disabled_expected")
        )
    if target.rank <= current.rank:
        return
    enough = {SafetyState.NORMAL} if config.is_safe else {SafetyState.NORMAL, SafetyState.WARNING}
    if safety not in enough:
        needed = " / ".join(state.name for state in SafetyState if state in enough)
        raise OverrideRejected(
            found=say("override_safety", current=current, target=target, safety=safety.name),
            expected=say("override_safety_expected", needed=needed),
        )
    if config.is_safe:
        _check_conditions(target, judged, config)
        if is_live and config.dual_control_live and confirmed_by.strip() in ("", override.operator_id.strip()):
            raise OverrideRejected(
                found=say("override_confirm", who=confirmed_by.strip() or say("nobody")),
                expected=say("override_confirm_expected"),
            )


def _check_conditions(target: OperatingState, judged: Judged | None, config: StateConfig) -> None:
    """No HARD condition may hold out of the target, and none may be unknown."""
    rules: list[TransitionRule] = [BalancedToDefensive(config)]
    bounds: list[tuple[str, object, bool, str]] = []
    if target is OperatingState.AGGRESSIVE:
        rules.append(AggressiveToBalanced(config))
        limit = config.balanced_to_aggressive.max_drawdown_pct
        drawdown = None if judged is None else judged.certain.drawdown_pct
        bounds.append(("drawdown_pct", drawdown, drawdown is not None and drawdown < limit, f"< {limit:g}"))
    for rule in rules:
        conditions = () if judged is None else rule.conditions(judged.certain, SafetyState.NORMAL, 0.0)
        bounds += [
            (
                found.name,
                found.value,
                found.value is not None and not found.is_met,
                f"not {found.relation} {found.threshold}",
            )
            for found in conditions
            if found.is_hard
        ]
    if judged is None:
        bounds.append(("drawdown_pct", None, False, "known"))
    for name, value, holds, bound in bounds:
        if not holds:
            raise OverrideRejected(
                found=say("override_condition", target=target, name=name, value=value),
                expected=say("override_condition_expected", name=name, bound=bound),
            )
