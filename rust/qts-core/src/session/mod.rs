//! The stepped engine: one thread, a simulated clock, the same queues, gate, matcher and book as everywhere.
//!
//! [`StepEngine::advance`] moves simulated time from one thing that is due to the next. At one instant the venue's
//! messages come first, then market data, then timers, then cycles, and whatever they put on a queue is handled before time moves
//! on, higher levels first. What the host (the language above) has to see is handed over one item at a time: it acts
//! on each before anything later exists, so nothing can be seen early.

mod native;
mod orders;
mod timers;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::clock::Clock;
use crate::dispatch::{DispatchConfig, Dispatcher};
use crate::event::{
    CycleCause, EventPriority, EventType, MarketRecord, MetricId, OrderId, P0Event, P0Payload, P1Event,
    P2Event, P3Event, P3Payload, PutResult, Source, TickPayload,
};
use crate::fixed::{FixedError, Money};
use crate::instrument::{InstrumentId, InstrumentTable};
use crate::market::bars::{Bar, BarSeriesError};
use crate::market::source::{MarketSource, RecordLog, SourceError};
use crate::market::tap::PriceTap;
use crate::order::gateway::{Answer, Gateway, GatewayConfig, GatewayConfigError, SharedGateway};
use crate::order::{OrderError, Refusal};
use crate::sim::latency::LatencyModel;
use crate::sim::matcher::BookReport;
use crate::sim::venue::Venue;

use native::Native;
pub use native::StageMetrics;
use timers::Timers;

/// What a stepped engine is built from.
#[derive(Debug)]
pub struct SessionConfig {
    /// Cash to start with, in money units of the account currency.
    pub cash: Money,
    /// Time an order or a cancel takes to the venue.
    pub latency_out: LatencyModel,
    /// Time an answer takes back.
    pub latency_in: LatencyModel,
    /// Grid of pipeline cycles in nanoseconds; 0 = no timer. A cycle is due at the first grid point at or after a
    /// market record; without records there are none, so that nights and weekends cost nothing.
    pub cycle_interval_ns: i64,
    /// Queue capacities and policies.
    pub dispatch: DispatchConfig,
    /// Limits of the account's gateway.
    pub limits: GatewayConfig,
}

/// What the host is asked to handle next.
#[derive(Debug, Clone, Copy)]
pub enum Yield {
    /// A market-data event that has been applied to the tap and the bars.
    Tick(TickPayload),
    /// A fill or the end of an order that has been booked.
    P0(P0Event),
    /// A pipeline cycle is due.
    Cycle {
        /// Why.
        cause: CycleCause,
        /// Engine time it was due, UTC nanoseconds.
        scheduled_ns: i64,
    },
    /// What the venue said about an order that was sent with a permit of its own; the gateway knows it already.
    Answer {
        /// The order.
        order: OrderId,
        /// What it said.
        answer: Answer,
    },
    /// A timer is due.
    Timer,
    /// The record budget of this call is used up; call again to go on.
    Pause,
    /// Everything up to the given time has been handled.
    Reached,
    /// The sources are exhausted, no order works and every message is delivered.
    End,
}

/// Which kinds of item the host wants to see; the others are handled natively and never leave.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools, reason = "one for each kind of item")]
pub struct Interest {
    /// Hand over every market-data event.
    pub ticks: bool,
    /// Hand over fills and order ends.
    pub p0: bool,
    /// Hand over pipeline cycles.
    pub cycles: bool,
    /// Hand over what the venue says about orders that were sent with a permit, fills and ends apart.
    pub answers: bool,
    /// Hand over timers.
    pub timers: bool,
}

/// Why a session cannot go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The input is at fault.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The order table and the venue disagree.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// The account's limits cannot be.
    #[error(transparent)]
    Limits(#[from] GatewayConfigError),
    /// A permit was refused: nothing was sent.
    #[error("the permit is refused: {}", .0.name())]
    Permit(Refusal),
    /// The permit is another gateway's, or for a message that the venue does not know.
    #[error("the permit is not for this venue: {0}")]
    WrongPermit(&'static str),
    /// A figure left its range.
    #[error(transparent)]
    Fixed(#[from] FixedError),
    /// A P0 queue with its spill is full: more events than can be real were produced at one instant.
    #[error("the P0 queue and its spill are full")]
    P0Full,
    /// An event was built with the payload of another type.
    #[error("a {0} event was given the payload of another type")]
    Payload(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Sources still deliver.
    Running,
    /// Sources are exhausted; day orders end, one last cycle is due.
    Closing,
    /// Nothing is left.
    Done,
}

/// One account on one simulated venue, driven by market records.
pub struct StepEngine<C: Clock> {
    instruments: Arc<InstrumentTable>,
    dispatcher: Dispatcher<C>,
    native: Native,
    venue: Venue,
    source: Option<Box<dyn MarketSource + Send + Sync>>,
    next_record: Option<MarketRecord>,
    log: Option<Box<dyn RecordLog + Send + Sync>>,
    reports: Vec<BookReport>,
    cycle_interval_ns: i64,
    cycle_due_ns: Option<i64>,
    timers: Timers,
    /// Orders sent with a permit of their own: who sent them is told what the venue says about them.
    permitted: BTreeSet<u64>,
    records: u64,
    now_ns: i64,
    stage: Stage,
}

impl<C: Clock> fmt::Debug for StepEngine<C> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("StepEngine")
            .field("now_ns", &self.now_ns)
            .field("records", &self.records)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

impl<C: Clock> StepEngine<C> {
    /// An engine on `instruments` that measures its own latencies with `clock`.
    ///
    /// # Errors
    /// [`GatewayConfigError`].
    pub fn new(
        instruments: Arc<InstrumentTable>,
        config: SessionConfig,
        clock: C,
    ) -> Result<Self, GatewayConfigError> {
        let gateway = Gateway::new(Arc::clone(&instruments), config.cash, config.limits)?;
        Ok(Self {
            dispatcher: Dispatcher::new(config.dispatch, clock),
            native: Native::new(instruments.len(), SharedGateway::new(gateway)),
            venue: Venue::new(Arc::clone(&instruments), config.latency_out, config.latency_in),
            timers: Timers::new(instruments.len()),
            instruments,
            source: None,
            next_record: None,
            log: None,
            reports: Vec::with_capacity(64),
            cycle_interval_ns: config.cycle_interval_ns.max(0),
            cycle_due_ns: None,
            permitted: BTreeSet::new(),
            records: 0,
            now_ns: i64::MIN,
            stage: Stage::Running,
        })
    }

    /// Sets where market records come from, in receive order.
    pub fn set_source(&mut self, source: Box<dyn MarketSource + Send + Sync>) {
        self.source = Some(source);
    }

    /// Sets who keeps every record.
    pub fn set_log(&mut self, log: Box<dyn RecordLog + Send + Sync>) {
        self.log = Some(log);
    }

    /// Has the log hand on what it has gathered: nobody knows when the next record comes.
    pub fn flush_log(&mut self) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }

    /// Sets what the host wants to see.
    pub fn set_interest(&mut self, interest: Interest) {
        self.native.interest = interest;
    }

    /// Builds bars of `interval_ns` for every instrument.
    ///
    /// # Errors
    /// [`BarSeriesError::Interval`] unless the interval is positive.
    pub fn add_bar_series(&mut self, interval_ns: i64) -> Result<(), BarSeriesError> {
        self.native.bars.add_series(interval_ns)
    }

    /// Moves on until the host is needed, `until_ns` is reached, `max_records` records are used up, or the end.
    ///
    /// # Errors
    /// The first error of a source, the gate or the book; the engine must not be used further.
    pub fn advance(&mut self, until_ns: i64, max_records: u32) -> Result<Yield, SessionError> {
        let mut budget = max_records;
        loop {
            if let Some(item) = self.native.outbox.pop_front() {
                return Ok(item);
            }
            if self.handle_waiting()? {
                continue;
            }
            if budget == 0 {
                return Ok(Yield::Pause);
            }
            match self.next_due()? {
                Some(due) if due.at_ns > until_ns => {
                    self.now_ns = self.now_ns.max(until_ns);
                    return Ok(Yield::Reached);
                }
                Some(due) => {
                    budget = budget.saturating_sub(1);
                    self.now_ns = self.now_ns.max(due.at_ns);
                    self.carry_out(due.what)?;
                }
                None if self.stage == Stage::Done => return Ok(Yield::End),
                None => self.close(),
            }
        }
    }

    /// Handles one batch of the highest level that has anything waiting; false if all are empty.
    fn handle_waiting(&mut self) -> Result<bool, SessionError> {
        for level in EventPriority::ALL {
            if self.dispatcher.depth(level) > 0 {
                // A paused level keeps what it has and handles nothing.
                if self.dispatcher.step(level, self.now_ns, &mut self.native)? > 0 {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The next thing that is due; at one instant the venue comes before the market and the market before timers.
    fn next_due(&mut self) -> Result<Option<Due>, SessionError> {
        if self.next_record.is_none()
            && let Some(source) = self.source.as_mut()
        {
            self.next_record = source.next()?;
            if self.next_record.is_none() {
                self.source = None;
            }
        }
        if self.next_record.is_none() && self.stage == Stage::Running {
            self.timers.end_of_data();
        }
        let mut due = self.venue.next_due_ns().map(|at_ns| Due { at_ns, what: What::Venue });
        for (at_ns, what) in [
            (self.next_record.as_ref().map(|record| record.ts_recv_ns), What::Record),
            (self.timers.next_due_ns(), What::Timer),
            (self.cycle_due_ns, What::Cycle),
        ] {
            if let Some(at_ns) = at_ns
                && due.is_none_or(|earliest| at_ns < earliest.at_ns)
            {
                due = Some(Due { at_ns, what });
            }
        }
        Ok(due)
    }

    fn carry_out(&mut self, what: What) -> Result<(), SessionError> {
        match what {
            What::Venue => {
                self.venue.advance_to(self.now_ns);
                self.take_reports()
            }
            What::Record => match self.next_record.take() {
                Some(record) => self.on_record(&record),
                None => Ok(()),
            },
            What::Timer => {
                self.timers.fire(self.now_ns);
                if self.native.interest.timers {
                    self.native.outbox.push_back(Yield::Timer);
                }
                Ok(())
            }
            What::Cycle => {
                self.cycle_due_ns = None;
                self.request_cycle(CycleCause::Interval);
                Ok(())
            }
        }
    }

    #[inline]
    fn on_record(&mut self, record: &MarketRecord) -> Result<(), SessionError> {
        self.records = self.records.wrapping_add(1);
        if let Some(log) = &mut self.log {
            log.put(record);
        }
        self.venue.on_record(record);
        if record.closes_session() {
            self.venue.end_session_of(record.instrument, self.now_ns);
        }
        let payload = self.native.tap.apply(record);
        self.native.bars.on_record(record)?;
        if self.cycle_due_ns.is_none() && self.cycle_interval_ns > 0 {
            self.cycle_due_ns = Some(ceil_to_grid(self.now_ns, self.cycle_interval_ns));
        }
        self.dispatcher.put_p1(P1Event::tick(payload));
        // With no latency a match is known at once; the report goes on P0 and is handled before the tick.
        self.take_reports()?;
        // Behind every answer that is on its way back by now, among them those to this record.
        let answered_ns = self.venue.last_report_ns().map_or(self.now_ns, |at_ns| at_ns.max(self.now_ns));
        self.timers.on_record(record, self.now_ns, answered_ns);
        Ok(())
    }

    fn put_p0(&mut self, kind: EventType, source: Source, payload: P0Payload) -> Result<(), SessionError> {
        let event = P0Event::new(kind, source, payload).ok_or(SessionError::Payload(kind.name()))?;
        match self.dispatcher.put_p0(event) {
            PutResult::Accepted | PutResult::Spilled => Ok(()),
            _ => Err(SessionError::P0Full),
        }
    }

    /// Asks for a pipeline cycle now. At most one is pending: a second wish merges into the first.
    pub fn request_cycle(&mut self, cause: CycleCause) {
        self.dispatcher.put_p2(P2Event::cycle_start(cause, self.now_ns));
    }

    /// Asks for a [`Yield::Timer`] at `at_ns`, or as soon as time moves on if that is past.
    ///
    /// Where an instrument has never shown a quote there is no market to wait in between its records: its timer fires
    /// behind its first record at or after `at_ns`, once what that did to orders is known. What is pending when the data
    /// end fires then, in its order, as do timers set meanwhile for no later than the last of them; none fires after the
    /// session has been closed.
    pub fn set_timer(&mut self, instrument: InstrumentId, at_ns: i64) {
        self.timers.set(instrument, at_ns);
    }

    /// Has timers wait for the next record of their instrument, whether it shows quotes or not: of bars that are played
    /// as prints, nothing is known between two of them.
    pub const fn wait_for_prints(&mut self) {
        self.timers.wait_for_prints();
    }

    /// Records how long a pipeline stage took, as a `METRIC_RECORD` event.
    pub fn record_metric(&mut self, metric: MetricId, value_ns: u64) {
        self.dispatcher.put_p3(P3Event::new(P3Payload::Metric { id: metric, value_ns }));
    }

    /// Ends the input here: day orders end, one last cycle runs, then [`Yield::End`].
    pub fn stop(&mut self) {
        self.source = None;
        self.next_record = None;
    }

    /// One step of the way from "no more input" to "nothing is left".
    fn close(&mut self) {
        match self.stage {
            Stage::Running => {
                self.stage = Stage::Closing;
                self.timers.close();
                self.venue.end_session(self.now_ns);
                self.request_cycle(CycleCause::Interval);
            }
            // The last cycle may have sent orders; the session is over for them too.
            Stage::Closing if !self.native.gateway.lock().orders().is_empty() => {
                self.venue.end_session(self.now_ns);
            }
            Stage::Closing | Stage::Done => self.stage = Stage::Done,
        }
    }

    /// Bars that closed since the last call.
    pub fn take_closed_bars(&mut self, out: &mut Vec<Bar>) {
        self.native.bars.drain(self.now_ns, out);
    }

    /// Engine time, UTC nanoseconds; the smallest value before the first record.
    pub const fn now_ns(&self) -> i64 {
        self.now_ns
    }

    /// Market records handled.
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// The instruments.
    pub fn instruments(&self) -> &Arc<InstrumentTable> {
        &self.instruments
    }

    /// Latest prices.
    pub const fn tap(&self) -> &PriceTap {
        &self.native.tap
    }

    /// Orders, positions, cash and pools.
    pub const fn gateway(&self) -> &SharedGateway {
        &self.native.gateway
    }

    /// Queues, counters and latencies.
    pub const fn dispatcher(&self) -> &Dispatcher<C> {
        &self.dispatcher
    }

    /// Latencies of the pipeline stages.
    pub const fn metrics(&self) -> &StageMetrics {
        &self.native.metrics
    }
}

#[derive(Debug, Clone, Copy)]
struct Due {
    at_ns: i64,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Venue,
    Record,
    Timer,
    Cycle,
}

/// The first multiple of `grid_ns` at or after `ts_ns`.
fn ceil_to_grid(ts_ns: i64, grid_ns: i64) -> i64 {
    match ts_ns.rem_euclid(grid_ns) {
        0 => ts_ns,
        past => ts_ns.saturating_add(grid_ns.saturating_sub(past)),
    }
}

#[cfg(test)]
mod tests;
