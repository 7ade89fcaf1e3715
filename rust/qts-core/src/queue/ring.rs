//! P1: the newest events, the oldest give way; lock-free.

mod producer;

use std::collections::{BTreeSet, TryReserveError, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

pub use producer::RingProducer;

use super::QueueCounters;
use super::lane::{Cursor, Lane, Record, SlotWords};
use crate::event::{EventType, PutResult};
use crate::sync::{Arc, AtomicBool, AtomicU64, AtomicUsize, Ordering, Padded, Signal, spin_loop};

/// Turns before a consumer that found nothing looks again: a few microseconds.
const LOOK_AWAY: u32 = if cfg!(loom) { 0 } else { 128 };

/// A P1 record: it knows its shard and its number.
pub trait RingRecord: Record {
    /// What decides the shard: the same value, the same shard, the same order.
    fn shard_key(&self) -> u32;
}

/// One shard: a lane for each producer, and who waits for it.
struct Shard<W: SlotWords> {
    lanes: Box<[Lane<W>]>,
    handled: Padded<AtomicU64>,
    /// Kept by the consumer when the level resumed.
    resumed: AtomicUsize,
    /// Discarded then, because newer ones were there.
    overtaken: AtomicU64,
    signal: Signal,
}

/// What one producer counts; only it writes here.
#[derive(Default)]
struct Tally {
    dropped: [AtomicU64; EventType::ALL.len()],
    contended: [AtomicU64; EventType::ALL.len()],
}

struct Shared<W: SlotWords> {
    shards: Box<[Shard<W>]>,
    tallies: Box<[Padded<Tally>]>,
    capacity: usize,
    next_seq: Padded<AtomicU64>,
    producers_given: AtomicUsize,
    consumers_given: AtomicUsize,
    closed: AtomicBool,
}

/// A ring that never makes its producers wait: at capacity the oldest event makes room and is counted.
///
/// Each producer has a lane of its own in each shard; events of one shard key keep their order. All lanes share one
/// limit. With several producers it holds to within 64 events for each of them beyond the first; what is dropped is
/// counted exactly in any case.
pub struct RingBuffer<T: Record> {
    shared: Arc<Shared<T::Words>>,
}

impl<T: Record> Clone for RingBuffer<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Record> fmt::Debug for RingBuffer<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RingBuffer")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

impl<T: Record> RingBuffer<T> {
    /// A ring of `capacity` events in `shards` shards for at most `producers` producers; each at least one.
    pub fn new(capacity: usize, shards: usize, producers: usize) -> Self {
        let Ok(ring) =
            Self::with_lanes(capacity, shards, producers, |slots| Ok::<_, Infallible>(Lane::new(slots)));
        ring
    }

    /// As [`Self::new`], for whoever can do without it where there is no memory left.
    ///
    /// # Errors
    /// The allocator refuses the memory of a lane.
    pub fn try_new(capacity: usize, shards: usize, producers: usize) -> Result<Self, TryReserveError> {
        Self::with_lanes(capacity, shards, producers, Lane::try_new)
    }

    fn with_lanes<E>(
        capacity: usize,
        shards: usize,
        producers: usize,
        lane: impl Fn(usize) -> Result<Lane<T::Words>, E>,
    ) -> Result<Self, E> {
        let (capacity, producers) = (capacity.max(1), producers.max(1));
        let shard = |_| {
            Ok(Shard {
                lanes: (0..producers).map(|_| lane(capacity)).collect::<Result<_, E>>()?,
                handled: Padded::default(),
                resumed: AtomicUsize::new(0),
                overtaken: AtomicU64::new(0),
                signal: Signal::default(),
            })
        };
        let shared = Shared {
            shards: (0..shards.max(1)).map(shard).collect::<Result<_, E>>()?,
            tallies: (0..producers).map(|_| Padded::default()).collect(),
            capacity,
            next_seq: Padded::default(),
            producers_given: AtomicUsize::new(0),
            consumers_given: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The next producer; None once all have been given out.
    pub fn producer(&self) -> Option<RingProducer<T>> {
        let lane = self.shared.producers_given.fetch_add(1, Ordering::Relaxed);
        (lane < self.shared.tallies.len()).then(|| RingProducer::new(&self.shared, lane))
    }

    /// The consumer of the next shard; None once all have been given out.
    pub fn consumer(&self) -> Option<RingConsumer<T>> {
        let shard = self.shared.consumers_given.fetch_add(1, Ordering::Relaxed);
        (shard < self.shared.shards.len()).then(|| RingConsumer {
            cursors: vec![Cursor::default(); self.shared.tallies.len()].into(),
            shared: Arc::clone(&self.shared),
            shard,
            resumed: VecDeque::new(),
            records: PhantomData,
        })
    }

    /// Events waiting; a snapshot, never more than the capacity.
    pub fn len(&self) -> usize {
        self.shared.len().min(self.shared.capacity)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.shared.len() == 0
    }

    /// Events it holds.
    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }

    /// Lets no more events in and wakes whoever waits.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        for shard in &self.shared.shards {
            shard.signal.notify();
        }
    }

    /// What became of the events so far.
    pub fn counters(&self) -> QueueCounters {
        let shards = || self.shared.shards.iter();
        let sum = |cells: &[AtomicU64]| cells.iter().map(|cell| cell.load(Ordering::Relaxed)).sum::<u64>();
        let tallies = || self.shared.tallies.iter();
        QueueCounters {
            admitted: shards().flat_map(|shard| &shard.lanes).map(Lane::put_count).sum(),
            handled: shards().map(|shard| shard.handled.load(Ordering::Relaxed)).sum(),
            dropped: tallies()
                .map(|tally| sum(&tally.dropped))
                .chain(shards().map(|shard| shard.overtaken.load(Ordering::Relaxed)))
                .sum(),
            refused: tallies().map(|tally| sum(&tally.contended)).sum(),
            ..QueueCounters::default()
        }
    }

    /// How many events of a type made room for newer ones.
    pub fn dropped_oldest(&self, kind: EventType) -> u64 {
        self.shared.by_kind(kind, |tally| &tally.dropped)
    }

    /// How many new events of a type were given up because the oldest was contended.
    pub fn dropped_contended(&self, kind: EventType) -> u64 {
        self.shared.by_kind(kind, |tally| &tally.contended)
    }
}

impl<W: SlotWords> Shared<W> {
    fn len(&self) -> usize {
        self.shards.iter().map(Shard::len).fold(0, usize::saturating_add)
    }

    fn by_kind(&self, kind: EventType, cells: impl Fn(&Tally) -> &[AtomicU64]) -> u64 {
        let at = usize::from(kind as u8);
        self.tallies
            .iter()
            .filter_map(|tally| cells(tally).get(at))
            .map(|cell| cell.load(Ordering::Relaxed))
            .sum()
    }
}

impl<W: SlotWords> Shard<W> {
    fn len(&self) -> usize {
        let resumed = self.resumed.load(Ordering::Acquire);
        self.lanes.iter().map(Lane::len).fold(resumed, usize::saturating_add)
    }

    /// The lane whose oldest event was put first, with its place.
    #[inline]
    fn oldest_lane(&self) -> Option<(usize, &Lane<W>)> {
        if let [only] = &*self.lanes {
            return Some((0, only));
        }
        self.lanes
            .iter()
            .enumerate()
            .filter_map(|(at, lane)| lane.oldest_seq().map(|seq| (seq, at, lane)))
            .min_by_key(|&(seq, ..)| seq)
            .map(|(_, at, lane)| (at, lane))
    }
}

/// A ring with both ends in one hand, for a single thread: the same lanes, without the price of being shared.
pub struct LocalRing<T: Record> {
    ring: RingBuffer<T>,
    input: RingProducer<T>,
    output: RingConsumer<T>,
}

impl<T: Record> fmt::Debug for LocalRing<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("LocalRing").field(&self.ring).finish()
    }
}

impl<T: RingRecord> LocalRing<T> {
    /// A ring of `capacity` events.
    #[allow(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "a new ring has its first ends to give"
    )]
    pub fn new(capacity: usize) -> Self {
        let ring = RingBuffer::new(capacity, 1, 1);
        let (input, output) = (ring.producer().expect("a new ring"), ring.consumer().expect("a new ring"));
        Self { ring, input, output }
    }

    /// Takes in an event: `Accepted` or `AcceptedDroppedOldest`.
    #[inline]
    pub fn put(&mut self, event: &T) -> PutResult {
        self.input.admit(event, 0)
    }

    /// The oldest event.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        self.output.next::<true>()
    }

    /// As [`RingConsumer::keep_newest`].
    pub fn keep_newest<K: Ord>(&mut self, key: impl Fn(&T) -> K) {
        self.output.keep_newest(key);
    }

    /// Events waiting.
    #[inline]
    pub fn len(&self) -> usize {
        self.output.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.output.is_empty()
    }

    /// What became of the events so far.
    pub fn counters(&self) -> QueueCounters {
        self.ring.counters()
    }
}

/// Adds one to a cell that only the caller writes.
#[inline]
fn bump(cell: &AtomicU64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// The way out of one shard.
pub struct RingConsumer<T: Record> {
    shared: Arc<Shared<T::Words>>,
    shard: usize,
    cursors: Box<[Cursor]>,
    /// What was kept when the level resumed, before anything newer.
    resumed: VecDeque<T>,
    records: PhantomData<fn() -> T>,
}

impl<T: Record> fmt::Debug for RingConsumer<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RingConsumer").field("shard", &self.shard).finish_non_exhaustive()
    }
}

impl<T: RingRecord> RingConsumer<T> {
    /// The oldest event of the shard.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        self.next::<false>()
    }

    #[inline]
    fn next<const ALONE: bool>(&mut self) -> Option<T> {
        let event = if self.resumed.is_empty() { self.take::<ALONE>() } else { self.resume() };
        if event.is_some()
            && let Some(shard) = self.shared.shards.get(self.shard)
        {
            bump(&shard.handled);
        }
        event
    }

    /// The next event that was kept when the level resumed.
    #[cold]
    fn resume(&mut self) -> Option<T> {
        let event = self.resumed.pop_front();
        if let Some(shard) = self.shared.shards.get(self.shard) {
            shard.resumed.store(self.resumed.len(), Ordering::Release);
        }
        event
    }

    #[inline]
    fn take<const ALONE: bool>(&mut self) -> Option<T> {
        let shard = self.shared.shards.get(self.shard)?;
        let mut words = T::Words::ZERO;
        loop {
            let (at, lane) = shard.oldest_lane()?;
            if lane.pop::<ALONE>(self.cursors.get_mut(at)?, &mut words).is_some() {
                return Some(T::decode(&words));
            }
            // With one lane it is empty; of several the oldest may just have made room.
            if shard.lanes.len() == 1 {
                return None;
            }
        }
    }

    /// Events waiting in the shard; a snapshot.
    pub fn len(&self) -> usize {
        self.shared.shards.get(self.shard).map_or(0, Shard::len)
    }

    /// Whether nothing waits in the shard.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until an event is there or the ring is closed, at most `timeout` and possibly less; says whether an event
    /// is there.
    pub fn wait(&self, timeout: Duration) -> bool {
        let Some(shard) = self.shared.shards.get(self.shard) else { return false };
        // A consumer that keeps pace would make each event cost a trip of its line between the cores: let some gather.
        for _ in 0..LOOK_AWAY {
            spin_loop();
        }
        shard.signal.wait(timeout, || shard.len() > 0 || self.shared.closed.load(Ordering::SeqCst));
        shard.len() > 0
    }

    /// Discards all but the newest event of each key, counted as dropped; those left come out next, in order.
    ///
    /// For a level that resumes after a pause: what was overtaken meanwhile has no value.
    pub fn keep_newest<K: Ord>(&mut self, key: impl Fn(&T) -> K) {
        let mut waiting: Vec<T> = self.resumed.drain(..).collect();
        for _ in 0..self.len() {
            waiting.extend(self.take::<false>());
        }
        let mut seen = BTreeSet::new();
        let newest = waiting.iter().rev().filter(|event| seen.insert(key(event))).copied();
        self.resumed = newest.collect();
        self.resumed.make_contiguous().reverse();
        let overtaken = waiting.len().saturating_sub(self.resumed.len()) as u64;
        if let Some(shard) = self.shared.shards.get(self.shard) {
            shard.overtaken.fetch_add(overtaken, Ordering::Relaxed);
            shard.resumed.store(self.resumed.len(), Ordering::Release);
        }
    }
}
