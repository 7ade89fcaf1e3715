//! Where events wait for Python: filled by the threads of the dispatcher, emptied by a thread that Python owns.
//!
//! A dispatcher thread never waits here and never enters Python. Each level keeps its own overflow policy: P0 loses
//! nothing, P1 gives up the oldest, P2 merges, P3 samples.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use qts_core::clock::Clock;
use qts_core::dispatch::live::{Delivery, Handler, Header, HeapEvent, LiveConfig, LostSignals};
use qts_core::event::{DegradationLevel, EventPriority, EventType, PutResult};
use qts_core::queue::{CollapsingQueue, SamplingQueue};
use qts_io::clock::HostClock;
use rustix::event::{EventfdFlags, eventfd};

use super::host::{Alerts, Keeper};
use super::lock;
use super::ticks::TickOutbox;

/// The P0 outbox is reported at this depth, and again whenever that has doubled.
const P0_DEEP: usize = 4_096;

/// An event of P0 or P1 that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) header: Header,
    pub(crate) payload: Box<[u8]>,
}

/// What waits on a level.
#[derive(Debug)]
enum Store {
    Everything { waiting: VecDeque<Waiting>, report_at: usize },
    Newest { waiting: VecDeque<Waiting>, capacity: usize, dropped: u64 },
    Merged(CollapsingQueue<HeapEvent>),
    Sampled(SamplingQueue<HeapEvent>),
}

/// What has been taken out.
pub(super) enum Batch {
    Slot(Vec<Waiting>),
    Heap(Vec<HeapEvent>),
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Slot(events) => events.is_empty(),
            Self::Heap(events) => events.is_empty(),
        }
    }
}

/// How an outbox may be emptied now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) level: DegradationLevel,
    /// The dispatcher runs; otherwise only P0 and what P3 protects still go out.
    pub(super) is_open: bool,
    /// It stops, or has stopped.
    pub(super) is_over: bool,
    pub(super) max: usize,
}

/// What a level has lost on its way to Python.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Losses {
    pub(super) dropped: u64,
    pub(super) merged: u64,
    pub(super) sampled_out: u64,
    pub(super) refused: u64,
    pub(super) expired: u64,
    /// Of those refused or left at the end: kept in the journal.
    pub(super) spilled: u64,
}

/// Wakes a thread of Python that waits for a descriptor.
#[derive(Debug)]
pub(super) struct WakeUp {
    descriptor: OwnedFd,
    /// It has been given and not been answered yet.
    is_given: AtomicBool,
}

impl WakeUp {
    pub(super) fn new() -> std::io::Result<Self> {
        let descriptor = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { descriptor, is_given: AtomicBool::new(false) })
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }

    /// Makes the descriptor readable, unless it is already.
    pub(super) fn signal(&self) {
        if !self.is_given.swap(true, Ordering::SeqCst) {
            // It can only fail when 2^64 wake-ups are waiting.
            let _ = rustix::io::write(&self.descriptor, &1_u64.to_ne_bytes());
        }
    }

    /// Comes before whoever was woken looks, so that whatever comes later gives a new one.
    pub(super) fn answer(&self) {
        let mut answered = [0; 8];
        let _ = rustix::io::read(&self.descriptor, &mut answered);
        self.is_given.store(false, Ordering::SeqCst);
    }
}

/// The outbox of one level.
#[derive(Debug)]
pub(super) struct Outbox {
    store: Mutex<Store>,
    wake: WakeUp,
    /// Takes nothing in: the level is paused, or the dispatcher stops.
    is_shut: AtomicBool,
    max_age_ns: u64,
    lost_signals: Mutex<LostSignals>,
    /// Events waiting, for whoever must not wait for the store.
    len: AtomicUsize,
    alerts: Arc<Alerts>,
    keeper: Arc<Keeper>,
    /// Protected events that went to the journal.
    kept: AtomicU64,
}

impl Outbox {
    fn new(
        level: EventPriority,
        config: &LiveConfig,
        alerts: &Arc<Alerts>,
        keeper: &Arc<Keeper>,
    ) -> std::io::Result<Self> {
        let store = match level {
            EventPriority::P0Critical => {
                Store::Everything { waiting: VecDeque::with_capacity(P0_DEEP), report_at: P0_DEEP }
            }
            EventPriority::P1High => {
                Store::Newest { waiting: VecDeque::new(), capacity: config.p1_capacity, dropped: 0 }
            }
            EventPriority::P2Medium => Store::Merged(CollapsingQueue::new(config.p2_capacity)),
            EventPriority::P3Low => {
                Store::Sampled(SamplingQueue::new(config.p3_capacity, config.p3_sample_period))
            }
        };
        Ok(Self {
            store: Mutex::new(store),
            wake: WakeUp::new()?,
            is_shut: AtomicBool::new(false),
            max_age_ns: u64::from(config.p2_max_event_age_ms).saturating_mul(1_000_000),
            lost_signals: Mutex::new(LostSignals::new(config.dead_letters)),
            len: AtomicUsize::new(0),
            alerts: Arc::clone(alerts),
            keeper: Arc::clone(keeper),
            kept: AtomicU64::new(0),
        })
    }

    /// Descriptor that becomes readable when something waits.
    pub(super) fn descriptor(&self) -> RawFd {
        self.wake.descriptor()
    }

    /// Makes the descriptor readable, unless it is already.
    pub(super) fn signal(&self) {
        self.wake.signal();
    }

    /// Events waiting.
    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    fn note_len(&self, store: &Store) {
        self.len.store(store.len(), Ordering::Relaxed);
    }

    fn push(&self, event: &Delivery<'_>) -> Result<(), String> {
        if self.is_shut.load(Ordering::SeqCst) {
            return Err("its level is paused, or the dispatcher stops".to_owned());
        }
        let pushed = {
            let mut store = lock(&self.store);
            let pushed = store.push(event);
            self.note_len(&store);
            pushed
        };
        let deep = match pushed {
            Ok(deep) => deep,
            Err(_) if is_protected(event) && self.keep(&heap_event(event))? => return Ok(()),
            Err(error) => return Err(error),
        };
        if let Some(depth) = deep {
            self.alerts.push(("p0_outbox_deep", vec![("depth", u64::try_from(depth).unwrap_or(u64::MAX))]));
        }
        self.signal();
        Ok(())
    }

    /// Writes a protected event for which there is no room to the journal; false without one.
    fn keep(&self, event: &HeapEvent) -> Result<bool, String> {
        let is_kept = self.keeper.keep(event)?;
        self.kept.fetch_add(u64::from(is_kept), Ordering::Relaxed);
        Ok(is_kept)
    }

    /// Keeps what is protected and still waits: nobody takes it any more.
    pub(super) fn keep_rest(&self) {
        let mut store = lock(&self.store);
        let Store::Sampled(queue) = &mut *store else { return };
        let rest: Vec<HeapEvent> = std::iter::from_fn(|| queue.pop_protected()).collect();
        self.note_len(&store);
        drop(store);
        for event in rest {
            // What cannot be kept has been told by the keeper.
            let _ = self.keep(&event);
        }
    }

    /// Takes events out in their order. The wake-up is answered first, so that whatever comes later gives a new one.
    pub(super) fn take(&self, terms: Terms) -> Batch {
        self.wake.answer();
        let mut store = lock(&self.store);
        let batch = match &mut *store {
            Store::Everything { waiting, .. } => Batch::Slot(front(waiting, terms.max)),
            Store::Newest { waiting, .. } => {
                let runs = terms.is_open && terms.level < DegradationLevel::CriticalOnly;
                Batch::Slot(front(waiting, if runs { terms.max } else { 0 }))
            }
            Store::Merged(queue) => Batch::Heap(self.take_merged(queue, terms)),
            Store::Sampled(queue) => {
                let runs = terms.is_open && terms.level < DegradationLevel::P3Paused;
                let next = || if runs { queue.pop() } else { queue.pop_protected() };
                Batch::Heap(std::iter::from_fn(next).take(terms.max).collect())
            }
        };
        let is_more = store.len() > 0;
        self.note_len(&store);
        drop(store);
        // What is held back by the level waits for the wake-up that its change gives.
        if is_more && !batch.is_empty() {
            self.signal();
        }
        batch
    }

    /// P2 without the signals that have become too old to act on.
    fn take_merged(&self, queue: &mut CollapsingQueue<HeapEvent>, terms: Terms) -> Vec<HeapEvent> {
        let mut events = Vec::new();
        // Two threads that change the level may tell of it in the wrong order; whoever drains sees how it really is.
        let is_shut = terms.is_over || terms.level >= DegradationLevel::P2P3Paused;
        self.is_shut.store(is_shut, Ordering::SeqCst);
        if !terms.is_open || terms.level >= DegradationLevel::P2P3Paused {
            self.purge_merged(queue);
            return events;
        }
        let expired_before_ns = HostClock.monotonic_ns().saturating_sub(self.max_age_ns);
        while events.len() < terms.max {
            let is_expired =
                |event: &HeapEvent| is_signal(event) && event.header.t_enqueue_ns < expired_before_ns;
            if let Some(signal) = queue.expire_oldest(is_expired) {
                lock(&self.lost_signals).push(signal);
                continue;
            }
            let Some(event) = queue.pop() else { break };
            events.push(event);
        }
        events
    }

    fn purge_merged(&self, queue: &mut CollapsingQueue<HeapEvent>) -> usize {
        let mut purged: usize = 0;
        while let Some(event) = queue.drop_oldest() {
            purged = purged.saturating_add(1);
            if is_signal(&event) {
                lock(&self.lost_signals).push(event);
            }
        }
        purged
    }

    /// Signals that were given up here since the last call.
    pub(super) fn take_lost_signals(&self) -> Vec<HeapEvent> {
        lock(&self.lost_signals).take()
    }

    /// How many of those were discarded because nobody fetched them in time.
    pub(super) fn lost_signals_discarded(&self) -> u64 {
        lock(&self.lost_signals).discarded()
    }

    /// What has been lost so far.
    pub(super) fn losses(&self) -> Losses {
        let counters = match &*lock(&self.store) {
            Store::Everything { .. } => return Losses::default(),
            Store::Newest { dropped, .. } => return Losses { dropped: *dropped, ..Losses::default() },
            Store::Merged(queue) => *queue.counters(),
            Store::Sampled(queue) => *queue.counters(),
        };
        Losses {
            dropped: counters.dropped,
            merged: counters.merged,
            sampled_out: counters.sampled_out,
            refused: counters.refused,
            expired: counters.expired,
            spilled: self.kept.load(Ordering::Relaxed),
        }
    }

    /// Takes nothing in until it is opened again; P2 gives up what waits. Returns how many that were.
    fn set_shut(&self, is_shut: bool) -> usize {
        self.is_shut.store(is_shut, Ordering::SeqCst);
        let mut store = lock(&self.store);
        let purged = match &mut *store {
            Store::Merged(queue) if is_shut => self.purge_merged(queue),
            _ => 0,
        };
        self.note_len(&store);
        purged
    }
}

impl Handler for Outbox {
    fn name(&self) -> &'static str {
        "python"
    }

    fn handle(&self, event: &Delivery<'_>) -> Result<(), String> {
        self.push(event)
    }
}

impl Store {
    fn len(&self) -> usize {
        match self {
            Self::Everything { waiting, .. } | Self::Newest { waiting, .. } => waiting.len(),
            Self::Merged(queue) => queue.len(),
            Self::Sampled(queue) => queue.len(),
        }
    }

    /// Takes in an event; the depth of P0 if it should be reported.
    fn push(&mut self, event: &Delivery<'_>) -> Result<Option<usize>, String> {
        let result = match self {
            Self::Everything { waiting, report_at } => {
                waiting.push_back(Waiting { header: *event.header, payload: event.payload.into() });
                let is_deep = waiting.len() >= *report_at;
                if is_deep {
                    *report_at = report_at.saturating_mul(2);
                } else if waiting.len() == 1 {
                    *report_at = P0_DEEP;
                }
                return Ok(is_deep.then_some(waiting.len()));
            }
            Self::Newest { waiting, capacity, dropped } => {
                if waiting.len() >= *capacity {
                    waiting.pop_front();
                    *dropped = dropped.wrapping_add(1);
                }
                waiting.push_back(Waiting { header: *event.header, payload: event.payload.into() });
                return Ok(None);
            }
            Self::Merged(queue) => queue.put(heap_event(event)),
            Self::Sampled(queue) => queue.put(heap_event(event)),
        };
        match result {
            PutResult::RefusedFull => Err("no room on its way to Python".to_owned()),
            _ => Ok(None),
        }
    }
}

/// An event of P3 that sampling may not discard.
fn is_protected(event: &Delivery<'_>) -> bool {
    event.header.kind.priority() == EventPriority::P3Low && !event.can_drop
}

fn is_signal(event: &HeapEvent) -> bool {
    event.header.kind == EventType::SignalGenerated
}

fn front(waiting: &mut VecDeque<Waiting>, max: usize) -> Vec<Waiting> {
    let count = waiting.len().min(max);
    waiting.drain(..count).collect()
}

fn heap_event(event: &Delivery<'_>) -> HeapEvent {
    HeapEvent {
        header: *event.header,
        scope: event.scope.into(),
        symbols: event.symbols.to_vec(),
        payload: event.payload.into(),
        can_drop: event.can_drop,
        merged_count: event.merged_count,
        sampled_weight: event.sampled_weight,
    }
}

/// The outboxes of all levels, and where a producer of P0 waits for room.
#[derive(Debug)]
pub(super) struct Outboxes {
    levels: [Arc<Outbox>; 4],
    pub(super) ticks: Arc<TickOutbox>,
    waiting: Mutex<()>,
    room: Condvar,
}

impl Outboxes {
    pub(super) fn new(
        config: &LiveConfig,
        alerts: &Arc<Alerts>,
        keeper: &Arc<Keeper>,
    ) -> std::io::Result<Self> {
        let [p0, p1, p2, p3] =
            EventPriority::ALL.map(|level| Outbox::new(level, config, alerts, keeper).map(Arc::new));
        let ticks = Arc::new(TickOutbox::new(config.p1_capacity)?);
        Ok(Self { levels: [p0?, p1?, p2?, p3?], ticks, waiting: Mutex::new(()), room: Condvar::new() })
    }

    pub(super) fn all(&self) -> &[Arc<Outbox>; 4] {
        &self.levels
    }

    pub(super) fn of(&self, level: EventPriority) -> &Outbox {
        let [p0, p1, p2, p3] = &self.levels;
        match level {
            EventPriority::P0Critical => p0,
            EventPriority::P1High => p1,
            EventPriority::P2Medium => p2,
            EventPriority::P3Low => p3,
        }
    }

    /// Called by whichever thread has changed the level.
    pub(super) fn level_changed(&self, level: DegradationLevel) {
        let [_, _, p2, _] = &self.levels;
        p2.set_shut(level >= DegradationLevel::P2P3Paused);
        self.signal_all();
    }

    /// Whoever drains should look at how things are now.
    pub(super) fn signal_all(&self) {
        for outbox in &self.levels {
            outbox.signal();
        }
        self.ticks.signal();
    }

    /// The dispatcher stops: P2 takes in nothing more. Returns how many P2 events were given up.
    pub(super) fn stopping(&self) -> usize {
        let [_, _, p2, _] = &self.levels;
        p2.set_shut(true)
    }

    /// Waits until there may be room on P0, at most `timeout`. Without the interpreter lock.
    pub(super) fn wait_for_room(&self, timeout: Duration) {
        drop(self.room.wait_timeout(lock(&self.waiting), timeout));
    }

    /// The P0 thread has taken an event.
    pub(super) fn room_made(&self) {
        self.room.notify_all();
    }
}

/// Tells producers that wait that the P0 thread has taken an event.
#[derive(Debug)]
pub(super) struct RoomMaker(pub(super) Arc<Outboxes>);

impl Handler for RoomMaker {
    fn name(&self) -> &'static str {
        "room"
    }

    fn handle(&self, _event: &Delivery<'_>) -> Result<(), String> {
        self.0.room_made();
        Ok(())
    }
}
