//! The live dispatcher for Python. None of its threads enters Python: what Python handles waits in outboxes until a
//! thread that Python owns drains them.

mod config;
mod host;
mod outbox;
mod ticks;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use qts_core::clock::Clock;
use qts_core::dispatch::Slot;
use qts_core::dispatch::live::{
    Cause, LiveDispatcher, LiveError, P0Input, P1Input, SlotEvent, State, TickBatch,
};
use qts_core::event::{DegradationLevel, EventPriority, PutResult};
use qts_core::market::source::RecordLog;
use qts_core::queue::ProducerKind;
use qts_io::clock::{HostClock, utc_ns};
use qts_io::p0log::{P0Log, events_to_replay};
use qts_io::threads::Threads;
use qts_io::tickspool::{SymbolRow, TickTap};

use crate::buffer::bytes_of;
use crate::carried::{self, Carried, OutRow, WireEvent};
use crate::safety::SafetyWord;
use crate::tickspool::TickSpool;
use crate::{errors, journal};
use host::{AlertRow, Alerts, Host, Keeper};
use outbox::{Batch, Outbox, Outboxes, RoomMaker, Terms};

/// What can be released.
const CAUSES: &str = "FS063, FS095, FS096, FS097 or FS098";
/// A producer that waits for room looks for Python's signals this often.
const SLICE_NS: u64 = 50_000_000;
/// And for room, should nobody tell it.
const LOOK: Duration = Duration::from_millis(1);

/// Kind, source, sequence number, `ts_ns`, id, payload, handler, error, attempts.
type LetterRow<'py> = (u8, u8, u64, i64, Bound<'py, PyBytes>, Bound<'py, PyBytes>, String, String, u8);

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The four queues with their threads. Every method may be called from any Python thread.
#[pyclass(module = "qts._core", frozen)]
pub(crate) struct LiveBus {
    dispatcher: LiveDispatcher,
    /// Held only for puts that do not wait.
    p0: Mutex<P0Input>,
    p1: Mutex<P1Input>,
    alerts: Arc<Alerts>,
    outboxes: Arc<Outboxes>,
    p0_capacity: usize,
    /// Python listens to P0.
    hears_p0: Arc<AtomicBool>,
    threads: Arc<Threads>,
    log: Option<P0Log>,
    /// What the journal holds as not done, until the start.
    replay: Mutex<Vec<SlotEvent>>,
    raises_safety: bool,
    /// Keeps the records of ticks.
    tap: Mutex<Option<TickTap>>,
}

#[pymethods]
impl LiveBus {
    /// A dispatcher that has not started; `settings` are named as in the specification of the dispatcher. With a
    /// `journal` directory P0 events are written there before they are admitted, and what is not done there is handled
    /// first after the start. What is done may go: when it is old enough, or its room is needed. `safety` is raised with
    /// each fault of the dispatcher's own.
    #[new]
    #[pyo3(signature = (settings=None, journal=None, safety=None))]
    fn new(
        py: Python<'_>,
        settings: Option<&Bound<'_, PyDict>>,
        journal: Option<PathBuf>,
        safety: Option<&SafetyWord>,
    ) -> PyResult<Self> {
        let config::Settings { live: config, cores, journal: limits } = config::settings(settings)?;
        let (log, replay) = match journal {
            None => (None, Vec::new()),
            Some(path) => {
                let (journal, recovery) =
                    py.detach(|| journal::open(&path, limits)).map_err(journal::error)?;
                (Some(P0Log::new(Arc::new(journal))), events_to_replay(&recovery.unfinished))
            }
        };
        let hears_p0 = Arc::<AtomicBool>::default();
        let alerts = Arc::<Alerts>::default();
        let keeper = Arc::new(Keeper::new(log.clone(), &alerts));
        let outboxes = Arc::new(Outboxes::new(&config, &alerts, &keeper)?);
        let p0_capacity = config.p0_capacity;
        let threads = Arc::new(Threads::new(cores));
        let host = Host {
            alerts: Arc::clone(&alerts),
            outboxes: Arc::clone(&outboxes),
            threads: Arc::clone(&threads),
            log: log.clone(),
            keeper,
            hears_p0: Arc::clone(&hears_p0),
        };
        let word = safety.map(|safety| Arc::clone(&safety.word));
        let raises_safety = word.is_some();
        let dispatcher = LiveDispatcher::under(config, Box::new(host), word);
        let p0 = dispatcher.p0_input(ProducerKind::Ordinary).ok_or_else(no_producer)?;
        let p1 = dispatcher.p1_input().ok_or_else(no_producer)?;
        Ok(Self {
            dispatcher,
            p0: Mutex::new(p0),
            p1: Mutex::new(p1),
            alerts,
            outboxes,
            p0_capacity,
            hears_p0,
            threads,
            log,
            replay: Mutex::new(replay),
            raises_safety,
            tap: Mutex::default(),
        })
    }

    /// Admit one event; returns the number of the result. P0 waits for room up to `timeout_ms` without the
    /// interpreter lock: 0 = it does not, negative = without end.
    #[pyo3(signature = (event, timeout_ms=0))]
    fn dispatch(&self, py: Python<'_>, event: &WireEvent, timeout_ms: i64) -> PyResult<u8> {
        self.put(py, &event.0, timeout_ms)
    }

    /// Admit events in their order; returns the number of each result, one byte each. Nothing is admitted if one of
    /// them is none. What is of P1 goes in without the interpreter lock.
    #[pyo3(signature = (events, timeout_ms=0))]
    fn dispatch_many(&self, events: &Bound<'_, PyList>, timeout_ms: i64) -> PyResult<Vec<u8>> {
        let py = events.py();
        let events: Vec<Bound<'_, WireEvent>> = events.extract()?;
        let events: Vec<&Carried> = events.iter().map(|event| &event.get().0).collect();
        let mut results = Vec::with_capacity(events.len());
        for run in events.chunk_by(|one, next| one.p1().is_some() && next.p1().is_some()) {
            if let [event] = *run {
                results.push(self.put(py, event, timeout_ms)?);
            } else {
                let ticks = run.iter().filter_map(|event| event.p1()).copied();
                py.detach(|| {
                    lock(&self.p1).put_batch(run.len(), ticks, |result| results.push(result as u8));
                });
            }
        }
        Ok(results)
    }

    /// Admit ticks as records, from `bytes` or any other buffer, without the interpreter lock. Symbols have numbers
    /// below `symbols`; identities count up from `first_id`. Returns how many were admitted, how many older ones they
    /// displaced, and how many were refused and found it closed. Nothing is admitted if one record is at fault.
    fn dispatch_ticks(
        &self,
        py: Python<'_>,
        batch: &Bound<'_, PyAny>,
        symbols: u32,
        source: u8,
        first_id: &[u8],
    ) -> PyResult<(u64, u64, u64, u64)> {
        let (source, first_id) = (carried::source(source)?, carried::identity("first_id", first_id)?);
        let bytes = bytes_of(batch)?;
        let bytes = bytes.as_bytes();
        let tally = py.detach(|| {
            let ticks = TickBatch::new(bytes, symbols)?;
            let mut tally = ticks::Tally::default();
            // One way in: the log has the order of the ring, and everything before the ring drops any of it.
            let mut input = lock(&self.p1);
            if let Some(tap) = lock(&self.tap).as_mut() {
                ticks.records(utc_ns()).for_each(|record| tap.put(&record));
                tap.flush();
            }
            input.put_batch(ticks.len(), ticks.events(source, first_id), |result| tally.count(result));
            Ok(tally)
        });
        Ok(tally.map_err(ticks::fault)?.row())
    }

    /// Keep the records of `dispatch_ticks` in `spool`, before the ring can drop any. `symbols` has a row for each number:
    /// symbol, decimals of prices, decimals of quantities.
    fn record_ticks(&self, py: Python<'_>, spool: &TickSpool, symbols: Vec<SymbolRow>) -> PyResult<()> {
        let tap = py.detach(|| spool.core.tap_of(&symbols)).map_err(journal::error)?;
        *lock(&self.tap) = Some(tap);
        Ok(())
    }

    /// Listen to ticks as records, before the start; returns the descriptor that becomes readable when some wait.
    fn subscribe_ticks(&self) -> PyResult<i32> {
        let outbox = &self.outboxes.ticks;
        self.dispatcher
            .register(EventPriority::P1High, Arc::clone(outbox) as _)
            .map_err(|error| live(&error))?;
        Ok(outbox.descriptor())
    }

    /// Take up to `max` ticks as records, oldest first; never waits.
    fn drain_ticks<'py>(&self, py: Python<'py>, max: usize) -> Bound<'py, PyBytes> {
        self.outboxes.ticks.take(py, self.terms(max))
    }

    /// Start the threads; EngineError if nobody has subscribed to P0 or it has been started before.
    fn start(&self) -> PyResult<()> {
        // Whoever makes room must not count as somebody who handles P0.
        if self.hears_p0.load(Ordering::SeqCst) {
            let room = Arc::new(RoomMaker(Arc::clone(&self.outboxes)));
            self.dispatcher.register(EventPriority::P0Critical, room).map_err(|error| live(&error))?;
        }
        let replay = std::mem::take(&mut *lock(&self.replay));
        self.dispatcher.start(replay).map_err(|error| live(&error))
    }

    /// Say that Python has handled the P0 events of these numbers; they will not come again after a restart.
    fn ack(&self, seqs: Vec<u64>) -> PyResult<()> {
        let Some(log) = &self.log else { return Ok(()) };
        // 0: the journal did not take it when it came.
        let marked = seqs.into_iter().filter(|seq| *seq != 0).try_for_each(|seq| log.done(seq));
        marked.map_err(|error| {
            self.dispatcher.journal_failed();
            journal::error(error)
        })
    }

    /// End the journal, after the stop: what it holds is durable then, protected events of P3 that Python has not taken
    /// among it.
    fn close_journal(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| {
            self.outboxes.of(EventPriority::P3Low).keep_rest();
            self.log.as_ref().map_or(Ok(()), P0Log::close)
        })
        .map_err(journal::error)
    }

    /// Whether P0 events are written to a journal.
    #[getter]
    fn is_journaled(&self) -> bool {
        self.log.is_some()
    }

    /// Stop in order, without the interpreter lock: up to `p0_drain_ms` plus twice `p3_drain_ms`. What P0 and the
    /// protected part of P3 hold for Python can be drained afterwards.
    fn stop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (given_up, report) = py.detach(|| (self.outboxes.stopping(), self.dispatcher.stop()));
        let left = PyDict::new(py);
        left.set_item("p0_left", report.p0_left)?;
        left.set_item("p2_discarded", report.p2_discarded.saturating_add(given_up))?;
        left.set_item("p3_discarded", report.p3_discarded)?;
        left.set_item("stuck_threads", report.stuck_threads)?;
        self.outboxes.signal_all();
        Ok(left)
    }

    /// Set the degradation level that a slot asks for: 0 safety, 1 back-pressure, 2 operator.
    fn set_slot(&self, slot: u8, level: u8) -> PyResult<()> {
        let slot = match slot {
            0 => Slot::Safety,
            1 => Slot::Backpressure,
            2 => Slot::Operator,
            _ => return Err(errors::value(format!("slot number {slot}; expected 0 to 2"))),
        };
        let level = match level {
            0 => DegradationLevel::Normal,
            1 => DegradationLevel::P3Paused,
            2 => DegradationLevel::P2P3Paused,
            3 => DegradationLevel::CriticalOnly,
            _ => return Err(errors::value(format!("level number {level}; expected 0 to 3"))),
        };
        self.dispatcher.set_slot(slot, level);
        Ok(())
    }

    /// Number of the degradation level in force.
    fn level(&self) -> u8 {
        self.dispatcher.effective_level() as u8
    }

    /// "STOPPED", "RUNNING", "DRAINING" or "CLOSED".
    fn state(&self) -> &'static str {
        match self.dispatcher.state() {
            State::Stopped => "STOPPED",
            State::Running => "RUNNING",
            State::Draining => "DRAINING",
            State::Closed => "CLOSED",
        }
    }

    /// Events waiting, by level: in the queue, and for Python.
    fn depths(&self) -> Vec<(usize, usize)> {
        let ticks = [0, self.outboxes.ticks.len(), 0, 0];
        let outboxes =
            self.outboxes.all().iter().zip(ticks).map(|(outbox, ticks)| outbox.len().saturating_add(ticks));
        self.dispatcher.depths().into_iter().zip(outboxes).collect()
    }

    /// What became of the events, by level; names that begin with `python_` tell of those on their way to Python.
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let discarded = [0, 0, self.dispatcher.lost_signals_discarded(), 0];
        let ticks = [0, self.outboxes.ticks.dropped(), 0, 0];
        let levels = self.dispatcher.counters().into_iter().zip(self.outboxes.all());
        let rows = levels.zip(discarded.into_iter().zip(ticks));
        rows.map(|((counters, outbox), (signals_discarded, ticks))| {
            let losses = outbox.losses();
            let fields = [
                ("admitted", counters.admitted),
                ("handled", counters.handled),
                ("dropped", counters.dropped),
                ("merged", counters.merged),
                ("sampled_out", counters.sampled_out),
                ("refused", counters.refused),
                ("spilled", counters.spilled),
                ("expired", counters.expired),
                ("signals_discarded", signals_discarded),
                ("python_signals_discarded", outbox.lost_signals_discarded()),
                ("python_dropped", losses.dropped.saturating_add(ticks)),
                ("python_merged", losses.merged),
                ("python_sampled_out", losses.sampled_out),
                ("python_refused", losses.refused),
                ("python_expired", losses.expired),
                ("python_spilled", losses.spilled),
            ];
            numbers(py, &fields)
        })
        .collect()
    }

    /// Codes of the causes for which entries are blocked now.
    fn holds(&self) -> Vec<&'static str> {
        let holds = self.dispatcher.holds();
        Cause::ALL.into_iter().filter(|cause| holds.has(*cause)).map(Cause::code).collect()
    }

    /// Codes with which the safety word is raised, once for each alert of theirs; none without a word.
    #[getter]
    fn raised_codes(&self) -> Vec<&'static str> {
        let raised = |cause: &Cause| self.raises_safety && cause.raises_to().is_some();
        Cause::ALL.into_iter().filter(raised).map(Cause::code).collect()
    }

    /// Take a cause away by its code once it has been dealt with; False if it still stands: after FS097 there is no
    /// memory for a new queue. `ValueError` for a code that blocks nothing here.
    fn release(&self, code: &str) -> PyResult<bool> {
        let cause = Cause::ALL.into_iter().find(|cause| cause.code() == code);
        let cause = cause.ok_or_else(|| errors::value(format!("code {code:?}; expected {CAUSES}")))?;
        Ok(self.dispatcher.release(cause))
    }

    /// How the threads of P0 and P1 are scheduled: "real-time", "high" or "normal".
    fn scheduling(&self) -> (&'static str, &'static str) {
        let [p0, p1] = self.threads.scheduling();
        (p0.name(), p1.name())
    }

    /// Windows in which P0 and P1 were too slow, and P0 events and marks that could not be written to the
    /// journal.
    fn faults(&self) -> (u64, u64, u64) {
        let [p0, p1] = self.dispatcher.isolation_violations();
        (p0, p1, self.dispatcher.journal_failures())
    }

    /// Native handlers that failed, and events that nobody handled.
    fn failures(&self) -> (u64, u64) {
        self.dispatcher.failures()
    }

    /// Latencies in nanoseconds by event type: "wait", "handle" and "total".
    fn latencies<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let table = PyDict::new(py);
        for (kind, latency) in self.dispatcher.latencies() {
            let row = PyDict::new(py);
            for (name, part) in [("wait", latency.wait), ("handle", latency.handle), ("total", latency.total)]
            {
                let fields = [
                    ("n", part.n),
                    ("p50", part.p50_ns),
                    ("p99", part.p99_ns),
                    ("p999", part.p999_ns),
                    ("max", part.max_ns),
                ];
                row.set_item(name, numbers(py, &fields)?)?;
            }
            table.set_item(kind.name(), row)?;
        }
        Ok(table)
    }

    /// Take the alerts given since the last call, oldest first: name and numbers.
    fn alerts<'py>(&self, py: Python<'py>) -> PyResult<Vec<(&'static str, Bound<'py, PyDict>)>> {
        let rows: Vec<AlertRow> = self.alerts.take();
        rows.into_iter().map(|(name, fields)| Ok((name, numbers(py, &fields)?))).collect()
    }

    /// Events that native handlers gave up, oldest first.
    fn dead_letters<'py>(&self, py: Python<'py>) -> Vec<LetterRow<'py>> {
        let letters = self.dispatcher.dead_letters().into_iter();
        letters
            .map(|letter| {
                let header = &letter.header;
                (
                    header.kind as u8,
                    carried::source_number(header.source),
                    header.seq,
                    header.ts_ns,
                    PyBytes::new(py, &header.id.to_be_bytes()),
                    PyBytes::new(py, &letter.payload),
                    letter.handler,
                    letter.error,
                    letter.attempts,
                )
            })
            .collect()
    }

    /// Take the signals that were refused, purged or expired since the last call.
    fn lost_signals<'py>(&self, py: Python<'py>) -> Vec<OutRow<'py>> {
        let mut lost = self.dispatcher.take_lost_signals();
        for outbox in self.outboxes.all() {
            lost.append(&mut outbox.take_lost_signals());
        }
        lost.iter().map(|event| carried::heap_row(py, event)).collect()
    }

    /// Listen to a level, before the start. Returns the descriptor that becomes readable when events wait; it belongs
    /// to this object and lives as long.
    fn subscribe(&self, level: u8) -> PyResult<i32> {
        let priority = priority(level)?;
        let outbox = self.outbox(level)?;
        self.dispatcher.register(priority, Arc::clone(outbox) as _).map_err(|error| live(&error))?;
        if priority == EventPriority::P0Critical {
            self.hears_p0.store(true, Ordering::SeqCst);
        }
        Ok(outbox.descriptor())
    }

    /// Take up to `max` events of a level, in their order; never waits.
    fn drain<'py>(&self, py: Python<'py>, level: u8, max: usize) -> PyResult<Vec<OutRow<'py>>> {
        Ok(match self.outbox(level)?.take(self.terms(max)) {
            Batch::Slot(events) => {
                events.iter().map(|event| carried::slot_row(py, &event.header, &event.payload)).collect()
            }
            Batch::Heap(events) => events.iter().map(|event| carried::heap_row(py, event)).collect(),
        })
    }

    /// Make the descriptor of a level readable, as if an event had come.
    fn wake(&self, level: u8) -> PyResult<()> {
        self.outbox(level)?.signal();
        Ok(())
    }
}

impl LiveBus {
    fn terms(&self, max: usize) -> Terms {
        let state = self.dispatcher.state();
        Terms {
            level: self.dispatcher.effective_level(),
            is_open: state == State::Running,
            is_over: state > State::Running,
            max,
        }
    }

    fn put(&self, py: Python<'_>, event: &Carried, timeout_ms: i64) -> PyResult<u8> {
        let result = match event {
            Carried::Heap(event) => self.dispatcher.put(event.clone()),
            Carried::Slot(EventPriority::P0Critical, event) => {
                let prepared = lock(&self.p0).prepare(*event);
                let result = self.place(py, &prepared, timeout_ms)?;
                if let (PutResult::RefusedFull | PutResult::Closed, Some(log)) = (result, &self.log)
                    && prepared.header.seq != 0
                {
                    // Whoever put it knows that it is not in: it must not come back by itself.
                    log.done(prepared.header.seq).map_err(journal::error)?;
                }
                result
            }
            Carried::Slot(_, event) => match self.p1.try_lock() {
                Ok(mut input) => input.put(*event),
                // A batch is on its way in; whoever waits for it must not keep Python waiting.
                Err(_) => py.detach(|| lock(&self.p1).put(*event)),
            },
        };
        Ok(result as u8)
    }

    /// Places a prepared P0 event; waits for room without the interpreter lock and without the way in.
    fn place(&self, py: Python<'_>, event: &SlotEvent, timeout_ms: i64) -> PyResult<PutResult> {
        let first = lock(&self.p0).try_place(event);
        if first != PutResult::RefusedFull || timeout_ms == 0 {
            return Ok(first);
        }
        let limit_ns = u64::try_from(timeout_ms).map_or(u64::MAX, |ms| ms.saturating_mul(1_000_000));
        let begin_ns = HostClock.monotonic_ns();
        loop {
            let waited_ns = HostClock.monotonic_ns().saturating_sub(begin_ns);
            if waited_ns >= limit_ns {
                return Ok(PutResult::RefusedFull);
            }
            let slice_ns = SLICE_NS.min(limit_ns.saturating_sub(waited_ns));
            let result = py.detach(|| self.place_within(event, slice_ns));
            if result != PutResult::RefusedFull {
                return Ok(result);
            }
            py.check_signals()?;
        }
    }

    fn place_within(&self, event: &SlotEvent, slice_ns: u64) -> PutResult {
        let begin_ns = HostClock.monotonic_ns();
        while HostClock.monotonic_ns().saturating_sub(begin_ns) < slice_ns {
            self.outboxes.wait_for_room(LOOK);
            let [depth, ..] = self.dispatcher.depths();
            if depth >= self.p0_capacity && self.dispatcher.state() != State::Closed {
                continue; // a put that cannot succeed would count as refused
            }
            let result = lock(&self.p0).try_place(event);
            if result != PutResult::RefusedFull {
                return result;
            }
        }
        PutResult::RefusedFull
    }

    fn outbox(&self, level: u8) -> PyResult<&Arc<Outbox>> {
        let outboxes = self.outboxes.all();
        outboxes
            .get(usize::from(level))
            .ok_or_else(|| errors::value(format!("level {level}; expected 0 to 3")))
    }
}

fn priority(level: u8) -> PyResult<EventPriority> {
    let found = EventPriority::ALL.get(usize::from(level)).copied();
    found.ok_or_else(|| errors::value(format!("level {level}; expected 0 to 3")))
}

fn numbers<'py>(py: Python<'py>, fields: &[(&str, u64)]) -> PyResult<Bound<'py, PyDict>> {
    let table = PyDict::new(py);
    for (name, value) in fields {
        table.set_item(name, value)?;
    }
    Ok(table)
}

fn live(error: &LiveError) -> PyErr {
    errors::engine(error.to_string())
}

fn no_producer() -> PyErr {
    errors::engine("a new dispatcher has no producer to give")
}
