//! The stepped engine as Python drives it.

mod deliver;
mod setup;

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use qts_core::event::{EventPriority, MetricId, OrderId};
use qts_core::fixed::Money;
use qts_core::instrument::InstrumentId;
use qts_core::market::bars::Bar;
use qts_core::market::source::MergedSource;
use qts_core::order::OrderState;
use qts_core::order::gateway::GatewayConfig;
use qts_core::session::{SessionConfig, SessionError, StepEngine as Core, Yield};
use qts_core::shadow::{PoolError, SplitRow};
use qts_core::sim::latency::LatencyModel;
use qts_io::clock::HostClock;

use deliver::{deliver_answer, deliver_cycle, deliver_p0, deliver_tick, deliver_timer};
use setup::{Callbacks, TickHandler, TickHandlerSpec, queue_config};

use crate::errors;
use crate::gateway::{self, Gateway, PermitRefused, SendPermit};
use crate::instruments::Instruments;
use crate::journal;
use crate::sources::{Exclusive, Input};
use crate::tickspool::TickSpool;
use crate::views::{Quote, TickView, place, track};

/// Records handled between two looks at pending signals (Ctrl-C).
const SIGNAL_CHECK_RECORDS: u32 = 16_384;

/// Instrument, `interval_ns`, `start_ns`, open, high, low, close, volume.
type BarRow = (u32, i64, i64, i64, i64, i64, i64, i64);

/// Track, quantity before and after, cost after, cost written off, rest.
pub(crate) type SplitTuple = (&'static str, i64, i64, i64, i64, i64);

/// A row of a split as Python sees it.
pub(crate) fn split_row(row: &SplitRow) -> SplitTuple {
    let (before, after) = (row.before.0, row.after.qty.0);
    (row.track.name(), before, after, row.after.cost_total.0, row.written_off.0, row.rest)
}

/// A simulated account on a simulated venue, driven by recorded or generated market data on one thread.
///
/// Not for use from several threads at once. Prices, quantities and money are integers in the instrument's scales,
/// times are UTC nanoseconds.
#[pyclass(module = "qts._core")]
pub(crate) struct StepEngine {
    core: Core<HostClock>,
    symbols: Arc<[Py<PyString>]>,
    callbacks: Arc<Callbacks>,
    view: Py<TickView>,
    inputs: Vec<Input>,
    /// Intents returned by tick handlers, with the number of the handler, until their cycle runs.
    pending: Vec<(usize, Py<PyAny>)>,
    started: bool,
    closed_bars: Vec<Bar>,
}

#[pymethods]
impl StepEngine {
    #[new]
    #[pyo3(signature = (instruments, *, cash, latency_out_ns=0, latency_in_ns=0, latency_jitter_ns=0, seed=0, cycle_interval_ns=0, queues=None, limits=None))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments in Python")]
    fn new(
        py: Python<'_>,
        instruments: PyRef<'_, Instruments>,
        cash: i64,
        latency_out_ns: i64,
        latency_in_ns: i64,
        latency_jitter_ns: i64,
        seed: u64,
        cycle_interval_ns: i64,
        queues: Option<&Bound<'_, PyDict>>,
        limits: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        if cycle_interval_ns < 0 {
            return Err(errors::value(format!(
                "cycle interval is {cycle_interval_ns} ns; expected 0 or more"
            )));
        }
        let table = instruments.shared();
        let symbols: Arc<[Py<PyString>]> =
            table.iter().map(|(_, instrument)| PyString::intern(py, instrument.symbol()).unbind()).collect();
        let config = SessionConfig {
            cash: Money(cash),
            latency_out: LatencyModel::new(latency_out_ns, latency_jitter_ns, seed).map_err(errors::value)?,
            // A stream of its own: answers do not shift when the number of orders changes.
            latency_in: LatencyModel::new(latency_in_ns, latency_jitter_ns, !seed).map_err(errors::value)?,
            cycle_interval_ns,
            dispatch: queue_config(queues)?,
            limits: gateway::limits(limits, GatewayConfig::unlimited())?,
        };
        Ok(Self {
            core: Core::new(table, config, HostClock).map_err(errors::value)?,
            view: Py::new(py, TickView::empty(py))?,
            symbols,
            callbacks: Arc::default(),
            inputs: Vec::new(),
            pending: Vec::new(),
            started: false,
            closed_bars: Vec::new(),
        })
    }

    /// Add a tick file (.csv or .csv.gz).
    #[pyo3(signature = (path, *, skip_bad_rows=false))]
    fn add_ticks(&mut self, path: &str, skip_bad_rows: bool) -> PyResult<()> {
        self.add(Input::ticks(path, self.core.instruments(), skip_bad_rows)?)
    }

    /// Add a bar file (.csv or .csv.gz); `sessions` gives (effective_from_ns, open_s, close_s) in KST seconds of day.
    ///
    /// `bridge` (seed, prints a day) plays bars of a day as that many made-up trades between their prices.
    #[pyo3(signature = (path, sessions, *, skip_bad_rows=false, bridge=None))]
    fn add_bars(
        &mut self,
        path: &str,
        sessions: Vec<(i64, u32, u32)>,
        skip_bad_rows: bool,
        bridge: Option<(u64, u32)>,
    ) -> PyResult<()> {
        self.add(Input::bars(path, self.core.instruments(), &sessions, skip_bad_rows, bridge)?)
    }

    /// Add tick rows that arrive as CSV text in chunks, header first.
    #[pyo3(signature = (name, chunks, *, skip_bad_rows=false))]
    fn add_chunks(&mut self, name: &str, chunks: Py<PyAny>, skip_bad_rows: bool) -> PyResult<()> {
        self.add(Input::chunks(name, chunks, self.core.instruments(), skip_bad_rows)?)
    }

    /// Add a synthetic market; see `synth_ticks_csv` for the keys of `config`.
    fn add_synthetic(&mut self, config: &Bound<'_, PyDict>) -> PyResult<()> {
        self.add(Input::synthetic(config, self.core.instruments())?)
    }

    /// Keep every quote and trade in `spool`, before anything else is done with it.
    fn record_ticks(&mut self, spool: &TickSpool) -> PyResult<()> {
        let tap = spool.core.tap(self.core.instruments()).map_err(journal::error)?;
        self.core.set_log(Box::new(tap.patient()));
        Ok(())
    }

    /// Have timers wait for the next record of their instrument, whether it shows quotes or not.
    fn wait_for_prints(&mut self) {
        self.core.wait_for_prints();
    }

    /// Build bars of `interval_ns` for every instrument.
    fn add_bar_series(&mut self, interval_ns: i64) -> PyResult<()> {
        self.core.add_bar_series(interval_ns).map_err(errors::value)
    }

    /// Set who sees each tick: (callable(view) -> intent or None, track name, instrument ids or None for all).
    fn set_tick_handlers(&mut self, handlers: Vec<TickHandlerSpec>) -> PyResult<()> {
        let mut ticks = Vec::with_capacity(handlers.len());
        for (call, track_name, ids) in handlers {
            let mut wanted = Vec::new();
            if let Some(ids) = ids {
                wanted.resize(self.core.instruments().len(), false);
                for id in ids {
                    let slot = usize::try_from(id).ok().and_then(|id| wanted.get_mut(id));
                    *slot.ok_or_else(|| errors::value(format!("instrument id {id} is not known")))? = true;
                }
            }
            ticks.push(TickHandler { call, track: track(&track_name)?, wanted });
        }
        self.callbacks()?.ticks = ticks;
        Ok(())
    }

    /// Set who runs pipeline cycles: callable(cause, scheduled_ns, [(handler number, intent), ...]).
    fn set_cycle_handler(&mut self, call: Py<PyAny>) -> PyResult<()> {
        self.callbacks()?.cycle = Some(call);
        Ok(())
    }

    /// Set who hears of booked fills and ended orders: callable(FillEvent | OrderEvent).
    fn set_p0_handler(&mut self, call: Py<PyAny>) -> PyResult<()> {
        self.callbacks()?.p0 = Some(call);
        Ok(())
    }

    /// Set who hears what the venue says about orders sent with a permit: callable(what, order id, now_ns).
    fn set_answer_handler(&mut self, call: Py<PyAny>) -> PyResult<()> {
        self.callbacks()?.answer = Some(call);
        Ok(())
    }

    /// Set who is called when timers are due: callable(now_ns).
    fn set_timer_handler(&mut self, call: Py<PyAny>) -> PyResult<()> {
        self.callbacks()?.timer = Some(call);
        Ok(())
    }

    /// Have the timer handler called at `at_ns`, or as soon as time moves on if that is past.
    fn set_timer(&mut self, instrument: u32, at_ns: i64) {
        self.core.set_timer(InstrumentId(instrument), at_ns);
    }

    /// Run until `until_ns` ("until"), for about `max_records` records ("pause"), or until nothing is left ("end").
    ///
    /// Blocks; lets go of the interpreter lock except while handlers run. Raises whatever a handler raises.
    #[pyo3(signature = (until_ns=None, *, max_records=None))]
    fn run(slf: &Bound<'_, Self>, until_ns: Option<i64>, max_records: Option<u64>) -> PyResult<&'static str> {
        let result = Self::drive(slf, until_ns, max_records);
        slf.borrow_mut().core.flush_log();
        result
    }

    /// End the input here; the next `run` ends day orders, runs one last cycle and returns "end".
    fn stop(&mut self) {
        self.start();
        self.core.stop();
    }

    /// Engine time, UTC nanoseconds, or None before the first record.
    #[getter]
    fn now_ns(&self) -> Option<i64> {
        (self.core.now_ns() != i64::MIN).then(|| self.core.now_ns())
    }

    /// Cash in money units.
    #[getter]
    fn cash(&self) -> i64 {
        self.core.gateway().lock().book().account().cash.0
    }

    /// Cash held for working buys, in money units.
    #[getter]
    fn reserved_cash(&self) -> i64 {
        self.core.gateway().lock().orders().reserved().0
    }

    /// (fees, taxes, realised profit net of the sales' own costs) so far, in money units.
    fn flows(&self) -> (i64, i64, i64) {
        let account = *self.core.gateway().lock().book().account();
        (account.fees.0, account.taxes.0, account.realized.0)
    }

    /// Send an order through the gate and return its id. A refusal arrives as an ORDER_REJECTED event.
    ///
    /// `limit` is the worst price accepted, also for a market order. `tif` is "DAY" or "IOC". `action` is what the safety
    /// word is asked for; ENTRY or STRATEGY_EXIT by the side if it is not given.
    #[allow(clippy::too_many_arguments, reason = "an order has that many parts")]
    #[pyo3(signature = (instrument, track, side, kind, tif, limit, qty, action=None))]
    fn submit(
        &mut self,
        instrument: u32,
        track: &str,
        side: &str,
        kind: &str,
        tif: &str,
        limit: i64,
        qty: i64,
        action: Option<&str>,
    ) -> PyResult<u64> {
        let request = gateway::wanted(instrument, [track, side, kind, tif], limit, qty)?;
        let sent = match action {
            None => self.core.submit(request),
            Some(name) => self.core.submit_as(request, gateway::action(name)?),
        };
        Ok(sent.map_err(errors::session)?.0)
    }

    /// Send a cancel; False if the order no longer works.
    fn cancel(&mut self, order_id: u64) -> bool {
        self.core.cancel(OrderId(order_id)).is_ok()
    }

    /// The account of the engine: orders, positions, cash, holds and permits, shared.
    #[getter]
    fn gateway(&self) -> Gateway {
        Gateway::sharing(self.core.gateway().clone())
    }

    /// Send what a permit of this engine's gateway permits and return the order's id; PermitRefused if it does not.
    fn send(&mut self, permit: &mut SendPermit) -> PyResult<u64> {
        match self.core.send(&mut permit.permit) {
            Ok(id) => Ok(id.0),
            Err(SessionError::Permit(reason)) => Err(PermitRefused::new_err(reason.name())),
            Err(error @ SessionError::WrongPermit(_)) => Err(errors::value(error)),
            Err(error) => Err(errors::session(error)),
        }
    }

    /// Split the cash of the account among the pools; purchases of a track are bound to its pool from then on.
    fn fund_pools(&mut self, scalp: i64, swing: i64, portfolio: i64) -> PyResult<()> {
        self.core
            .gateway()
            .lock()
            .fund_pools([Money(scalp), Money(swing), Money(portfolio)])
            .map_err(errors::value)
    }

    /// Whether the pools are funded.
    #[getter]
    fn pools_funded(&self) -> bool {
        self.core.gateway().lock().book().is_funded()
    }

    /// (cash, held for working buys, set aside, whether entries are refused) of a pool.
    fn pool_money(&self, track: &str) -> PyResult<(i64, i64, i64, bool)> {
        let track = self::track(track)?;
        let gateway = self.core.gateway().lock();
        let pool = *gateway.book().pool(track).ok_or_else(|| errors::value(PoolError::Unfunded))?;
        let held = gateway.orders().reserved_by_track().of(track);
        Ok((pool.cash.0, held.0, pool.set_aside.0, pool.is_blocked))
    }

    /// Cash that belongs to no pool.
    fn unallocated(&self) -> i64 {
        self.core.gateway().lock().book().unallocated().0
    }

    /// Move free cash between pools; None stands for what is unallocated.
    #[pyo3(signature = (from_pool, to_pool, amount))]
    fn move_pool_cash(
        &mut self,
        from_pool: Option<&str>,
        to_pool: Option<&str>,
        amount: i64,
    ) -> PyResult<()> {
        let (from, to) = (place(from_pool)?, place(to_pool)?);
        self.core.gateway().lock().move_pool_cash(from, to, Money(amount)).map_err(errors::value)
    }

    /// Keep `amount` of a pool from orders and transfers, in place of what was kept so far.
    fn set_aside(&mut self, track: &str, amount: i64) -> PyResult<()> {
        self.core.gateway().lock().set_aside(self::track(track)?, Money(amount)).map_err(errors::value)
    }

    /// Refuse orders that buy for a track, or take them again.
    fn block_entries(&mut self, track: &str, blocked: bool) -> PyResult<()> {
        self.core.gateway().lock().block_entries(self::track(track)?, blocked).map_err(errors::value)
    }

    /// Book external cash (negative: taken away) to a pool, or to what is unallocated.
    #[pyo3(signature = (track, amount))]
    fn credit(&mut self, track: Option<&str>, amount: i64) -> PyResult<()> {
        self.core.gateway().lock().credit(place(track)?, Money(amount)).map_err(errors::value)
    }

    /// What a working order may still cost; 0 once it has ended.
    fn hold_of(&self, order_id: u64) -> i64 {
        self.core.gateway().lock().hold_of(OrderId(order_id)).0
    }

    /// Turn every `denominator` of an instrument held into `numerator`, rounded down to whole lots, at the same cost.
    ///
    /// A row for each track that holds it: (track, quantity before, quantity after, cost after, cost of a holding that
    /// vanished, what did not make a lot in `denominator`ths of a quantity unit).
    fn split(&mut self, instrument: u32, numerator: i64, denominator: i64) -> PyResult<Vec<SplitTuple>> {
        let rows = self.core.gateway().lock().split(InstrumentId(instrument), numerator, denominator);
        Ok(rows.map_err(errors::value)?.iter().map(split_row).collect())
    }

    /// (quantity, cost without fees, opened_ns) of a track's holding.
    fn position(&self, instrument: u32, track: &str) -> PyResult<(i64, i64, i64)> {
        let position =
            self.core.gateway().lock().book().position(InstrumentId(instrument), self::track(track)?);
        Ok((position.qty.0, position.cost_total.0, position.opened_ns))
    }

    /// Every holding: (instrument, track, quantity, cost without fees, opened_ns).
    fn positions(&self) -> Vec<(u32, &'static str, i64, i64, i64)> {
        let gateway = self.core.gateway().lock();
        let open = gateway.book().open();
        open.map(|(id, track, held)| (id.0, track.name(), held.qty.0, held.cost_total.0, held.opened_ns))
            .collect()
    }

    /// Unfilled quantity of working buys and sells of a track.
    fn working(&self, instrument: u32, track: &str) -> PyResult<(i64, i64)> {
        let (buy, sell) =
            self.core.gateway().lock().orders().working_qty(InstrumentId(instrument), self::track(track)?);
        Ok((buy.0, sell.0))
    }

    /// Latest prices of an instrument; zeros where nothing is known.
    fn quote(&self, instrument: u32) -> Quote {
        let latest = self.core.tap().quote(InstrumentId(instrument));
        Quote {
            last: latest.last.0,
            volume: latest.volume.0,
            bid: latest.bid.0,
            bid_qty: latest.bid_qty.0,
            ask: latest.ask.0,
            ask_qty: latest.ask_qty.0,
            ts_ns: latest.ts_recv_ns,
        }
    }

    /// Bars closed since the last call: (instrument, interval_ns, start_ns, open, high, low, close, volume).
    fn take_closed_bars(&mut self) -> Vec<BarRow> {
        let mut bars = std::mem::take(&mut self.closed_bars);
        self.core.take_closed_bars(&mut bars);
        let rows = bars
            .drain(..)
            .map(|bar| {
                (
                    bar.instrument.0,
                    bar.interval_ns,
                    bar.start_ns,
                    bar.open.0,
                    bar.high.0,
                    bar.low.0,
                    bar.close.0,
                    bar.volume.0,
                )
            })
            .collect();
        self.closed_bars = bars;
        rows
    }

    /// Record how long pipeline stage `stage` took, as a METRIC_RECORD event.
    fn record_metric(&mut self, stage: u16, value_ns: u64) {
        self.core.record_metric(MetricId(stage), value_ns);
    }

    /// Per level: admitted, handled, dropped, merged, sampled_out.
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let levels = PyDict::new(py);
        for level in EventPriority::ALL {
            let counters = self.core.dispatcher().counters(level);
            let row = PyDict::new(py);
            row.set_item("admitted", counters.admitted)?;
            row.set_item("handled", counters.handled)?;
            row.set_item("dropped", counters.dropped)?;
            row.set_item("merged", counters.merged)?;
            row.set_item("sampled_out", counters.sampled_out)?;
            levels.set_item(format!("P{}", level as u8), row)?;
        }
        Ok(levels)
    }

    /// Latencies in nanoseconds by level ("P0".."P3") and by stage number (as text): n, p50, p99, p999, max.
    fn latency<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let levels = EventPriority::ALL
            .into_iter()
            .map(|level| (format!("P{}", level as u8), self.core.dispatcher().latency(level)));
        let stages = self.core.metrics().summaries().map(|(id, summary)| (id.0.to_string(), summary));
        let table = PyDict::new(py);
        for (name, summary) in levels.chain(stages) {
            let row = PyDict::new(py);
            row.set_item("n", summary.n)?;
            row.set_item("p50", summary.p50_ns)?;
            row.set_item("p99", summary.p99_ns)?;
            row.set_item("p999", summary.p999_ns)?;
            row.set_item("max", summary.max_ns)?;
            table.set_item(name, row)?;
        }
        Ok(table)
    }

    /// Number of orders that ended in each state, plus "SUBMITTED_TOTAL".
    fn order_counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = PyDict::new(py);
        let (ended, submitted) = {
            let gateway = self.core.gateway().lock();
            (*gateway.orders().ended(), gateway.orders().submitted())
        };
        for (state, count) in OrderState::ALL.into_iter().zip(ended) {
            if state.is_terminal() {
                counts.set_item(state.name(), count)?;
            }
        }
        counts.set_item("SUBMITTED_TOTAL", submitted)?;
        Ok(counts)
    }

    /// Market records handled so far.
    #[getter]
    fn records(&self) -> u64 {
        self.core.records()
    }

    /// What each input delivered so far: path, rows, bad_rows, first_ts_ns, last_ts_ns, bad_row_samples.
    fn inputs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let rows = PyList::empty(py);
        for input in &self.inputs {
            rows.append(input.describe(py, self.core.records())?)?;
        }
        Ok(rows)
    }
}

impl StepEngine {
    fn add(&mut self, input: Input) -> PyResult<()> {
        if self.started {
            return Err(errors::value("the engine has started: inputs can no longer be added"));
        }
        self.inputs.push(input);
        Ok(())
    }

    fn callbacks(&mut self) -> PyResult<&mut Callbacks> {
        Arc::get_mut(&mut self.callbacks)
            .ok_or_else(|| errors::value("the engine is running: handlers can no longer change"))
    }

    fn drive(
        slf: &Bound<'_, Self>,
        until_ns: Option<i64>,
        max_records: Option<u64>,
    ) -> PyResult<&'static str> {
        let py = slf.py();
        let until_ns = until_ns.unwrap_or(i64::MAX);
        let stop_at = max_records.map(|more| slf.borrow().core.records().saturating_add(more));
        slf.borrow_mut().start();
        let (callbacks, symbols) = {
            let this = slf.borrow();
            (Arc::clone(&this.callbacks), Arc::clone(&this.symbols))
        };
        loop {
            // A statement of its own: the borrow ends before Python is called.
            let item = slf.borrow_mut().advance(py, until_ns)?;
            match item {
                Yield::Tick(tick) => deliver_tick(slf, &callbacks, &symbols, tick)?,
                Yield::P0(event) => deliver_p0(py, &callbacks, &symbols, event.kind, &event.payload)?,
                Yield::Answer { order, answer } => deliver_answer(slf, &callbacks, order, answer)?,
                Yield::Timer => deliver_timer(slf, &callbacks)?,
                Yield::Cycle { cause, scheduled_ns } => deliver_cycle(slf, &callbacks, cause, scheduled_ns)?,
                Yield::Pause => {
                    py.check_signals()?;
                    if stop_at.is_some_and(|stop_at| slf.borrow().core.records() >= stop_at) {
                        return Ok("pause");
                    }
                }
                Yield::Reached => return Ok("until"),
                Yield::End => return Ok("end"),
            }
        }
    }

    /// Hands the inputs to the core, once.
    fn start(&mut self) {
        if self.started {
            return;
        }
        self.started = true;
        let sources = self.inputs.iter_mut().filter_map(Input::take_source).collect();
        self.core.set_source(Box::new(Exclusive::new(Box::new(MergedSource::new(sources)))));
        self.core.set_interest(self.callbacks.interest());
    }

    fn advance(&mut self, py: Python<'_>, until_ns: i64) -> PyResult<Yield> {
        let core = &mut self.core;
        let item = if self.callbacks.ticks.is_empty() {
            py.detach(|| core.advance(until_ns, SIGNAL_CHECK_RECORDS))
        } else {
            // Python sees every tick: to let go of the lock and take it again for each would cost more than the tick.
            core.advance(until_ns, SIGNAL_CHECK_RECORDS)
        };
        item.map_err(errors::session)
    }
}
