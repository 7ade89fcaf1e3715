//! The four queues, one overflow policy each (spec 17 §5).
//!
//! Every queue is allocated once and counts exactly what became of each event:
//! `admitted = handled + dropped + expired + len`, and what was not admitted is counted by its reason.
//!
//! P0 and P1 are lock-free: each producer has a lane of its own, from which anybody may take the oldest event by
//! compare-and-swap, so that a thread that stops at any step stops nobody else. P2 and P3 have one owner.

mod bounded;
mod collapsing;
mod lane;
mod ring;
mod sampling;

pub use bounded::{BoundedConsumer, BoundedProducer, BoundedQueue, P0Record, ProducerKind};
pub use collapsing::{Collapse, CollapsingQueue};
pub use lane::{Head, Record, SlotWords};
pub use ring::{LocalRing, RingBuffer, RingConsumer, RingProducer, RingRecord};
pub use sampling::{Sample, SamplingQueue};

/// What became of the events of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueCounters {
    /// Taken in.
    pub admitted: u64,
    /// Taken out to be handled.
    pub handled: u64,
    /// Taken in, then given up to make room.
    pub dropped: u64,
    /// Folded into an older event of the same key.
    pub merged: u64,
    /// Left out by sampling.
    pub sampled_out: u64,
    /// Not taken in: no room, or the level is paused.
    pub refused: u64,
    /// Of those admitted on P0: taken into the spill. On P3: kept in the journal, because there was no room.
    pub spilled: u64,
    /// Taken in, then too old to be handled.
    pub expired: u64,
}

impl QueueCounters {
    /// The counters of two queues that stand for one.
    pub(crate) const fn plus(&self, other: &Self) -> Self {
        Self {
            admitted: self.admitted.wrapping_add(other.admitted),
            handled: self.handled.wrapping_add(other.handled),
            dropped: self.dropped.wrapping_add(other.dropped),
            merged: self.merged.wrapping_add(other.merged),
            sampled_out: self.sampled_out.wrapping_add(other.sampled_out),
            refused: self.refused.wrapping_add(other.refused),
            spilled: self.spilled.wrapping_add(other.spilled),
            expired: self.expired.wrapping_add(other.expired),
        }
    }
}

/// Counts one more.
#[inline]
pub(crate) const fn count(counter: &mut u64) {
    *counter = counter.wrapping_add(1);
}

#[cfg(test)]
#[cfg(loom)]
mod models;
#[cfg(test)]
#[cfg(shuttle)]
mod schedules;
#[cfg(test)]
#[cfg(not(any(loom, shuttle)))]
mod tests;
