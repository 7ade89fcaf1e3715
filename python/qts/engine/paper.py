"""Paper trading: a simulated KRX session, as fast as wanted."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from qts.clock import SystemClock
from qts.codes import EngineFault, UsageError
from qts.config import REDIS_PASSWORD, ConfigManager, ConfigReloader, QtsConfig, home_dir, load_secrets
from qts.data import JournaledStore
from qts.engine.books import break_off, finish, open_books
from qts.engine.build import StrategyRef, calendars_of, cash_units, catalog_in, strategies_of, traded_by
from qts.engine.capital import pools_of
from qts.engine.desk import PaperCapital, PaperControls, PaperReload
from qts.engine.hot import HotData
from qts.engine.paper_close import PaperClose
from qts.engine.safety import Reconciliation
from qts.engine.session import Session
from qts.engine.storage import run_store
from qts.engine.supervisor import Supervisor
from qts.engine.synthetic import base_prices, session_on, simulable, synth_config
from qts.engine.ticks import kept_ticks
from qts.ops.operator import EngineInbox, OperatorPort, OperatorServer, RunPlace
from qts.ops.operator.rooms import SafetyDesk, StateDesk
from qts.ops.report import BacktestResult, RunRecorder

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from decimal import Decimal

    from qts.clock import Clock
    from qts.config import Secrets
    from qts.data.contracts import SessionStatus
    from qts.engine.books import Books
    from qts.instruments import Catalog, SessionPhase
    from qts.ops.close import CloseOutcome

_STEP_NS: Final = 200_000_000
"""Wall time between two looks at the clock when the session is paced."""
_MAX_STEP_NS: Final = 60_000_000_000
"""Engine time between two looks for a stop when it is not."""
_ACCOUNT: Final = "paper"
"""Name of the account: first word of the phrase that releases LOCKDOWN, and directory of the operating state."""
MAX_SPEED: Final = 100_000.0
"""Seconds of session per second of wall time, at most."""


class Status(NamedTuple):
    """Where a session stands."""

    ts_ns: int
    phase: "SessionPhase"
    records: int
    fills: int
    equity: int
    cash: int
    money_scale: int
    positions: int
    working_orders: int
    done: float
    """Share of the session that has passed, 0 to 1."""
    safety: str | None
    """NORMAL, WARNING, FAIL or LOCKDOWN; None before the run."""
    safety_code: str
    """The code that led there, empty in NORMAL."""
    operating: str | None
    """AGGRESSIVE, BALANCED or DEFENSIVE; None before the run."""


class Engine:
    """A paper account on a simulated KRX session. Build it with `from_config`, then `await engine.run()`.

    Fills, orders, positions and equity are kept in `QTS_HOME/db/paper.sqlite`; each run is an account of its own.
    While it runs it answers at `QTS_HOME/run/engine.sock` and is the only engine of its home.
    """

    def __init__(
        self,
        session: Session,
        *,
        config: "QtsConfig",
        home: Path,
        open_books: "Callable[[], Books]",
        strategy: str,
        catalog: "Catalog",
        open_ns: int,
        close_ns: int,
        clock: "Clock",
        money_scale: int,
        day: date,
        store: JournaledStore,
        cash: int,
        files: ConfigManager | None = None,
        secrets: "Secrets | None" = None,
    ) -> None:
        self._session = session
        self._store = store
        self._cash = cash
        self._config = config
        self._home = home
        self._open_books = open_books
        self._files = files
        self._secrets = secrets
        self._hot: HotData | None = None
        self._inbox = EngineInbox()
        self._catalog = catalog
        self._open_ns = open_ns
        self._close_ns = close_ns
        self._clock = clock
        self._money_scale = money_scale
        self._stopping = False
        self._supervisor: Supervisor | None = None
        self._controls = PaperControls(
            config, clock, self.request_stop, strategy=strategy, session_date=day.isoformat()
        )
        self.day = day
        """Date of the session."""
        self.closes: list[CloseOutcome] = []
        """What came of the closes: of sessions that earlier processes have left open, then of this one."""

    @classmethod
    def from_config(
        cls,
        config: "Path | str | QtsConfig | None" = None,
        *,
        mode: str = "paper",
        strategy: "StrategyRef | Sequence[StrategyRef]" = "ema_cross",
        params: Mapping[str, Any] | None = None,
        cash: "str | int | Decimal | None" = None,
        seed: int | None = None,
        day: date | None = None,
        home: Path | None = None,
        clock: "Clock | None" = None,
        symbols: Mapping[str, Sequence[str]] | None = None,
    ) -> Self:
        """Return an engine that is ready to run.

        Args:
            config: configuration directory, or a loaded configuration; default the shipped one.
            mode: `paper`; no other mode is built.
            strategy: a registered name, `module:Class`, a Strategy class or instance, or several of them.
            params: its parameters; with several strategies `name.parameter`.
            cash: starting cash in KRW; default `sim.session.cash`.
            seed: seed of the market; default `sim.session.seed`.
            day: date of the session; default today. A closed day gives the next session.
            home: where state is kept; default `QTS_HOME`, else `~/.qts`.
            clock: paces and labels the run; the machine's clock by default.
            symbols: what each strategy trades, by its name; a strategy that is not named trades everything.

        Raises:
            UsageError: a mode, strategy, parameter or place that does not exist.
            ConfigError: the configuration is wrong, or the file of secrets can be used by others.
        """
        if mode != "paper":
            raise UsageError(
                found=f"mode {mode!r}", expected="paper, the only mode of this version", hint="leave it out"
            )
        files = None
        if config is None or isinstance(config, str | Path):
            files = ConfigManager(None if config is None else Path(config))
            config = files.load()
        home = home or home_dir()
        secrets = load_secrets(home)  # a file that others can use is refused, whether anything of it is needed or not
        clock = clock or SystemClock()
        catalog = catalog_in(config, "KRW", config.sim.session.symbols)
        calendars = calendars_of(config, catalog)
        hours = session_on(calendars[0], day or calendars[0].session_date(clock.now_ns()))
        currency = catalog.currency("KRW")
        cash_start = cash_units(cash, config.sim.session.cash, currency)
        built = strategies_of(strategy, params)
        names = ",".join(one.strategy_id for one in built)
        store = run_store(config, home, clock, secrets)
        session = Session(
            config=config,
            catalog=catalog,
            calendars=calendars,
            strategies=traded_by(built, catalog, symbols),
            cash=cash_start,
            clock=clock,
            store=store,
            recorder=RunRecorder(store, calendars[0].utc_offset_s),
            prev_close=base_prices(catalog),
            pools=pools_of(config, built, currency),
        )
        market = synth_config(list(catalog), [hours], config.sim.session.seed if seed is None else seed)
        with simulable():
            session.core.add_synthetic(market)
        return cls(
            session,
            config=config,
            home=home,
            open_books=partial(
                open_books,
                store,
                catalog,
                mode="SIM",
                strategy=names,
                cash=cash_start,
                config_hash=config.config_hash,
                clock=clock,
                account=_ACCOUNT,
            ),
            strategy=names,
            catalog=catalog,
            open_ns=hours.open_ns,
            close_ns=hours.close_ns,
            clock=clock,
            money_scale=currency.scale,
            day=hours.date,
            store=store,
            cash=cash_start,
            files=files,
            secrets=secrets,
        )

    def request_stop(self) -> None:
        """Ask for an orderly end: working orders end, the books are closed, `run` returns. Safe in a signal handler."""
        self._stopping = True

    async def run(
        self, *, speed: float | None = None, on_status: Callable[[Status], object] | None = None
    ) -> BacktestResult:
        """Run the session to its end and return the result. The operator can ask and stop it meanwhile.

        Args:
            speed: seconds of session per second of wall time; None = as fast as the machine can.
            on_status: called about five times a second when paced, once a simulated minute when not.

        Raises:
            UsageError: the speed is not above 0, or an engine runs already in this home.
            EngineFault: the run ended in a fault.
        """
        if speed is not None and not 0 < speed <= MAX_SPEED:
            raise UsageError(
                found=f"speed {speed:g}",
                expected=f"a factor above 0 and up to {MAX_SPEED:g}, or max",
                hint="try --speed max",
            )
        self._publish()
        with ExitStack() as opened:
            place = RunPlace(self._home)
            opened.callback(place.close)
            supervisor = self._supervise()
            opened.callback(supervisor.close)
            server = OperatorServer(place, self._port(supervisor), self._clock)
            opened.pop_all()  # from here on the end of the run lets go of them
        ended: SessionStatus | None = None
        try:
            async with self._hot_data(supervisor) as self._hot:
                result, ended = await self._on_books(supervisor, speed, on_status)
                return result
        except EngineFault as fault:
            ended = "FAULT"
            supervisor.fail(fault.code, fault.found, "engine")
            raise
        finally:
            self._inbox.close()
            server.close(ended)
            supervisor.close()

    async def _on_books(
        self, supervisor: Supervisor, speed: float | None, on_status: Callable[[Status], object] | None
    ) -> "tuple[BacktestResult, SessionStatus]":
        """Open the books, run the session on them, and close them; say how it ended."""
        self._store.open()
        closes = PaperClose(self._config, self._home, self._clock)
        try:
            for outcome in closes.catch_up(self._store):
                self._on_close(supervisor, outcome)
            books = self._open_books()
            closes.begin(books.session.account_id, self.day)
        except BaseException:
            self._store.close()
            raise
        started_ns = self._clock.monotonic_ns()
        try:
            with self._kept_ticks():
                status: SessionStatus = "STOPPED" if await self._to_the_end(speed, started_ns, on_status) else "DONE"
            result = finish(
                books,
                self._session,
                self._catalog,
                wall_ns=self._clock.monotonic_ns() - started_ns,
                clock=self._clock,
                status=status,
            )
        except BaseException:  # an interrupt too: the next run in this process needs journal and database
            break_off(books, self._session, clock=self._clock)
            raise
        supervisor.on_books(self._store.condition())
        account = books.session.account_id
        self._on_close(supervisor, closes.close(account, self.day, self._session, self._store, supervisor, result))
        return result, status

    def _on_close(self, supervisor: Supervisor, outcome: "CloseOutcome") -> None:
        """Keep what came of a close; one that stands is a matter of safety."""
        self.closes.append(outcome)
        if outcome.failed is not None:
            supervisor.on_code(outcome.failed.code, str(outcome), "close")

    def _kept_ticks(self) -> "AbstractContextManager[object]":
        """Keep the ticks of the session as the configuration says; what goes wrong is heard of with the books."""
        if self._secrets is None:
            return nullcontext()
        return kept_ticks(self._session.core, self._config, self._home, self._clock, self._secrets, self._store.report)

    def _hot_data(self, supervisor: Supervisor) -> HotData:
        """Return what keeps the cache up to date with this run."""
        secrets, password = self._secrets, None
        if secrets is not None and REDIS_PASSWORD in secrets:
            password = secrets.require([REDIS_PASSWORD])[REDIS_PASSWORD].get_secret_value()
        return HotData.open(
            self._config,
            self._session,
            self._catalog,
            self._clock,
            self.day,
            account=_ACCOUNT,
            password=password,
            supervisor=supervisor,
        )

    def _supervise(self) -> Supervisor:
        """Open both states of this home and put the session under them."""
        supervisor = Supervisor.open(
            self._config,
            self._home,
            self._open_ns,
            self._clock,
            account=_ACCOUNT,
            equity=self._cash,
            in_session=self._session.in_session,
        )
        self._supervisor = supervisor
        self._session.supervise(supervisor)
        check = Reconciliation(self._session, self._store, self._catalog, self._inbox, self._clock)
        supervisor.safety.add_check(check)
        return supervisor

    def _port(self, supervisor: Supervisor) -> OperatorPort:
        """Return what the operator can reach. A configuration that did not come from files cannot be reloaded."""
        reload = None
        if self._files is not None:
            reloader = ConfigReloader(
                self._files,
                self._config,
                clock=self._clock,
                apply=self._reconfigure,
                audit=supervisor.record_reload,
                open_positions=lambda: len(self._session.core.positions()),
                on_invalid=lambda error: supervisor.fail("FS003", str(error), "reload", effect="FAIL"),
                safety_state=lambda: supervisor.safety.state.name,
            )
            reload = PaperReload(reloader, self._inbox)
        pools = self._session.capital
        return OperatorPort(
            engine=self._controls,
            safety=SafetyDesk(supervisor.safety),
            state=StateDesk(supervisor.state, supervisor.market),
            reload=reload,
            capital=None if pools is None else PaperCapital(pools, supervisor, self._inbox),
        )

    def _reconfigure(self, config: QtsConfig) -> None:
        self._session.reconfigure(config)
        self._controls.reconfigured(config)

    def _publish(self) -> None:
        self._controls.publish(self._session, self._catalog, stopping=self._stopping, progress=self._done())

    async def _to_the_end(
        self, speed: float | None, started_ns: int, on_status: Callable[[Status], object] | None
    ) -> bool:
        """Run until the session is over; return whether it was asked to stop."""
        stop_sent = False
        outcome = "until"
        while outcome != "end":
            if self._stopping and not stop_sent:
                stop_sent = True
                self._session.stop()
            until_ns = await self._pace(speed, started_ns)
            outcome = self._session.advance(None if stop_sent else until_ns)
            self._session.supervisor.poll()
            self._session.supervisor.on_books(self._store.condition())
            if self._hot is not None:
                self._hot.publish()
            self._inbox.run_due()
            self._publish()
            if on_status is not None:
                on_status(self.status())
        return stop_sent

    async def _pace(self, speed: float | None, started_ns: int) -> int:
        """Wait until the next step is due and return the engine time to run to."""
        now_ns = self._session.core.now_ns or self._open_ns
        if speed is None:
            await asyncio.sleep(0)
            return now_ns + _MAX_STEP_NS
        # Each step takes in all that has become due since the last, so that nothing is gained by looking more often.
        await asyncio.sleep(_STEP_NS / 1e9)
        elapsed_ns = self._clock.monotonic_ns() - started_ns
        return max(self._open_ns + int(elapsed_ns * speed), now_ns)

    def _done(self) -> float:
        now_ns, span_ns = self._session.core.now_ns or self._open_ns, max(1, self._close_ns - self._open_ns)
        return min(1.0, max(0.0, (now_ns - self._open_ns) / span_ns))

    def status(self) -> Status:
        """Return where the session stands."""
        core, last = self._session.core, self._session.last
        now_ns = core.now_ns or self._open_ns
        safety = None if self._supervisor is None else self._supervisor.safety.snapshot()
        return Status(
            ts_ns=now_ns,
            phase=self._session.phase(now_ns),
            records=core.records,
            fills=self._session.fills,
            equity=last.equity if last is not None and last.equity else core.cash,
            cash=core.cash,
            money_scale=self._money_scale,
            positions=len(core.positions()),
            working_orders=self._session.pipeline.working_orders,
            done=self._done(),
            safety=None if safety is None else safety.state.name,
            safety_code="" if safety is None else safety.last_code,
            operating=None if self._supervisor is None else self._supervisor.state.current_state.value,
        )
