//! P2: events of one key merge, signals never do.

use std::collections::{HashMap, VecDeque};

use std::hash::Hash;

use super::{QueueCounters, count};
use crate::event::{EventType, PutResult};

/// An event that may be merged into an older one.
pub trait Collapse {
    /// What makes two pending events the same wish; never the type alone where there is a scope.
    type Key: Eq + Hash + Clone + std::fmt::Debug;

    /// Its type.
    fn kind(&self) -> EventType;

    /// Its key.
    fn key(&self) -> Self::Key;

    /// Takes in the data of a newer event of the same key.
    fn merge(&mut self, newer: Self);
}

/// A waiting event and when it came.
#[derive(Debug)]
struct Waiting<T> {
    arrival: u64,
    event: T,
}

/// Events in order of arrival that leave at the front only, so that a place, once given, finds its event.
#[derive(Debug)]
struct Lane<T: Collapse> {
    waiting: VecDeque<Waiting<T>>,
    places: HashMap<T::Key, u64>,
    /// Place of the front: how many have left.
    front: u64,
}

impl<T: Collapse> Lane<T> {
    fn new(capacity: usize) -> Self {
        Self {
            waiting: VecDeque::with_capacity(capacity),
            places: HashMap::with_capacity(capacity),
            front: 0,
        }
    }

    fn pending(&mut self, key: &T::Key) -> Option<&mut T> {
        let offset = self.places.get(key)?.wrapping_sub(self.front);
        self.waiting.get_mut(usize::try_from(offset).ok()?).map(|waiting| &mut waiting.event)
    }

    fn push(&mut self, key: T::Key, arrival: u64, event: T) {
        let place = self.front.wrapping_add(u64::try_from(self.waiting.len()).unwrap_or(u64::MAX));
        self.places.insert(key, place);
        self.waiting.push_back(Waiting { arrival, event });
    }

    fn pop(&mut self) -> Option<T> {
        let event = self.waiting.pop_front()?.event;
        self.places.remove(&event.key());
        self.front = self.front.wrapping_add(1);
        Some(event)
    }

    fn clear(&mut self) {
        self.waiting.clear();
        self.places.clear();
    }
}

/// A queue that folds a new event into a pending one of the same key.
///
/// The merged event keeps the place of the older one, so that nothing starves, and takes the data of the newer one.
/// At capacity the oldest event that may merge makes room; if only signals wait, the new event is refused. Signals
/// stand in a lane of their own, so that making room is taking the front of the other lane.
#[derive(Debug)]
pub struct CollapsingQueue<T: Collapse> {
    mergeable: Lane<T>,
    signals: Lane<T>,
    next_arrival: u64,
    capacity: usize,
    counters: QueueCounters,
}

impl<T: Collapse> CollapsingQueue<T> {
    /// A queue of `capacity` slots.
    pub fn new(capacity: usize) -> Self {
        Self {
            mergeable: Lane::new(capacity),
            signals: Lane::new(capacity),
            next_arrival: 0,
            capacity,
            counters: QueueCounters::default(),
        }
    }

    /// Takes in an event: `Accepted`, `Merged`, `AcceptedDroppedOldest` or `RefusedFull`.
    pub fn put(&mut self, event: T) -> PutResult {
        let full = self.len() >= self.capacity;
        let (kind, key) = (event.kind(), event.key());
        if let Some(pending) = self.lane_of(kind).pending(&key) {
            // A duplicate signal leaves the first one as it is.
            if kind.flags().can_collapse {
                pending.merge(event);
            }
            count(&mut self.counters.merged);
            return PutResult::Merged;
        }
        if full {
            if self.mergeable.pop().is_none() {
                count(&mut self.counters.refused);
                return PutResult::RefusedFull;
            }
            count(&mut self.counters.dropped);
        }
        let arrival = self.next_arrival;
        self.next_arrival = arrival.wrapping_add(1);
        self.lane_of(kind).push(key, arrival, event);
        count(&mut self.counters.admitted);
        if full { PutResult::AcceptedDroppedOldest } else { PutResult::Accepted }
    }

    fn lane_of(&mut self, kind: EventType) -> &mut Lane<T> {
        if kind.flags().can_collapse { &mut self.mergeable } else { &mut self.signals }
    }

    /// The lane whose front came first.
    fn oldest_lane(&mut self) -> &mut Lane<T> {
        let arrival = |lane: &Lane<T>| lane.waiting.front().map_or(u64::MAX, |front| front.arrival);
        if arrival(&self.signals) < arrival(&self.mergeable) {
            &mut self.signals
        } else {
            &mut self.mergeable
        }
    }

    /// The oldest event.
    pub fn pop(&mut self) -> Option<T> {
        let event = self.oldest_lane().pop()?;
        count(&mut self.counters.handled);
        Some(event)
    }

    /// Takes out the oldest event if `is_expired` says that it is too old to be handled.
    pub fn expire_oldest(&mut self, is_expired: impl FnOnce(&T) -> bool) -> Option<T> {
        let lane = self.oldest_lane();
        if !is_expired(&lane.waiting.front()?.event) {
            return None;
        }
        let event = lane.pop()?;
        count(&mut self.counters.expired);
        Some(event)
    }

    /// Gives up the oldest event, counted as dropped.
    pub fn drop_oldest(&mut self) -> Option<T> {
        let event = self.oldest_lane().pop()?;
        count(&mut self.counters.dropped);
        Some(event)
    }

    /// Gives up everything that waits, counted as dropped.
    pub fn purge(&mut self) {
        let purged = u64::try_from(self.len()).unwrap_or(u64::MAX);
        self.counters.dropped = self.counters.dropped.saturating_add(purged);
        self.mergeable.clear();
        self.signals.clear();
    }

    /// Counts an event that was not let in because the level is paused.
    pub const fn count_refused(&mut self) {
        count(&mut self.counters.refused);
    }

    /// Events waiting.
    #[inline]
    pub fn len(&self) -> usize {
        self.mergeable.waiting.len().saturating_add(self.signals.waiting.len())
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Slots.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// What became of the events so far.
    pub const fn counters(&self) -> &QueueCounters {
        &self.counters
    }
}
