//! P3: everything while there is room, one in so many when there is none.

use std::collections::VecDeque;

use super::{QueueCounters, count};
use crate::event::{EventType, PutResult};

/// An event that may be left out when there is no room.
pub trait Sample {
    /// Its type.
    fn kind(&self) -> EventType;

    /// Whether it may be left out.
    fn can_drop(&self) -> bool;

    /// Notes how many events it stands for.
    fn set_weight(&mut self, weight: u32);
}

/// Slots of the side queue for events that may not be dropped.
const PROTECTED_CAPACITY: usize = 4_096;

/// A queue that samples when it is full.
///
/// At capacity every n-th droppable event of a type is taken and stands for all n; it displaces the oldest one. The
/// choice is by count, not by chance, so that a replay makes the same one. Audit lines and alerts bypass sampling
/// through a side queue that is emptied first.
#[derive(Debug)]
pub struct SamplingQueue<T> {
    events: VecDeque<T>,
    protected: VecDeque<T>,
    capacity: usize,
    period: u32,
    seen_while_full: [u32; EventType::ALL.len()],
    counters: QueueCounters,
}

impl<T: Sample> SamplingQueue<T> {
    /// A queue of `capacity` slots that keeps one in `period` when full; both at least one.
    pub fn new(capacity: usize, period: u32) -> Self {
        let capacity = capacity.max(1);
        Self {
            events: VecDeque::with_capacity(capacity),
            protected: VecDeque::with_capacity(PROTECTED_CAPACITY),
            capacity,
            period: period.max(1),
            seen_while_full: [0; EventType::ALL.len()],
            counters: QueueCounters::default(),
        }
    }

    /// Whether there is room for an event that may not be dropped.
    pub fn has_protected_room(&self) -> bool {
        self.protected.len() < PROTECTED_CAPACITY
    }

    /// Takes in an event: `Accepted`, `AcceptedDroppedOldest`, `SampledOut`, or `RefusedFull` for a protected event
    /// that finds its side queue full.
    pub fn put(&mut self, mut event: T) -> PutResult {
        if !event.can_drop() {
            if !self.has_protected_room() {
                count(&mut self.counters.refused);
                return PutResult::RefusedFull;
            }
            self.protected.push_back(event);
            count(&mut self.counters.admitted);
            return PutResult::Accepted;
        }
        let full = self.events.len() >= self.capacity;
        if full {
            if !self.is_sample(event.kind()) {
                count(&mut self.counters.sampled_out);
                return PutResult::SampledOut;
            }
            event.set_weight(self.period);
            self.events.pop_front();
            count(&mut self.counters.dropped);
        }
        self.events.push_back(event);
        count(&mut self.counters.admitted);
        if full { PutResult::AcceptedDroppedOldest } else { PutResult::Accepted }
    }

    /// Counts one more event of `kind` at capacity; true for every `period`-th.
    fn is_sample(&mut self, kind: EventType) -> bool {
        self.seen_while_full.get_mut(usize::from(kind as u8)).is_some_and(|seen| {
            *seen = seen.saturating_add(1);
            let sample = *seen >= self.period;
            if sample {
                *seen = 0;
            }
            sample
        })
    }

    /// The next event, protected ones first.
    pub fn pop(&mut self) -> Option<T> {
        self.pop_protected().or_else(|| {
            let event = self.events.pop_front();
            if event.is_some() {
                count(&mut self.counters.handled);
            }
            event
        })
    }

    /// The next protected event, also while the level is paused.
    pub fn pop_protected(&mut self) -> Option<T> {
        let event = self.protected.pop_front();
        if event.is_some() {
            count(&mut self.counters.handled);
        }
        event
    }

    /// Whether a protected event waits.
    pub fn has_protected(&self) -> bool {
        !self.protected.is_empty()
    }

    /// Events waiting, protected ones included.
    #[inline]
    pub fn len(&self) -> usize {
        self.events.len().saturating_add(self.protected.len())
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Slots for droppable events.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// What became of the events so far.
    pub const fn counters(&self) -> &QueueCounters {
        &self.counters
    }
}
