"""The books around a run: opened before it, closed and made a result after it."""

import hashlib
from contextlib import suppress
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Final, NamedTuple

from qts.capital.config import CapitalFlowConfig
from qts.codes import EngineFault
from qts.data import CurrencyRow, InstrumentRow, SessionRow
from qts.engine.execution import STAGE_METRICS
from qts.engines import PerformanceSettings, trading_days_per_year
from qts.engines.performance import account_value
from qts.ops.report import BacktestResult, DataRow, FaultFigure, PositionFigure, RunFigures
from qts.pipeline.contracts import STAGES

if TYPE_CHECKING:
    from qts.clock import Clock
    from qts.data import RunStore
    from qts.data.contracts import SessionStatus
    from qts.engine.session import Session
    from qts.instruments import Catalog

_BROKER: Final = "sim"
_STAGES: Final = {number: name for name, number in STAGE_METRICS.items()}
"""Stages of executions by the number under which the core keeps what they took."""


class Books(NamedTuple):
    """An open session in a store."""

    store: "RunStore"
    session: SessionRow


def open_books(
    store: "RunStore",
    catalog: "Catalog",
    *,
    mode: str,
    strategy: str,
    cash: int,
    config_hash: str,
    clock: "Clock",
    account: str = "backtest",
) -> Books:
    """Register the instruments and open a session on an account of its own."""
    currency = catalog.currency(catalog.by_id(0).currency)
    started_ns = clock.now_ns()
    run_id = hashlib.blake2b(f"{config_hash}|{strategy}|{started_ns}".encode(), digest_size=8).hexdigest()
    session = SessionRow(
        session_id=run_id,
        mode=mode,
        strategy=strategy,
        broker=_BROKER,
        account_id=f"{account}-{run_id}",
        currency=currency.code,
        cash_start=cash,
        started_ns=started_ns,
        config_hash=config_hash,
    )
    store.register(
        [CurrencyRow(currency.code, currency.scale)],
        [
            InstrumentRow(row.symbol, row.name, row.currency, row.price_scale, row.qty_scale, row.money_scale)
            for row in catalog
        ],
    )
    store.begin_session(session)
    return Books(store, session)


def finish(
    books: Books,
    session: "Session",
    catalog: "Catalog",
    *,
    wall_ns: int,
    clock: "Clock",
    status: "SessionStatus" = "DONE",
) -> BacktestResult:
    """Close the books of a run that is over and return its result."""
    core, pipeline = session.core, session.pipeline
    session.close_day()
    if session.executions is not None:
        session.executions.finish(core.now_ns or 0)
    session.recorder.finish()
    decision_hash = pipeline.decision_hash
    books.store.end_session(status, ended_ns=clock.now_ns(), cash_end=core.cash, decision_hash=decision_hash)
    fees, taxes, realized = core.flows()
    positions = core.positions()
    value = account_value(
        core.cash,
        [(instrument, qty, cost) for instrument, _, qty, cost, _ in positions],
        session.terms.__getitem__,
        session.mark,
    )
    latency = core.latency()
    figures = RunFigures(
        run_id=books.session.session_id,
        mode=books.session.mode,
        strategy=books.session.strategy,
        config_hash=books.session.config_hash,
        decision_hash=decision_hash,
        data=[
            DataRow(row["path"], row["rows"], row["bad_rows"], row["first_ts_ns"], row["last_ts_ns"])
            for row in core.inputs()
        ],
        wall_s=wall_ns / 1e9,
        records=core.records,
        currency=books.session.currency,
        cash_start=books.session.cash_start,
        cash_end=core.cash,
        market_value=value.market_value,
        fees=fees,
        taxes=taxes,
        realized=realized,
        unrealized=value.unrealized,
        events=core.counters(),  # type: ignore[arg-type]  # a TypedDict is a mapping of its values
        latency_ns={_measured(name): row for name, row in latency.items()},  # type: ignore[misc]  # as above
        order_counts={name: count for name, count in core.order_counts().items() if name != "SUBMITTED_TOTAL"},
        positions=[
            PositionFigure(catalog.by_id(instrument).symbol, track, qty, cost)
            for instrument, track, qty, cost, _ in positions
        ],
        risk_actions=session.recorder.actions,
        cycles={
            "outcomes": pipeline.loop.outcomes,
            "over_budget": pipeline.budgets.breaches,
            "over_target": pipeline.budgets.above_target,
        },
        faults=[
            FaultFigure(fault.code, fault.source, fault.message, fault.count, fault.suspended)
            for fault in pipeline.faults()
        ]
        + [
            FaultFigure(mark.report[0], "close", str(mark), mark.sessions, suspended=False)
            for mark in session.stale_marks()
        ],
        states=list(session.supervisor.changes) if session.last is not None else [],
        executions=None if session.executions is None else session.executions.counts.figures(),
        performance=_performance(session),
        capital=session.pools or CapitalFlowConfig(),
    )
    return BacktestResult(figures, session.recorder, books.store, catalog)


def _measured(name: str) -> str:
    """Return what a row of latencies is about: a level, a stage of the pipeline, or one of executions."""
    if not name.isdigit():
        return name
    number = int(name)
    return STAGES[number - 1] if number <= len(STAGES) else f"exec_{_STAGES[number].lower()}"


def _performance(session: "Session") -> PerformanceSettings:
    """Return the parameters of the statistics: a year has as many sessions as the calendar's years of the run."""
    settings, days = PerformanceSettings(), session.recorder.days()
    if not days:
        return settings
    first, last = (date.fromisoformat(day.day) for day in (days[0], days[-1]))
    count = trading_days_per_year(session.calendar, first, last)
    return settings if count is None else replace(settings, trading_days_per_year=count)


def break_off(books: Books, session: "Session", *, clock: "Clock") -> None:
    """Close the books of a run that a fault has ended: what has happened is written, the session says FAULT."""
    with suppress(EngineFault):  # the fault that ended the run is the one to tell; this may be its consequence
        books.store.end_session(
            "FAULT",
            ended_ns=clock.now_ns(),
            cash_end=session.core.cash,
            decision_hash=session.pipeline.decision_hash,
        )
    session.recorder.close()
    books.store.close()
