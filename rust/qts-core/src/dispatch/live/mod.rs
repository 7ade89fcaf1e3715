//! The live dispatcher: the four queues with threads of their own, so that nothing below P0 can delay it.
//!
//! | Threads | Work |
//! |---|---|
//! | P0, one | express lane, P0, spill; tries a failed event again in place |
//! | P1, one for each shard | market data in batches |
//! | P2 and P3, four together | P2 first; at most two hold P3 work at once |
//! | monitor, one | depths, back-pressure, silent threads, stuck handlers |
//!
//! Handlers run on the thread of their level. None of these threads ever enters Python: what Python handles is handed
//! over through a handler that only passes it on.

mod config;
mod event;
mod figures;
mod handlers;
mod holds;
mod inputs;
mod lost;
mod low;
mod monitor;
mod p0;
mod p1;
mod threads;
mod ticks;
mod watch;
mod workers;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use config::{Batch, LiveConfig, Thresholds};
pub use event::{HEAP_PAYLOAD_MAX, Header, HeapEvent, Oversized, SLOT_PAYLOAD_MAX, SLOT_WORDS, SlotEvent};
pub use figures::TypeLatency;
pub use handlers::{DeadLetter, Delivery, Handler};
pub use holds::{Cause, Holds};
pub use inputs::{P0Input, P1Input};
pub use lost::LostSignals;
pub use monitor::{Alert, Depths, Grade, Measures, Monitor};
pub use ticks::{TICK_BYTES, TICK_FIELDS, TickBatch, TickBytes, TickFault, tick_record};

use crate::clock::Clock;
use crate::event::{DegradationLevel, EventPriority, EventType, PutResult};
use crate::queue::{BoundedQueue, ProducerKind, QueueCounters};
use crate::safety::SafetyWord;
use crate::sync::{AtomicU64, AtomicUsize, Condvar, Mutex, Ordering, Padded, Signal, lock};
use figures::{Desk, Figures};
use handlers::{DeadLetters, Registry};
use low::{Limits, Low};

use super::{Slot, Slots};

/// Which thread starts: whoever runs the dispatcher may give it a priority and a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each name says it")]
pub enum Role {
    P0,
    P1 { shard: usize },
    Worker,
    Monitor,
}

/// What the dispatcher needs from outside, and tells it. Called from several threads; must not block.
///
/// Its clock is the one clock of the dispatcher.
pub trait Outside: Clock + Send + Sync {
    /// Something that the operator or the safety state should know.
    fn alert(&self, alert: Alert);

    /// Called at the start of each thread, on it.
    fn thread_started(&self, role: Role) {
        let _ = role;
    }

    /// Writes a P0 event to the journal before it is admitted; the number under which it stands there, `None` without
    /// a journal.
    ///
    /// # Errors
    /// Why it is not written; the event is handled all the same and entries are blocked.
    fn journal(&self, event: &SlotEvent) -> Result<Option<u64>, String> {
        let _ = event;
        Ok(None)
    }

    /// Writes a protected event of P3 for which there is no room to the journal, as an audit record; whether it stands
    /// there, which needs a journal.
    ///
    /// # Errors
    /// Why it is not written; entries are blocked.
    fn keep(&self, event: &HeapEvent) -> Result<bool, String> {
        let _ = event;
        Ok(false)
    }

    /// Events of a level that have left its queue and still wait to be handled, as those on their way to Python do: for
    /// depth alerts and back-pressure they count as waiting.
    fn waiting(&self, level: EventPriority) -> usize {
        let _ = level;
        0
    }

    /// Marks the P0 event of that number as done.
    ///
    /// # Errors
    /// Why the mark is not written: the event will come again after a restart. Entries are blocked.
    fn journal_done(&self, seq: u64) -> Result<(), String> {
        let _ = seq;
        Ok(())
    }
}

/// Where a dispatcher is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum State {
    /// Not started: only P0 is let in.
    Stopped = 0,
    /// Everything is let in.
    Running = 1,
    /// Stopping: only P0 is let in.
    Draining = 2,
    /// Over: nothing is let in.
    Closed = 3,
}

impl State {
    const ALL: [Self; 4] = [Self::Stopped, Self::Running, Self::Draining, Self::Closed];
}

/// Why a dispatcher cannot be set up or started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LiveError {
    /// Two handlers of one name.
    #[error("two handlers named {name:?} on {level:?}, expected each name once")]
    DuplicateHandler {
        /// Where.
        level: EventPriority,
        /// Which name.
        name: String,
    },
    /// Nobody handles P0.
    #[error("no handler on P0, expected at least one: nothing that happens to an order may go unheard")]
    NoP0Handler,
    /// It has been started before.
    #[error("the dispatcher has been started before, expected a new one")]
    NotNew,
    /// The system refused a thread.
    #[error("a thread cannot be started ({0})")]
    Thread(String),
}

/// What stopping left behind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StopReport {
    /// P0 events that were not handled in time; the journal has them.
    pub p0_left: usize,
    /// P2 events discarded.
    pub p2_discarded: usize,
    /// P3 events discarded.
    pub p3_discarded: usize,
    /// Threads whose handler has not come back; they were left behind.
    pub stuck_threads: usize,
}

/// What the dispatcher's threads and inputs share.
struct Shared {
    config: LiveConfig,
    outside: Box<dyn Outside>,
    p0: BoundedQueue<SlotEvent>,
    p1: p1::P1,
    /// P0 events for which even the spill had no room.
    overflow: Mutex<Vec<SlotEvent>>,
    overflow_len: AtomicUsize,
    low: Mutex<Low>,
    low_wake: Condvar,
    slots: Mutex<Slots>,
    effective: Padded<AtomicUsize>,
    /// How often P1 has been paused.
    p1_pauses: AtomicU64,
    state: AtomicUsize,
    batch_factor: [AtomicUsize; 2],
    dead_letters: Mutex<DeadLetters>,
    holds: Arc<Holds>,
    /// Counts up with every fault, so that the monitor looks at once.
    faults: AtomicU64,
    journal_failures: AtomicU64,
    /// Windows in which P0 and P1 were too slow.
    isolation_violations: [AtomicU64; 2],
    /// Figures of the P0 thread, then of each P1 thread.
    desks: Box<[Desk]>,
    /// When each of those threads was last heard of, monotonic nanoseconds.
    heartbeats: Box<[Padded<AtomicU64>]>,
    alive: AtomicUsize,
    gone: Signal,
    threads: threads::Crew,
}

/// The four queues and their threads.
pub struct LiveDispatcher {
    shared: Arc<Shared>,
    handlers: Mutex<[Registry; 4]>,
}

impl fmt::Debug for LiveDispatcher {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("LiveDispatcher")
            .field("state", &self.state())
            .field("level", &self.effective_level())
            .finish_non_exhaustive()
    }
}

impl LiveDispatcher {
    /// A dispatcher that has not started. P0 is let in already, and handled once it has.
    pub fn new(config: LiveConfig, outside: Box<dyn Outside>) -> Self {
        Self::under(config, outside, None)
    }

    /// The same, which raises `word` with the code of each fault of its own, at the instant it blocks entries for it.
    pub fn under(config: LiveConfig, outside: Box<dyn Outside>, word: Option<Arc<SafetyWord>>) -> Self {
        let p0 = BoundedQueue::new(
            config.p0_capacity,
            config.p0_spill_capacity,
            config.p0_protected_producers,
            config.p0_ordinary_producers,
        );
        let rows = config.p1_shards.max(1).saturating_add(1);
        let mut low = Low::new(&config);
        low.figures
            .prepare(EventType::ALL.into_iter().filter(|kind| kind.priority() >= EventPriority::P2Medium));
        let [p0_limit_ms, p1_limit_ms] = config.isolation_p99_ms;
        let desk = |row: usize| {
            let (level, limit_ms) = match row {
                0 => (EventPriority::P0Critical, p0_limit_ms),
                _ => (EventPriority::P1High, p1_limit_ms),
            };
            Desk::new(EventType::ALL.into_iter().filter(|kind| kind.priority() == level), limit_ms)
        };
        let shared = Shared {
            p0,
            p1: p1::P1::new(&config),
            overflow: Mutex::new(Vec::new()),
            overflow_len: AtomicUsize::new(0),
            low: Mutex::new(low),
            low_wake: Condvar::new(),
            slots: Mutex::new(Slots::default()),
            effective: Padded::default(),
            p1_pauses: AtomicU64::new(0),
            state: AtomicUsize::new(State::Stopped as usize),
            batch_factor: [AtomicUsize::new(1), AtomicUsize::new(1)],
            dead_letters: Mutex::new(DeadLetters::new(config.dead_letters)),
            holds: Arc::new(Holds::under(word)),
            faults: AtomicU64::new(0),
            journal_failures: AtomicU64::new(0),
            isolation_violations: [AtomicU64::new(0), AtomicU64::new(0)],
            desks: (0..rows).map(desk).collect(),
            heartbeats: (0..rows).map(|_| Padded::default()).collect(),
            alive: AtomicUsize::new(0),
            gone: Signal::default(),
            threads: threads::Crew::default(),
            config,
            outside,
        };
        Self { shared: Arc::new(shared), handlers: Mutex::default() }
    }

    /// Adds a handler for events of a level; they are called in the order of their registration. Only before the start.
    ///
    /// # Errors
    /// [`LiveError::DuplicateHandler`], or [`LiveError::NotNew`] once it has started.
    pub fn register(&self, level: EventPriority, handler: Arc<dyn Handler>) -> Result<(), LiveError> {
        if self.state() != State::Stopped {
            return Err(LiveError::NotNew);
        }
        let name = handler.name().to_owned();
        let mut handlers = lock(&self.handlers);
        let is_new = handlers.get_mut(level as usize).is_some_and(|registry| registry.add(handler));
        if is_new { Ok(()) } else { Err(LiveError::DuplicateHandler { level, name }) }
    }

    /// Starts the threads. `replay` are the P0 events that the journal holds as not done; they are handled before
    /// anything else.
    ///
    /// # Errors
    /// [`LiveError`]; nothing runs then.
    pub fn start(&self, replay: Vec<SlotEvent>) -> Result<(), LiveError> {
        let handlers = std::mem::take(&mut *lock(&self.handlers));
        let [p0, ..] = &handlers;
        if self.state() != State::Stopped {
            return Err(LiveError::NotNew);
        }
        if p0.is_empty() {
            *lock(&self.handlers) = handlers;
            return Err(LiveError::NoP0Handler);
        }
        threads::start(&self.shared, handlers, replay)?;
        self.shared.state.store(State::Running as usize, Ordering::SeqCst);
        Ok(())
    }

    /// A way in for one producer of P0; None once all of that kind have been given out.
    pub fn p0_input(&self, kind: ProducerKind) -> Option<P0Input> {
        P0Input::new(&self.shared, kind)
    }

    /// A way in for one producer of P1; None once all have been given out.
    pub fn p1_input(&self) -> Option<P1Input> {
        P1Input::new(&self.shared)
    }

    /// Admits an event of P2 or P3; never waits for room.
    pub fn put(&self, event: HeapEvent) -> PutResult {
        self.shared.put_low(event)
    }

    /// Sets the level that `slot` asks for; the highest of all slots counts at once.
    pub fn set_slot(&self, slot: Slot, level: DegradationLevel) {
        self.shared.set_slot(slot, level);
    }

    /// The level in force.
    pub fn effective_level(&self) -> DegradationLevel {
        self.shared.effective()
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        self.shared.state()
    }

    /// Stops in order: P1 to P3 are no longer let in, P0 is emptied, then the threads end. What P0 holds after
    /// `p0_drain_ms` stays in the journal. A thread whose handler does not come back is left behind.
    pub fn stop(&self) -> StopReport {
        threads::stop(&self.shared)
    }

    /// Events waiting on each level.
    pub fn depths(&self) -> [usize; 4] {
        self.shared.depths()
    }

    /// What became of the events of each level. Expired signals count as such on P2.
    pub fn counters(&self) -> [QueueCounters; 4] {
        let [p2, p3] = lock(&self.shared.low).counters();
        [self.shared.p0.counters(), self.shared.p1.counters(), p2, p3]
    }

    /// Latencies by type. P1 is sampled, one event in 16.
    pub fn latencies(&self) -> BTreeMap<EventType, TypeLatency> {
        self.shared.figures().latencies()
    }

    /// Handlers that failed, and events that no handler wanted.
    pub fn failures(&self) -> (u64, u64) {
        let figures = self.shared.figures();
        (figures.handler_errors, figures.unhandled)
    }

    /// Events that were given up, oldest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        lock(&self.shared.dead_letters).all()
    }

    /// Signals that were refused, purged or expired since the last call: what was not acted on.
    pub fn take_lost_signals(&self) -> Vec<HeapEvent> {
        lock(&self.shared.low).signals_lost.take()
    }

    /// How many of those were discarded because nobody fetched them in time.
    pub fn lost_signals_discarded(&self) -> u64 {
        lock(&self.shared.low).signals_lost.discarded()
    }

    /// The words that block entries: whoever sends an order reads them right before it leaves.
    pub fn holds(&self) -> Arc<Holds> {
        Arc::clone(&self.shared.holds)
    }

    /// Takes a cause away once it has been dealt with; false if it still stands. After [`Cause::P1Failed`] P1 is built
    /// again, and stays down if there is no memory for it.
    pub fn release(&self, cause: Cause) -> bool {
        if cause == Cause::P1Failed && !self.shared.p1.revive(&self.shared.config) {
            return false;
        }
        self.shared.holds.release(cause);
        self.shared.wake_monitor();
        true
    }

    /// Says that a mark could not be written for an event whose handling ended elsewhere; as if `Outside::journal_done`
    /// had failed.
    pub fn journal_failed(&self) {
        self.shared.journal_failed();
    }

    /// P0 events, marks and protected P3 events that could not be written to the journal.
    pub fn journal_failures(&self) -> u64 {
        self.shared.journal_failures.load(Ordering::Relaxed)
    }

    /// Windows in which P0 and P1 were slower than the isolation of the levels allows.
    pub fn isolation_violations(&self) -> [u64; 2] {
        let [p0, p1] = &self.shared.isolation_violations;
        [p0.load(Ordering::Relaxed), p1.load(Ordering::Relaxed)]
    }
}

impl Drop for LiveDispatcher {
    fn drop(&mut self) {
        if self.state() != State::Closed {
            self.stop();
        }
    }
}

impl Shared {
    fn now_ns(&self) -> u64 {
        self.outside.monotonic_ns()
    }

    fn state(&self) -> State {
        State::ALL.get(self.state.load(Ordering::SeqCst)).copied().unwrap_or(State::Closed)
    }

    fn effective(&self) -> DegradationLevel {
        match self.effective.load(Ordering::Acquire) {
            0 => DegradationLevel::Normal,
            1 => DegradationLevel::P3Paused,
            2 => DegradationLevel::P2P3Paused,
            _ => DegradationLevel::CriticalOnly,
        }
    }

    fn set_slot(&self, slot: Slot, level: DegradationLevel) {
        let mut slots = lock(&self.slots);
        let before = slots.effective();
        let after = slots.set(slot, level);
        if before == after {
            return;
        }
        if after == DegradationLevel::CriticalOnly {
            self.p1_pauses.fetch_add(1, Ordering::Release);
        }
        self.effective.store(after as usize, Ordering::Release);
        if before < DegradationLevel::P2P3Paused && after >= DegradationLevel::P2P3Paused {
            // What waits there would be decided on old data later.
            lock(&self.low).purge_p2();
        }
        drop(slots);
        self.low_wake.notify_all();
        self.outside.alert(Alert::Level { level: after });
    }

    fn put_low(&self, mut event: HeapEvent) -> PutResult {
        if self.state() != State::Running {
            return PutResult::Closed;
        }
        event.header.t_enqueue_ns = self.now_ns();
        let put = lock(&self.low).put(event, self.effective() < DegradationLevel::P2P3Paused);
        self.low_wake.notify_one();
        put.unwrap_or_else(|event| self.keep(&event))
    }

    /// Keeps a protected event of P3 for which there is no room: `Spilled` if it stands in the journal, `RefusedFull` if
    /// not. Counted either way.
    #[cold]
    fn keep(&self, event: &HeapEvent) -> PutResult {
        let is_kept = self.outside.keep(event).unwrap_or_else(|_| {
            self.journal_failed();
            false
        });
        lock(&self.low).count_left(is_kept)
    }

    fn depths(&self) -> [usize; 4] {
        let [p2, p3] = lock(&self.low).depths();
        let p0 = self.p0.len().saturating_add(self.overflow_len.load(Ordering::Acquire));
        [p0, self.p1.len(), p2, p3]
    }

    /// What the monitor looks at.
    fn seen(&self) -> Depths {
        // The count first: what is found full later is news at the next look.
        let p0_full = self.p0.full_count();
        let mut depth = self.depths();
        for (depth, level) in depth.iter_mut().zip(EventPriority::ALL) {
            *depth = depth.saturating_add(self.outside.waiting(level));
        }
        let mut seen = Depths { depth, p0_full, ..Depths::default() };
        for (row, desk) in self.desks.iter().enumerate() {
            let at = row.min(1);
            let (measured, slow) = desk.counts();
            for (sum, count) in [(seen.measured.get_mut(at), measured), (seen.slow.get_mut(at), slow)] {
                if let Some(sum) = sum {
                    *sum = sum.saturating_add(count);
                }
            }
        }
        seen
    }

    fn figures(&self) -> Figures {
        let mut sum = Figures::default();
        for desk in &self.desks {
            desk.add_to(&mut sum);
        }
        sum.add(&lock(&self.low).figures);
        sum
    }

    /// Blocks entries, and decisions where the cause asks for it; true if it did not stand before.
    fn fail(&self, cause: Cause) -> bool {
        let is_new = self.block(cause);
        self.wake_monitor();
        is_new
    }

    fn block(&self, cause: Cause) -> bool {
        self.holds.raise(cause, || self.now_ns())
    }

    fn wake_monitor(&self) {
        self.faults.fetch_add(1, Ordering::AcqRel);
        self.gone.notify();
    }

    /// Marks a P0 event as done; one without a number is not in the journal.
    fn done(&self, event: &SlotEvent) {
        if event.header.seq != 0 && self.outside.journal_done(event.header.seq).is_err() {
            self.journal_failed();
        }
    }

    /// Told once, until it is released: the journal fails for everybody at once.
    #[cold]
    fn journal_failed(&self) {
        self.journal_failures.fetch_add(1, Ordering::Relaxed);
        if self.fail(Cause::Journal) {
            self.outside.alert(Alert::JournalFailed);
        }
    }

    fn batch_factor(&self, at: usize) -> usize {
        self.batch_factor.get(at).map_or(1, |factor| factor.load(Ordering::Relaxed).max(1))
    }

    fn limits(&self, now_ns: u64) -> Limits {
        let (level, config) = (self.effective(), &self.config);
        let is_open = self.state() == State::Running;
        let max_age_ns = u64::from(config.p2_max_event_age_ms).saturating_mul(1_000_000);
        Limits {
            p2_runs: level < DegradationLevel::P2P3Paused && is_open,
            p3_runs: level < DegradationLevel::P3Paused && is_open,
            p3_max_workers: config.p3_max_workers,
            p2_batch: config.p2_batch.size.max(1).saturating_mul(self.batch_factor(1)),
            p3_batch: config.p3_batch.size.max(1),
            expired_before_ns: now_ns.saturating_sub(max_age_ns),
        }
    }
}

const fn millis(ms: u32) -> Duration {
    Duration::from_millis(ms as u64)
}
