//! P1: the ring, a thread for each of its shards, and a new ring where one of them fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::config::LiveConfig;
use super::event::SlotEvent;
use super::figures::{Note, backlog};
use super::handlers::Registry;
use super::holds::Cause;
use super::monitor::Alert;
use super::threads::{FAILED_AGAIN_NS, beat, delivery};
use super::{Role, SLOT_PAYLOAD_MAX, Shared, State, millis};
use crate::event::{DegradationLevel, EventPriority};
use crate::queue::{QueueCounters, RingBuffer, RingConsumer, RingProducer};
use crate::sync::{AtomicU64, Mutex, Ordering, Padded, lock};

/// Numbers of events rise from ring to ring by this much.
const GENERATION_SHIFT: u32 = 40;
/// How often a thread without a ring looks whether there is one.
const LOOK_MS: u32 = 10;

/// The ring in use.
#[derive(Debug)]
pub(super) struct P1 {
    /// Which ring: counts up whenever it is replaced or given up.
    generation: Padded<AtomicU64>,
    rings: Mutex<Rings>,
}

#[derive(Debug)]
struct Rings {
    current: RingBuffer<SlotEvent>,
    /// Of the current ring, by shard; None where its thread has it.
    consumers: Vec<Option<RingConsumer<SlotEvent>>>,
    /// The ring before it. Kept so that what a producer still put there while it was being replaced is counted.
    retired: Option<RingBuffer<SlotEvent>>,
    /// Of the rings before that one.
    past: QueueCounters,
    producers_given: usize,
    failed_ns: Option<u64>,
    is_down: bool,
}

/// What became of a ring whose thread failed.
enum Outcome {
    Rebuilt {
        lost: usize,
    },
    Down,
    /// Another thread has seen to it.
    Stale,
}

fn new_consumers(ring: &RingBuffer<SlotEvent>) -> Vec<Option<RingConsumer<SlotEvent>>> {
    std::iter::from_fn(|| ring.consumer()).map(Some).collect()
}

impl P1 {
    pub(super) fn new(config: &LiveConfig) -> Self {
        let ring = RingBuffer::new(config.p1_capacity, config.p1_shards, config.p1_producers);
        let rings = Rings {
            consumers: new_consumers(&ring),
            current: ring,
            retired: None,
            past: QueueCounters::default(),
            producers_given: 0,
            failed_ns: None,
            is_down: false,
        };
        Self { generation: Padded::default(), rings: Mutex::new(rings) }
    }

    #[inline]
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The way in for one more producer; None once all have been given out.
    pub(super) fn producer(&self, config: &LiveConfig) -> Option<Way> {
        let mut rings = lock(&self.rings);
        if rings.producers_given >= config.p1_producers.max(1) {
            return None;
        }
        rings.producers_given = rings.producers_given.saturating_add(1);
        Some(self.way(&rings))
    }

    /// A way into the ring of now for a producer that had one into an earlier ring.
    pub(super) fn renewed(&self) -> Way {
        self.way(&lock(&self.rings))
    }

    fn way(&self, rings: &Rings) -> Way {
        let generation = self.generation();
        let producer = if rings.is_down { None } else { rings.current.producer() };
        Way { producer, generation, first_seq: generation << GENERATION_SHIFT }
    }

    fn consumer(&self, shard: usize) -> Option<(RingConsumer<SlotEvent>, u64)> {
        let mut rings = lock(&self.rings);
        let consumer = rings.consumers.get_mut(shard)?.take()?;
        Some((consumer, self.generation()))
    }

    pub(super) fn len(&self) -> usize {
        let rings = lock(&self.rings);
        if rings.is_down { 0 } else { rings.current.len() }
    }

    pub(super) fn close(&self) {
        lock(&self.rings).current.close();
    }

    pub(super) fn counters(&self) -> QueueCounters {
        let rings = lock(&self.rings);
        let over = |ring: &RingBuffer<SlotEvent>| {
            let counters = ring.counters();
            let out = counters.handled.wrapping_add(counters.dropped);
            let lost = counters.admitted.saturating_sub(out);
            QueueCounters { dropped: counters.dropped.wrapping_add(lost), ..counters }
        };
        let retired = rings.retired.as_ref().map(over).unwrap_or_default();
        let current = if rings.is_down { over(&rings.current) } else { rings.current.counters() };
        rings.past.plus(&retired).plus(&current)
    }

    /// A thread of the ring of that generation has failed: a new ring, or none if it is the second time within a
    /// minute or there is no memory.
    fn fail(&self, generation: u64, now_ns: u64, config: &LiveConfig) -> Outcome {
        let mut rings = lock(&self.rings);
        if generation != self.generation() {
            return Outcome::Stale;
        }
        let again = rings.failed_ns.is_some_and(|at_ns| now_ns.saturating_sub(at_ns) < FAILED_AGAIN_NS);
        rings.failed_ns = Some(now_ns);
        if !again && let Some(lost) = self.rebuild(&mut rings, config) {
            return Outcome::Rebuilt { lost };
        }
        rings.is_down = true;
        rings.consumers.clear();
        self.turn(&rings.current);
        Outcome::Down
    }

    /// Tries again to build a ring after it was given up; whether there is one now.
    pub(super) fn revive(&self, config: &LiveConfig) -> bool {
        let mut rings = lock(&self.rings);
        if rings.is_down && self.rebuild(&mut rings, config).is_some() {
            rings.is_down = false;
            rings.failed_ns = None;
        }
        !rings.is_down
    }

    /// Puts a ring of the same parameters in place of the current one; how many events are lost with that, None if the
    /// memory is refused.
    fn rebuild(&self, rings: &mut Rings, config: &LiveConfig) -> Option<usize> {
        let ring = RingBuffer::try_new(config.p1_capacity, config.p1_shards, config.p1_producers).ok()?;
        if let Some(retired) = rings.retired.take() {
            let counters = retired.counters();
            let out = counters.handled.wrapping_add(counters.dropped);
            let lost = counters.admitted.saturating_sub(out);
            rings.past = rings.past.plus(&counters);
            rings.past.dropped = rings.past.dropped.wrapping_add(lost);
        }
        rings.consumers = new_consumers(&ring);
        let old = std::mem::replace(&mut rings.current, ring);
        let lost = old.len();
        self.turn(&old);
        rings.retired = Some(old);
        Some(lost)
    }

    /// Tells whoever uses the old ring that it is over.
    fn turn(&self, old: &RingBuffer<SlotEvent>) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        old.close();
    }
}

/// The way of one producer into one ring.
pub(super) struct Way {
    /// None while there is no ring.
    pub(super) producer: Option<RingProducer<SlotEvent>>,
    pub(super) generation: u64,
    pub(super) first_seq: u64,
}

/// The thread of one shard, whichever ring there is.
pub(super) fn run(shared: &Arc<Shared>, shard: usize, handlers: &Registry) {
    let mut line = Line {
        row: shard.saturating_add(1),
        payload: Vec::with_capacity(SLOT_PAYLOAD_MAX),
        backlog: backlog(),
    };
    while shared.state() != State::Closed {
        let Some((mut consumer, generation)) = shared.p1.consumer(shard) else {
            beat(shared, line.row);
            shared.gone.wait(millis(LOOK_MS), || shared.state() == State::Closed);
            continue;
        };
        let serve = || line.serve(shared, &mut consumer, generation, handlers);
        if catch_unwind(AssertUnwindSafe(serve)).is_err() {
            failed(shared, shard, generation);
        }
    }
    if let Some(desk) = shared.desks.get(line.row) {
        desk.close(&mut line.backlog);
    }
}

fn failed(shared: &Shared, shard: usize, generation: u64) {
    shared.outside.alert(Alert::ThreadFailed { role: Role::P1 { shard } });
    match shared.p1.fail(generation, shared.now_ns(), &shared.config) {
        Outcome::Rebuilt { lost } => {
            shared.outside.alert(Alert::Rebuilt { level: EventPriority::P1High, lost });
        }
        Outcome::Down => {
            shared.fail(Cause::P1Failed);
            shared.outside.alert(Alert::P1Failed);
        }
        Outcome::Stale => {}
    }
}

struct Line {
    row: usize,
    payload: Vec<u8>,
    backlog: Vec<Note>,
}

impl Line {
    /// Handles what comes out of one ring for as long as it is the current one.
    fn serve(
        &mut self,
        shared: &Shared,
        consumer: &mut RingConsumer<SlotEvent>,
        generation: u64,
        handlers: &Registry,
    ) {
        let mut pauses_seen = 0;
        while shared.state() != State::Closed && shared.p1.generation() == generation {
            beat(shared, self.row);
            if shared.effective() == DegradationLevel::CriticalOnly {
                // The ring keeps the newest; there is nothing to do until the level changes.
                shared.gone.wait(millis(shared.config.p1_batch.timeout_ms.max(1)), || {
                    shared.effective() != DegradationLevel::CriticalOnly || shared.state() == State::Closed
                });
                continue;
            }
            // Counted, and asked before each event, because this thread may have slept through a whole pause.
            let pauses = shared.p1_pauses.load(Ordering::Acquire);
            if pauses != pauses_seen {
                pauses_seen = pauses;
                consumer.keep_newest(|event| (event.header.kind, event.shard()));
            }
            let most = shared.config.p1_batch.size.max(1).saturating_mul(shared.batch_factor(0));
            let mut handled: usize = 0;
            while handled < most
                && shared.effective() != DegradationLevel::CriticalOnly
                && shared.p1_pauses.load(Ordering::Acquire) == pauses_seen
                && let Some(event) = consumer.pop()
            {
                handled = handled.saturating_add(1);
                self.handle(shared, &event, handlers);
            }
            if handled == 0 {
                if let Some(desk) = shared.desks.get(self.row) {
                    desk.settle(&mut self.backlog);
                }
                consumer.wait(millis(shared.config.p1_batch.timeout_ms.max(1)));
            }
        }
    }

    fn handle(&mut self, shared: &Shared, event: &SlotEvent, handlers: &Registry) {
        let header = &event.header;
        self.payload.clear();
        event.payload_into(&mut self.payload);
        let is_measured = header.t_enqueue_ns != 0;
        let t_start_ns = if is_measured { shared.now_ns() } else { 0 };
        let (wanted, failures) = handlers.handle(&delivery(header, &self.payload), 1);
        if !is_measured && wanted > 0 && failures.is_empty() {
            return;
        }
        let t_done_ns = if is_measured { shared.now_ns() } else { 0 };
        let note = Note::new(header.kind, header.t_enqueue_ns, wanted, &failures).at(t_start_ns, t_done_ns);
        if let Some(desk) = shared.desks.get(self.row) {
            desk.note(&mut self.backlog, note);
        }
    }
}
