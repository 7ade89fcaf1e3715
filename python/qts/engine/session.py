"""One run of the engine: an account, a venue, a pipeline, and the books they leave behind."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Literal

from qts._core import EngineError, SourceError, StepEngine
from qts.broker import SimBroker
from qts.codes import DataError, EngineFault
from qts.data import FillRow, OrderRow
from qts.engine.capital import CapitalDesk
from qts.engine.closing import SessionClose, Wiring, actions_of
from qts.engine.execution import STAGE_METRICS, SteppedExecutions
from qts.engine.execution_market import StepMarket
from qts.engine.execution_records import ExecutionRecorder
from qts.engine.settings import execution_settings, latency_ns, pipeline_settings, queue_settings
from qts.engine.supervisor import Supervisor
from qts.engine.trips import RoundTrips
from qts.instruments import Held, adjusted_price
from qts.ops.close import StaleMark, stale_marks
from qts.pipeline import EngineAccount, EngineMarket, Pipeline, SessionClock
from qts.strategy.contracts import Terms

if TYPE_CHECKING:
    from qts._core import FillEvent, OrderEvent
    from qts.broker.contracts import Track
    from qts.broker.interfaces import BrokerPort
    from qts.capital.config import CapitalFlowConfig
    from qts.capital.metrics import ClosedTrade
    from qts.clock import Clock
    from qts.config import QtsConfig
    from qts.data import RunStore
    from qts.instruments import Calendar, Catalog, SessionPhase, Split
    from qts.ops.report import RunRecorder
    from qts.pipeline.contracts import Cause, CycleResult, SentOrder
    from qts.pipeline.orders import OrderBook
    from qts.state.history import DailyClose
    from qts.strategy import Strategy

_FILLS: Final = frozenset({"FILL_PARTIAL", "FILL_CONFIRMED"})

_OUTSIDE: Final = frozenset({"PREPARE", "CLOSE_SET", "MONITOR"})
"""Phases in which the market does not trade."""

_FRESH_SESSIONS: Final = 5
"""Sessions for which a holding may be without a price before it is told at the end of a run."""

_MS_NS: Final = 1_000_000

_CHART_SAMPLES: Final = 4_000
"""Prices per symbol that a chart holds, about."""

Progress = Callable[[int, int], object]
"""Called now and then with records handled and fills booked so far."""


class Session:
    """Everything of one run, wired: the core calls the pipeline, the pipeline orders, the books record.

    Args:
        config: resolved configuration.
        catalog: the instruments of the run, all in the account's currency.
        calendars: the calendar of each instrument; the index is the instrument id.
        strategies: what decides, each with the ids of the instruments that it trades.
        cash: starting cash in money units.
        clock: measures; never decides.
        store: where fills, orders and equity are recorded.
        recorder: what the report is made of.
        prev_close: closes of the session before the first one, by instrument id.
        vol_closes: recorded closes of the volatility index, for a run that nobody else supervises.
        pools: how the account is divided among the tracks; None: it is one pool.
        with_executions: whether decisions of SCALP go through executions; False: each is one order.
    """

    def __init__(
        self,
        *,
        config: "QtsConfig",
        catalog: "Catalog",
        calendars: "Sequence[Calendar]",
        strategies: "Sequence[tuple[Strategy, Sequence[int]]]",
        cash: int,
        clock: "Clock",
        store: "RunStore",
        recorder: "RunRecorder",
        prev_close: Mapping[int, int] | None = None,
        vol_closes: "Sequence[DailyClose] | None" = None,
        pools: "CapitalFlowConfig | None" = None,
        with_executions: bool = True,
    ) -> None:
        self._catalog = catalog
        self._store = store
        self.recorder = recorder
        self._samples = 0
        self._sample_every = 1
        self._unsampled = 0
        self.fills = 0
        self.last: CycleResult | None = None
        timing: dict[str, Any] = {**latency_ns(config)}
        self.core = StepEngine(catalog.core, cash=cash, queues=queue_settings(config), **timing)
        self._sessions = SessionClock(calendars)
        self._market = EngineMarket(self.core, prev_close)
        self._currency = catalog.currency(catalog.by_id(0).currency)
        self._config = config
        self._cash = cash
        self._vol_closes = vol_closes
        self.calendar = calendars[0]
        """Calendar of the first instrument's market: whose sessions are opened and closed."""
        self.pools = pools
        """How the account is divided among the tracks; None: it is one pool."""
        self._day = ""
        self._marks: dict[int, int] = {}
        self._trips = RoundTrips()
        self._supervisor: Supervisor | None = None
        self.on_order: Callable[[SentOrder], object] | None = None
        """Told of every order that has changed, after the books."""
        self.terms = [_terms(catalog, number) for number in range(len(catalog))]
        self.capital: CapitalDesk | None = None
        """The pools of the account; None where it is not divided."""
        broker: BrokerPort = SimBroker(self.core)
        if pools is not None:
            self.capital = CapitalDesk(
                self.core,
                pools,
                calendar=self.calendar,
                store=store,
                recorder=recorder,
                supervisor=lambda: self.supervisor,
                value=self._value,
                symbols=[terms.symbol for terms in self.terms],
            )
            broker = self.capital.broker(broker)
        self.closing = SessionClose(
            Wiring(
                core=self.core,
                catalog=catalog,
                calendar=self.calendar,
                actions=actions_of(config, catalog),
                store=store,
                recorder=recorder,
                desk=self.capital,
                clock=clock,
                mark=lambda instrument: self._marks.get(instrument) or self.mark(instrument),
                on_split=self._on_split,
                rebase=self._rebase,
            ),
            cash,
        )
        """Closes the sessions: books compared, trades settled, dividends and splits, the day of the pools."""
        self.executions: SteppedExecutions | None = None
        """What carries out decisions of SCALP; None where each is one order."""
        self._clock = clock
        self.pipeline = Pipeline(
            strategies,
            self.terms,
            market=self._market,
            account=EngineAccount(self.core),
            broker=broker,
            rules=catalog.core,
            sessions=self._sessions,
            log=recorder,
            clock=clock,
            metrics=self.core,
            config=pipeline_settings(config, self._currency),
            switches=lambda: self.supervisor.switches(),
            stance=lambda: self.supervisor.stance(),
            capital=self.capital,
            decisions=store,
            executions=self._make_executions if with_executions else None,
        )
        for interval_ns in self.pipeline.bar_intervals_ns():
            self.core.add_bar_series(interval_ns)
        self.core.set_tick_handlers(self.pipeline.tick_handlers())
        self.core.set_cycle_handler(self._on_cycle)
        self.core.set_p0_handler(self._on_p0)

    def _make_executions(self, orders: "OrderBook") -> SteppedExecutions:
        config, core = self._config, self.core
        market = StepMarket(
            self._market,
            self._catalog.core,
            self._sessions,
            lambda: core.now_ns or 0,
            config.strategies.scalp.max_quote_age_ms * _MS_NS,
            lambda instrument: self.pipeline.adv(instrument),
        )
        self._market.on_bars = market.take_bars
        self.executions = SteppedExecutions(
            core,
            orders,
            terms=self.terms,
            markets=[instrument.calendar for instrument in self._catalog],
            market=market,
            sessions=self._sessions,
            supervisor=lambda: self.supervisor,
            store=self._store,
            recorder=ExecutionRecorder(self._store, self.recorder.on_execution),
            config=execution_settings(config),
            timer=self._clock.monotonic_ns,
            metric=lambda stage, took_ns: core.record_metric(STAGE_METRICS[stage], took_ns),
            capital=self.capital,
        )
        return self.executions

    def advance(
        self, until_ns: int | None = None, *, max_records: int | None = None
    ) -> Literal["until", "pause", "end"]:
        """Run on; see `_core.StepEngine.run`.

        Raises:
            DataError: the input is at fault; everything up to the bad row has been handled.
            EngineFault: the engine or a stage of the pipeline cannot go on.
        """
        try:
            return self.core.run(until_ns, max_records=max_records)
        except SourceError as error:
            raise data_error(error, self._catalog) from None
        except EngineError as error:
            raise EngineFault(
                "FS070",
                found=str(error),
                expected="order table, venue and book agree",
                hint="report this as a defect",
            ) from None

    def reconfigure(self, config: "QtsConfig") -> None:
        """Go by the switches, hard limits and quote ages of another configuration from the next cycle on.

        What else it says holds from the next start on. Call it between two calls of `advance`.
        """
        self.pipeline.reconfigure(pipeline_settings(config, self._currency))
        self._config = config
        if self._supervisor is not None:
            self._supervisor.reconfigure(config)

    @property
    def supervisor(self) -> Supervisor:
        """What holds safety and operating state: what `supervise` was given, else one of the first cycle's making.

        Raises:
            RuntimeError: there was neither.
        """
        if self._supervisor is None:
            raise RuntimeError("nothing has run yet that could be supervised")
        return self._supervisor

    def supervise(self, supervisor: Supervisor) -> None:
        """Put the run under `supervisor`; before its first cycle."""
        self._supervisor = supervisor
        # From here on the core itself refuses what the safety word forbids, and looks again right before the write.
        self.core.gateway.attach_safety(supervisor.safety.word)

    def in_session(self, ts_ns: int) -> bool:
        """Whether the first instrument's market trades at a moment. On a day that no calendar knows it is taken to."""
        try:
            return self.phase(ts_ns) not in _OUTSIDE
        except DataError:
            return True

    def stop(self) -> None:
        """End the input here; the next `advance` ends day orders, runs one last cycle and returns "end"."""
        self.core.stop()

    def _on_cycle(self, cause: "Cause", scheduled_ns: int, intents: list[tuple[int, Any]]) -> None:
        supervisor = self._supervisor
        if supervisor is None:
            supervisor = Supervisor.in_memory(
                self._config,
                scheduled_ns,
                equity=self._cash,
                in_session=self.in_session,
                vol_closes=self._vol_closes,
            )
            self.supervise(supervisor)
        self._roll(scheduled_ns)
        if cause != "EVENT":
            supervisor.observe(scheduled_ns, self._sessions.session_date(scheduled_ns))
        result = self.pipeline.on_cycle(cause, scheduled_ns, intents)
        self.last = result
        if result.equity:
            self._marks.update(result.marks)
        supervisor.on_cycle(result)
        for decision in result.decisions:
            self.recorder.on_action(decision.purpose, "SENT" if decision.action != "NONE" else decision.reason)
        if cause != "EVENT" and result.equity:
            self.recorder.on_equity(scheduled_ns, result.cash, result.market_value)
            self._chart(scheduled_ns)

    def _roll(self, ts_ns: int) -> None:
        """Close the session before and open that of `ts_ns`, if it is another."""
        day = self._sessions.session_date(ts_ns)
        if day == self._day:
            return
        self.close_day(day)
        self._day = day
        if self.capital is not None:
            self.capital.open_day(ts_ns)

    def close_day(self, next_day: str = "") -> None:
        """Close the session that is open, as of its last cycle. A second time changes nothing.

        `next_day` is the next session of which there are data; empty = the run is over.
        """
        if not self._day:
            return
        terms = self.terms
        rows = [
            (track, terms[instrument].symbol, self._value(instrument, qty, cost))
            for instrument, track, qty, cost, _ in self.core.positions()
        ]
        self.recorder.on_holdings(self._day, rows)
        self.closing.close(date.fromisoformat(self._day), date.fromisoformat(next_day) if next_day else None)
        self._day = ""

    def _rebase(self, split: "Split", from_ns: int) -> None:
        """See prices from before a split as they compare with those after it."""
        self.pipeline.rebase(split, from_ns)
        mark = self._marks.get(split.instrument)
        if mark is not None:
            self._marks[split.instrument] = adjusted_price(mark, [split])

    def _chart(self, ts_ns: int) -> None:
        """Record the prices of the symbols that have one, up to what the charts hold.

        A long run is sampled ever more rarely: a chart has no room for more, and looking costs more than the cycle.
        """
        self._unsampled += 1
        if self._unsampled < self._sample_every:
            return
        self._unsampled = 0
        self._samples += 1
        if self._samples >= _CHART_SAMPLES:
            self._samples //= 2
            self._sample_every *= 2
        for instrument in self._catalog:
            if self.recorder.charts(instrument.symbol):
                price = self.mark(instrument.id)
                if price > 0:
                    self.recorder.on_price(instrument.symbol, ts_ns, price)

    def mark(self, instrument: int) -> int:
        """Return what a unit would bring now: the bid, else the last trade; 0 if neither is known."""
        quote = self._market.quote(instrument)
        return quote.bid or quote.last

    def stale_marks(self) -> list[StaleMark]:
        """Return the holdings that have had no price for more than a week, as of the last cycle."""
        core, sessions = self.core, self._sessions
        held = [Held(self.terms[row[0]].symbol, row[1], row[2]) for row in core.positions()]
        if not held or core.now_ns is None:
            return []
        seen = {
            self.terms[row[0]].symbol: date.fromisoformat(sessions.session_date(quote.ts_ns))
            for row in core.positions()
            if (quote := core.quote(row[0])).ts_ns
        }
        day = date.fromisoformat(sessions.session_date(core.now_ns))
        try:
            return stale_marks(held, seen, day, self.calendar, fresh_sessions=_FRESH_SESSIONS)
        except DataError:
            return []  # on days that no calendar knows nothing can be counted

    def _value(self, instrument: int, qty: int, cost: int) -> int:
        """Return what a holding was worth in the last cycle that saw it; one without a price counts at its cost."""
        price = self._marks.get(instrument, 0)
        return self.terms[instrument].value(price, qty) if price > 0 else cost

    def phase(self, ts_ns: int) -> "SessionPhase":
        """Return the session phase of the first instrument's market."""
        return self._sessions.phase(0, ts_ns)

    def _on_p0(self, event: "FillEvent | OrderEvent") -> None:
        if self.capital is not None:
            self.capital.on_p0(event)
        order = self.pipeline.on_p0(event)
        if order is None:
            return
        if event.kind in _FILLS:
            self._on_fill(event, order)  # type: ignore[arg-type]  # told apart by its kind
        self._store.record_order(_order_row(order))
        if self.on_order is not None:
            self.on_order(order)
        if self.executions is not None:
            self.executions.on_p0(event, order)

    def _on_split(self, instrument: int, track: "Track", qty: int, cash_in_lieu: int, day: "date") -> None:
        self._on_trade(self._trips.on_split(instrument, track, qty, cash_in_lieu, day))

    def _on_trade(self, trade: "ClosedTrade | None") -> None:
        if trade is None:
            return
        self.supervisor.on_trade(trade)
        if self.capital is not None:
            self.capital.on_trade(trade)

    def _on_fill(self, fill: "FillEvent", order: "SentOrder") -> None:
        self.fills += 1
        self._on_trade(self._trips.on_fill(fill, self.calendar.session_date(fill.ts_exec_ns)))
        row = FillRow(
            trade_date=self._sessions.session_date(fill.ts_exec_ns),
            order_id=fill.order_id,
            exec_ref=str(fill.exec_seq),
            ts_ns=fill.ts_recv_ns,
            ts_exec_ns=fill.ts_exec_ns,
            decision_id=order.decision_id,
            symbol=fill.symbol,
            track=fill.track,
            side=fill.side,
            qty=fill.qty,
            price=fill.price,
            amount=fill.amount,
            fee=fill.fee,
            tax=fill.tax,
            cum_qty=fill.cumulative,
            reason=order.reason,
            strategy=order.strategy_id,
        )
        self.closing.on_fill(row)
        self._store.record_fill(row)


def _terms(catalog: "Catalog", number: int) -> Terms:
    instrument = catalog.by_id(number)
    return Terms.of(
        number,
        instrument.symbol,
        instrument.lot,
        instrument.price_scale,
        instrument.qty_scale,
        instrument.money_scale,
    )


def _order_row(order: "SentOrder") -> OrderRow:
    request, response = order.request, order.response
    return OrderRow(
        order_id=response.broker_order_id,
        ts_ns=order.sent_ns,
        decision_id=order.decision_id,
        symbol=request.symbol,
        track=request.track,
        side=request.side,
        kind=request.order_type,
        tif=request.tif,
        qty=request.qty,
        limit_price=request.limit_price,
        state=response.status,
        filled_qty=response.filled_qty,
        amount=response.amount,
        end_reason=response.message,
        strategy=order.strategy_id,
        updated_ns=order.updated_ns,
        client_order_id=request.client_order_id,
    )


def data_error(error: SourceError, catalog: "Catalog") -> DataError:
    """Return what is wrong with an input in the user's words."""
    path, line, column, found, expected = error.args
    where = path if not line else f"{path}:{line}"
    if column == "symbol":
        hint = "add it to reference/instruments.yaml, or leave such rows out with --skip-bad-rows"
        expected = f"a symbol that trades in {catalog.by_id(0).currency}, the currency of the account"
    elif "gzip" in expected:
        hint = "fetch or pack the file again: it was cut off or damaged on its way"
    elif line > 1:
        hint = "mend the row, or count such rows instead with --skip-bad-rows"
    else:
        hint = "see docs/howto.md for the file formats"
    column_text = f"column {column}: " if column else ""
    return DataError(found=f"{column_text}{found}", expected=expected, hint=hint, where=where)
