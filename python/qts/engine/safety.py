"""The safety state of a run: its settings and its release checks."""

from typing import TYPE_CHECKING, Final

from qts.safety import RECONCILIATION, CheckOutcome, CheckRequest, SafetyConfig, SafetyStateManager

if TYPE_CHECKING:
    from qts.clock import Clock
    from qts.config import QtsConfig
    from qts.data import RunStore
    from qts.engine.session import Session
    from qts.instruments import Catalog
    from qts.ops.operator import EngineInbox

_CHECK_S: Final = 30.0
"""How long a check may wait for the engine."""
_HALT: Final = "HALT_ALL"


def safety_config(config: "QtsConfig") -> SafetyConfig:
    """Return the settings of the safety state."""
    file = config.safety
    return SafetyConfig(
        lockdown_window_s=file.lockdown.window_s,
        lockdown_clean_cycles_to_reset=file.lockdown.clean_cycles_to_reset,
        lockdown_protective_exits=file.lockdown.protective_exits,
        guardrail_warn_count=file.guardrail.warn_count,
        guardrail_warn_window_s=file.guardrail.warn_window_s,
        warning_quiet_s=file.warning.quiet_s,
        warning_quiet_low_s=file.warning.quiet_low_s,
        warning_clean_cycles=file.warning.clean_cycles,
        warning_size_factor=file.warning.size_factor,
        recovery_probation_cycles=file.recovery.probation_cycles,
        kill_switch_armed=config.local.kill_switch.armed,
    )


def follow_halt(manager: SafetyStateManager, config: "QtsConfig") -> None:
    """Let the switch `halt_all` of the configuration stand in the safety word: with it nothing at all leaves."""
    is_set = _HALT in manager.snapshot().flags
    if config.local.halt_all != is_set:
        (manager.set_flag if config.local.halt_all else manager.clear_flag)(
            _HALT, by="configuration", reason="halt_all"
        )


class Reconciliation:
    """Release check: the ledger, derived again from its fills, says what the engine holds.

    Args:
        session: the run.
        store: its ledger.
        catalog: its instruments.
        inbox: the way onto the engine's thread, where both may be looked at.
        clock: says when it was looked.
    """

    name = RECONCILIATION
    codes: frozenset[str] = frozenset()

    def __init__(
        self, session: "Session", store: "RunStore", catalog: "Catalog", inbox: "EngineInbox", clock: "Clock"
    ) -> None:
        self._session = session
        self._store = store
        self._catalog = catalog
        self._inbox = inbox
        self._clock = clock

    def run(self, request: CheckRequest) -> CheckOutcome:  # noqa: ARG002 - it is the same for every code
        """Look now, on the engine's thread."""
        return self._inbox.call(self._look, timeout_s=_CHECK_S)

    def _look(self) -> CheckOutcome:
        as_of_ns = self._clock.monotonic_ns()
        held = {
            (self._catalog.by_id(instrument).symbol, track): qty
            for instrument, track, qty, *_ in self._session.core.positions()
        }
        booked = {(row.symbol, row.track): row.qty for row in self._store.positions() if row.qty}
        differing = [f"{symbol}/{track}" for symbol, track in sorted(held.keys() | booked.keys())
                     if held.get((symbol, track), 0) != booked.get((symbol, track), 0)]  # fmt: skip
        differing += [str(difference) for difference in self._store.verify()]
        detail = f"{len(held)} positions agree" if not differing else f"engine and ledger differ: {differing[0]}"
        return CheckOutcome(not differing, detail, as_of_ns)
