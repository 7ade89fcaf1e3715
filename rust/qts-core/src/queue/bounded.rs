//! P0: first in, first out, nothing ever lost; lock-free except to park.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use super::QueueCounters;
use super::lane::{Cursor, Head, Lane, Record, SlotWords};
use crate::clock::Clock;
use crate::event::PutResult;
use crate::sync::{Arc, AtomicBool, AtomicU64, AtomicUsize, Ordering, Padded, Signal, spin_loop};

/// Slots of the express lanes together.
const EXPRESS_CAPACITY: usize = 16;
/// Express events of one producer that find room beyond those.
const EXPRESS_SPILL: usize = 48;
/// How long a producer that faces a full queue looks again before it parks, in nanoseconds.
const SPIN_NS: u64 = 50_000;

/// A P0 record.
pub trait P0Record: Record {
    /// Whether it overtakes ordinary events: emergency stops and lost connections.
    fn is_express(&self) -> bool;
}

/// Who puts: may it be made to wait?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProducerKind {
    /// Waits for room.
    Ordinary,
    /// Must never wait (receive threads, the P0 handler itself, risk loop, safety): what finds no room is spilled.
    Protected,
}

struct Producer<W: SlotWords> {
    express: Lane<W>,
    normal: Lane<W>,
    /// Events of this producer in the spill.
    spilled: Padded<AtomicUsize>,
}

struct Shared<W: SlotWords> {
    /// The protected ones first.
    producers: Box<[Producer<W>]>,
    protected: usize,
    capacity: usize,
    spill_capacity: usize,
    /// Events in the normal lanes that are not spilled; a put reserves its place here.
    depth: Padded<AtomicUsize>,
    express: AtomicUsize,
    spill: AtomicUsize,
    next_seq: Padded<AtomicU64>,
    handled: Padded<AtomicU64>,
    spilled_total: AtomicU64,
    refused: AtomicU64,
    /// How often a put found the normal lane full.
    full: AtomicU64,
    protected_given: AtomicUsize,
    ordinary_given: AtomicUsize,
    closed: AtomicBool,
    consumer: Signal,
    space: Signal,
}

/// A bounded queue with express lanes and a spill.
///
/// Each producer has lanes of its own, so that its order holds whatever others do. A put reserves a place in the
/// normal lane; without one an ordinary producer waits and a protected one spills, and goes on spilling until the
/// consumer has taken its last spilled event.
pub struct BoundedQueue<T: Record> {
    shared: Arc<Shared<T::Words>>,
}

impl<T: Record> Clone for BoundedQueue<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Record> fmt::Debug for BoundedQueue<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("BoundedQueue")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("depth", &self.shared.depth)
            .field("spill", &self.shared.spill)
            .field("express", &self.shared.express)
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}

impl<T: Record> BoundedQueue<T> {
    /// A queue of `capacity` events with a spill of `spill_capacity`, for so many producers of each kind.
    pub fn new(capacity: usize, spill_capacity: usize, protected: usize, ordinary: usize) -> Self {
        let capacity = capacity.max(1);
        let producer = |at: usize| Producer {
            express: Lane::new(EXPRESS_CAPACITY.saturating_add(EXPRESS_SPILL)),
            // Only protected producers spill.
            normal: Lane::new(if at < protected {
                capacity.saturating_add(spill_capacity)
            } else {
                capacity
            }),
            spilled: Padded::default(),
        };
        let shared = Shared {
            producers: (0..protected.saturating_add(ordinary)).map(producer).collect(),
            protected,
            capacity,
            spill_capacity,
            depth: Padded::default(),
            express: AtomicUsize::new(0),
            spill: AtomicUsize::new(0),
            next_seq: Padded::default(),
            handled: Padded::default(),
            spilled_total: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            full: AtomicU64::new(0),
            protected_given: AtomicUsize::new(0),
            ordinary_given: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            consumer: Signal::default(),
            space: Signal::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The next producer of a kind; None once all have been given out.
    pub fn producer(&self, kind: ProducerKind) -> Option<BoundedProducer<T>> {
        let shared = &*self.shared;
        let (given, first, end) = match kind {
            ProducerKind::Protected => (&shared.protected_given, 0, shared.protected),
            ProducerKind::Ordinary => (&shared.ordinary_given, shared.protected, shared.producers.len()),
        };
        let lane = given.fetch_add(1, Ordering::Relaxed).saturating_add(first);
        (lane < end).then(|| BoundedProducer {
            shared: Arc::clone(&self.shared),
            lane,
            kind,
            express_cursor: Cursor::default(),
            normal_cursor: Cursor::default(),
            records: PhantomData,
        })
    }

    /// A way out. Several may take at the same time, but the order of handling is promised for one.
    pub fn consumer(&self) -> BoundedConsumer<T> {
        let cursors = || vec![Cursor::default(); self.shared.producers.len()].into();
        BoundedConsumer {
            express_cursors: cursors(),
            normal_cursors: cursors(),
            shared: Arc::clone(&self.shared),
            records: PhantomData,
        }
    }

    /// Events waiting, express and spill included; a snapshot.
    pub fn len(&self) -> usize {
        self.shared.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Events in the spill; a snapshot.
    pub fn spill_len(&self) -> usize {
        self.shared.spill.load(Ordering::Relaxed)
    }

    /// Events the normal lane holds.
    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }

    /// How often a put found the normal lane full (FS095).
    pub fn full_count(&self) -> u64 {
        self.shared.full.load(Ordering::Relaxed)
    }

    /// Lets no more events in and wakes whoever waits; what is in can still be taken.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.shared.consumer.notify();
        self.shared.space.notify();
    }

    /// What became of the events so far.
    pub fn counters(&self) -> QueueCounters {
        let shared = &*self.shared;
        let puts = |producer: &Producer<T::Words>| {
            producer.express.put_count().wrapping_add(producer.normal.put_count())
        };
        QueueCounters {
            admitted: shared.producers.iter().map(puts).sum(),
            handled: shared.handled.load(Ordering::Relaxed),
            refused: shared.refused.load(Ordering::Relaxed),
            spilled: shared.spilled_total.load(Ordering::Relaxed),
            ..QueueCounters::default()
        }
    }
}

impl<W: SlotWords> Shared<W> {
    fn len(&self) -> usize {
        self.producers.iter().map(|one| one.express.len().saturating_add(one.normal.len())).sum()
    }

    fn has_room(&self) -> bool {
        self.depth.load(Ordering::SeqCst) < self.capacity
    }
}

/// Reserves one of `capacity` places; false if all are taken.
fn reserve(places: &AtomicUsize, capacity: usize) -> bool {
    places
        .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |taken| {
            (taken < capacity).then(|| taken.saturating_add(1))
        })
        .is_ok()
}

/// The way in for one producer.
pub struct BoundedProducer<T: Record> {
    shared: Arc<Shared<T::Words>>,
    lane: usize,
    kind: ProducerKind,
    express_cursor: Cursor,
    normal_cursor: Cursor,
    records: PhantomData<fn(T)>,
}

impl<T: Record> fmt::Debug for BoundedProducer<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("BoundedProducer")
            .field("lane", &self.lane)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl<T: P0Record> BoundedProducer<T> {
    /// Number for the next event, rising over all producers.
    pub fn next_seq(&self) -> u64 {
        self.shared.next_seq.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// Takes in an event without waiting: `Accepted`, `Spilled`, `RefusedFull` (an ordinary producer without room, or
    /// a full spill: the journal holds the event), or `Closed`.
    pub fn try_put(&mut self, event: &T) -> PutResult {
        let result = self.place(event);
        if result == PutResult::RefusedFull {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    /// Takes in an event and waits for room if it must: looks again for 50 µs, then parks, at most `timeout` in all.
    /// A protected producer never waits. Results as [`Self::try_put`].
    pub fn put(&mut self, event: &T, clock: &impl Clock, timeout: Duration) -> PutResult {
        let start_ns = clock.monotonic_ns();
        let limit_ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        loop {
            let result = self.place(event);
            if result != PutResult::RefusedFull || self.kind == ProducerKind::Protected {
                return result;
            }
            let waited_ns = clock.monotonic_ns().saturating_sub(start_ns);
            if waited_ns >= limit_ns {
                self.shared.refused.fetch_add(1, Ordering::Relaxed);
                return PutResult::RefusedFull;
            }
            if waited_ns < SPIN_NS {
                spin_loop();
                continue;
            }
            let shared = &*self.shared;
            shared.space.wait(Duration::from_nanos(limit_ns.saturating_sub(waited_ns)), || {
                shared.has_room() || shared.closed.load(Ordering::SeqCst)
            });
        }
    }

    fn place(&mut self, event: &T) -> PutResult {
        let shared = &*self.shared;
        if shared.closed.load(Ordering::SeqCst) {
            return PutResult::Closed;
        }
        let Some(producer) = shared.producers.get(self.lane) else { return PutResult::Closed };
        let mut words = T::Words::ZERO;
        let len = event.encode(&mut words);
        if event.is_express() {
            let is_free = reserve(&shared.express, EXPRESS_CAPACITY);
            mark(&mut words, !is_free);
            if producer.express.push(&mut self.express_cursor, &words, len) {
                return self.admitted(!is_free);
            }
            if is_free {
                shared.express.fetch_sub(1, Ordering::AcqRel);
            }
        } else {
            let is_spilling = producer.spilled.load(Ordering::Acquire) > 0;
            if !is_spilling && reserve(&shared.depth, shared.capacity) {
                mark(&mut words, false);
                if producer.normal.push(&mut self.normal_cursor, &words, len) {
                    return self.admitted(false);
                }
                shared.depth.fetch_sub(1, Ordering::AcqRel);
            }
            shared.full.fetch_add(1, Ordering::Relaxed);
            if self.kind == ProducerKind::Ordinary {
                return PutResult::RefusedFull;
            }
        }
        self.spill(&mut words, len)
    }

    /// Puts an event behind everything else of this producer.
    fn spill(&mut self, words: &mut T::Words, len: usize) -> PutResult {
        let shared = &*self.shared;
        let Some(producer) = shared.producers.get(self.lane) else { return PutResult::Closed };
        if !reserve(&shared.spill, shared.spill_capacity) {
            return PutResult::RefusedFull;
        }
        mark(words, true);
        // Counted before it can be taken: the consumer must never count down first.
        producer.spilled.fetch_add(1, Ordering::AcqRel);
        if producer.normal.push(&mut self.normal_cursor, words, len) {
            return self.admitted(true);
        }
        producer.spilled.fetch_sub(1, Ordering::AcqRel);
        shared.spill.fetch_sub(1, Ordering::AcqRel);
        PutResult::RefusedFull
    }

    fn admitted(&self, is_spilled: bool) -> PutResult {
        if is_spilled {
            self.shared.spilled_total.fetch_add(1, Ordering::Relaxed);
        }
        self.shared.consumer.notify();
        if is_spilled { PutResult::Spilled } else { PutResult::Accepted }
    }
}

fn mark(words: &mut impl SlotWords, is_spilled: bool) {
    if let Some(first) = words.head_mut() {
        *first = if is_spilled { *first | Head::SPILLED } else { *first & !Head::SPILLED };
    }
}

/// A way out.
pub struct BoundedConsumer<T: Record> {
    shared: Arc<Shared<T::Words>>,
    express_cursors: Box<[Cursor]>,
    normal_cursors: Box<[Cursor]>,
    records: PhantomData<fn() -> T>,
}

impl<T: Record> fmt::Debug for BoundedConsumer<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("BoundedConsumer").field("len", &self.shared.len()).finish_non_exhaustive()
    }
}

impl<T: P0Record> BoundedConsumer<T> {
    /// The next event: express ones first, then the one that was put first.
    pub fn pop(&mut self) -> Option<T> {
        let shared = &*self.shared;
        let mut words = T::Words::ZERO;
        while let Some((at, producer)) = shared.oldest(|producer| &producer.express) {
            if let Some(head) = producer.express.pop::<false>(self.express_cursors.get_mut(at)?, &mut words) {
                if !head.is_spilled() {
                    shared.express.fetch_sub(1, Ordering::AcqRel);
                }
                shared.handled.fetch_add(1, Ordering::Relaxed);
                return Some(T::decode(&words));
            }
        }
        while let Some((at, producer)) = shared.oldest(|producer| &producer.normal) {
            if let Some(head) = producer.normal.pop::<false>(self.normal_cursors.get_mut(at)?, &mut words) {
                if head.is_spilled() {
                    producer.spilled.fetch_sub(1, Ordering::AcqRel);
                    shared.spill.fetch_sub(1, Ordering::AcqRel);
                } else {
                    shared.depth.fetch_sub(1, Ordering::AcqRel);
                    shared.space.notify();
                }
                shared.handled.fetch_add(1, Ordering::Relaxed);
                return Some(T::decode(&words));
            }
        }
        None
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.shared.len() == 0
    }

    /// Waits until an event is there or the queue is closed, at most `timeout` and possibly less; says whether an event
    /// is there.
    pub fn wait(&self, timeout: Duration) -> bool {
        let shared = &*self.shared;
        shared.consumer.wait(timeout, || shared.len() > 0 || shared.closed.load(Ordering::SeqCst));
        shared.len() > 0
    }
}

impl<W: SlotWords> Shared<W> {
    /// The producer whose oldest event in a lane was put first, with its place.
    fn oldest(&self, lane: impl Fn(&Producer<W>) -> &Lane<W>) -> Option<(usize, &Producer<W>)> {
        self.producers
            .iter()
            .enumerate()
            .filter_map(|(at, producer)| lane(producer).oldest_seq().map(|seq| (seq, at, producer)))
            .min_by_key(|&(seq, ..)| seq)
            .map(|(_, at, producer)| (at, producer))
    }
}
