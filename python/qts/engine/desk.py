"""What a paper engine puts behind the operator's desk."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from qts.config import LiveEvidence, LiveGate
from qts.engine.capital_messages import say as pools_say
from qts.money import from_units
from qts.ops.operator import EngineInbox, EngineStatus, Operator, Outcome, PositionView, say

if TYPE_CHECKING:
    from qts.clock import Clock
    from qts.config import ConfigReloader, QtsConfig
    from qts.engine.capital import CapitalDesk
    from qts.engine.session import Session
    from qts.engine.supervisor import Supervisor
    from qts.instruments import Catalog
    from qts.state.rebalance import Pool

_RELOAD_S: Final = 10.0


class PaperControls:
    """Answers for a paper engine from what the engine last published; never touches the engine itself.

    Args:
        config: the configuration of the run.
        clock: says when a status was taken.
        stop: asks the engine for an orderly end.
        strategy: names of the strategies.
        session_date: day of the session.
    """

    def __init__(
        self, config: "QtsConfig", clock: "Clock", stop: Callable[[], None], *, strategy: str, session_date: str
    ) -> None:
        self._clock = clock
        self._stop = stop
        self._live_gate = LiveGate.bind(config.local, LiveEvidence(host_is_live=False))
        started_ns = clock.monotonic_ns()
        self._last = EngineStatus(
            taken_ns=started_ns,
            started_ns=started_ns,
            mode=config.local.mode,
            config_version=config.config_hash,
            live_gate_refusals=self._live_gate.refusals,
            stopping=False,
            strategy=strategy,
            session_date=session_date,
        )

    def publish(self, session: "Session", catalog: "Catalog", *, stopping: bool, progress: float) -> None:
        """Look at the session, on its thread, and let the desk see it."""
        core, last = session.core, session.last
        now_ns = core.now_ns
        currency = catalog.currency(catalog.by_id(0).currency)
        equity = last.equity if last is not None and last.equity else core.cash
        self._last = self._last._replace(
            taken_ns=self._clock.monotonic_ns(),
            stopping=stopping,
            phase=None if now_ns is None else session.phase(now_ns),
            engine_time_ns=now_ns,
            progress=progress,
            currency=currency.code,
            equity=from_units(equity, currency.scale),
            cash=from_units(core.cash, currency.scale),
            positions=tuple(
                PositionView(
                    catalog.by_id(instrument).symbol, track, from_units(qty, catalog.by_id(instrument).qty_scale)
                )
                for instrument, track, qty, *_ in core.positions()
            ),
            working_orders=session.pipeline.working_orders,
            fills=session.fills,
            queues={level: dict(row) for level, row in core.counters().items()},  # type: ignore[arg-type]  # of ints
        )

    def reconfigured(self, config: "QtsConfig") -> None:
        """Name the configuration that holds from now on."""
        self._last = self._last._replace(config_version=config.config_hash)

    def status(self) -> EngineStatus:
        """Return what was published last."""
        return self._last

    def stop(self, *, by: Operator) -> Outcome:  # noqa: ARG002 - a stop asks for no rights beyond the socket's
        """Ask the engine for an orderly end."""
        self._stop()
        return Outcome(applied=True, reason=say("stop_asked"))


class PaperCapital:
    """Acts on the pools of a paper engine on the engine's thread.

    Args:
        pools: the pools.
        supervisor: keeps the audit trail.
        inbox: the way onto the engine's thread.
    """

    def __init__(self, pools: "CapitalDesk", supervisor: "Supervisor", inbox: EngineInbox) -> None:
        self._pools = pools
        self._supervisor = supervisor
        self._inbox = inbox

    def unlock(self, pool: str, *, by: Operator, reason: str) -> Outcome:
        """Take the lock off a pool. Blocks until the engine has a moment."""
        self._inbox.call(lambda: self._unlock(cast("Pool", pool), str(by), reason), timeout_s=_RELOAD_S)
        return Outcome(applied=True, reason=pools_say("unlocked", pool=pool))

    def _unlock(self, pool: "Pool", by: str, reason: str) -> None:
        self._pools.unlock(pool, by, reason)
        self._supervisor.record_act("capital_unlock", by, reason, {"pool": pool})


class PaperReload:
    """Reloads the configuration of a paper engine on the engine's thread."""

    def __init__(self, reloader: "ConfigReloader", inbox: EngineInbox) -> None:
        self._reloader = reloader
        self._inbox = inbox

    def reload(self, *, by: Operator, reason: str, confirm: bool) -> Outcome:
        """Take in changed files. Blocks until the engine has a moment."""
        record = self._inbox.call(
            lambda: self._reloader.reload(by=str(by), reason=reason, confirm=confirm), timeout_s=_RELOAD_S
        )
        return Outcome(
            applied=True,
            detail={
                "config_version": self._reloader.current.config_hash,
                "applied": list(record.applied),
                "pending": list(record.pending),
                "changes": [change._asdict() for change in record.changes],
            },
        )
