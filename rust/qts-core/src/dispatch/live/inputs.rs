//! The ways in: one for each producer of P0 and P1.

use std::sync::Arc;
use std::time::Duration;

use super::event::SlotEvent;
use super::holds::Cause;
use super::p1::Way;
use super::{Shared, State};
use crate::clock::Clock;
use crate::event::PutResult;
use crate::queue::{BoundedProducer, P0Record, ProducerKind};
use crate::sync::{Ordering, lock};

/// One in so many P1 events has its latency measured.
const P1_SAMPLE: u64 = 16;
/// Events of a batch between two looks at the clock: a few microseconds.
const CLOCK_EVERY: u64 = 64;

impl Clock for Shared {
    fn monotonic_ns(&self) -> u64 {
        self.now_ns()
    }
}

/// A way in for one producer of P0.
pub struct P0Input {
    shared: Arc<Shared>,
    producer: BoundedProducer<SlotEvent>,
    kind: ProducerKind,
    /// This producer's events go to the overflow until that is empty, or they would overtake each other.
    overflows: bool,
}

impl std::fmt::Debug for P0Input {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("P0Input").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl P0Input {
    pub(super) fn new(shared: &Arc<Shared>, kind: ProducerKind) -> Option<Self> {
        let producer = shared.p0.producer(kind)?;
        Some(Self { shared: Arc::clone(shared), producer, kind, overflows: false })
    }

    /// Writes an event to the journal and numbers it; from now on it is not lost. Then [`Self::place`] it.
    ///
    /// What the journal does not take gets the number 0: it is handled all the same, because a fill that is known must
    /// be booked, but it does not come again after a crash. So entries are blocked until somebody has seen to that.
    pub fn prepare(&mut self, mut event: SlotEvent) -> SlotEvent {
        if self.shared.state() != State::Closed {
            event.header.seq = match self.shared.outside.journal(&event) {
                Ok(Some(seq)) => seq,
                Ok(None) => self.producer.next_seq(),
                Err(_) => {
                    self.shared.journal_failed();
                    0
                }
            };
            event.header.t_enqueue_ns = self.shared.now_ns();
        }
        event
    }

    /// Admits a prepared event, without waiting: `Accepted`, `Spilled`, `Closed`, or `RefusedFull` for an ordinary
    /// producer that finds no room.
    pub fn try_place(&mut self, event: &SlotEvent) -> PutResult {
        if self.shared.state() == State::Closed {
            return PutResult::Closed;
        }
        if self.overflows && self.shared.overflow_len.load(Ordering::Acquire) > 0 {
            return self.overflow(event);
        }
        self.overflows = false;
        let result = self.producer.try_put(event);
        if matches!(result, PutResult::Spilled | PutResult::RefusedFull) && !event.is_express() {
            self.shared.block(Cause::P0Full);
        }
        match result {
            PutResult::RefusedFull if self.kind == ProducerKind::Protected => self.overflow(event),
            result => result,
        }
    }

    /// Admits a prepared event; an ordinary producer waits for room, at most `timeout`.
    pub fn place(&mut self, event: &SlotEvent, timeout: Duration) -> PutResult {
        match self.kind {
            ProducerKind::Protected => self.try_place(event),
            ProducerKind::Ordinary => self.producer.put(event, &*self.shared, timeout),
        }
    }

    /// [`Self::prepare`] and [`Self::place`].
    pub fn put(&mut self, event: SlotEvent, timeout: Duration) -> PutResult {
        let event = self.prepare(event);
        self.place(&event, timeout)
    }

    /// Even the spill is full: the last resort takes a lock and allocates, but loses nothing.
    #[cold]
    fn overflow(&mut self, event: &SlotEvent) -> PutResult {
        let mut overflow = lock(&self.shared.overflow);
        overflow.push(*event);
        self.shared.overflow_len.store(overflow.len(), Ordering::Release);
        self.overflows = true;
        PutResult::Spilled
    }
}

/// A way in for one producer of P1; it never waits.
pub struct P1Input {
    shared: Arc<Shared>,
    way: Way,
}

impl std::fmt::Debug for P1Input {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("P1Input").field("producer", &self.way.producer).finish_non_exhaustive()
    }
}

impl P1Input {
    pub(super) fn new(shared: &Arc<Shared>) -> Option<Self> {
        let way = shared.p1.producer(&shared.config)?;
        Some(Self { shared: Arc::clone(shared), way })
    }

    /// Admits an event; the oldest gives way if there is no room.
    #[inline]
    pub fn put(&mut self, mut event: SlotEvent) -> PutResult {
        if self.shared.state() != State::Running {
            return PutResult::Closed;
        }
        loop {
            self.keep_up();
            let Some(producer) = &mut self.way.producer else { return PutResult::Closed };
            let seq = self.way.first_seq.wrapping_add(producer.next_seq());
            event.header.seq = seq;
            event.header.t_enqueue_ns = if seq.is_multiple_of(P1_SAMPLE) { self.shared.now_ns() } else { 0 };
            let result = producer.put(&event);
            // A ring that was replaced at this very moment is closed.
            if result != PutResult::Closed || self.way.generation == self.shared.p1.generation() {
                return result;
            }
        }
    }

    /// Admits `count` events in their order, telling `each` what became of it. `events` is cloned to look ahead.
    pub fn put_batch(
        &mut self,
        count: usize,
        events: impl Iterator<Item = SlotEvent> + Clone,
        mut each: impl FnMut(PutResult),
    ) {
        if self.shared.state() != State::Running {
            (0..count).for_each(|_| each(PutResult::Closed));
            return;
        }
        self.keep_up();
        let (shared, way) = (&*self.shared, &mut self.way);
        let Some(producer) = &mut way.producer else {
            (0..count).for_each(|_| each(PutResult::Closed));
            return;
        };
        let first = way.first_seq.wrapping_add(producer.next_seqs(count as u64));
        let (mut seqs, mut now_ns) = (first.., 0);
        let prepare = |event: &mut SlotEvent| {
            let seq = seqs.next().unwrap_or(0);
            if seq.wrapping_sub(first).is_multiple_of(CLOCK_EVERY) {
                now_ns = shared.now_ns();
            }
            event.header.seq = seq;
            event.header.t_enqueue_ns = if seq.is_multiple_of(P1_SAMPLE) { now_ns } else { 0 };
        };
        // What comes to a ring that is replaced meanwhile goes the way of all that was in it.
        producer.put_batch(events.take(count), prepare, |result| {
            let is_replaced = result == PutResult::Closed && way.generation != shared.p1.generation();
            each(if is_replaced { PutResult::RefusedFull } else { result });
        });
    }

    /// Goes over to the ring of now.
    #[inline]
    fn keep_up(&mut self) {
        if self.way.generation != self.shared.p1.generation() {
            self.way = self.shared.p1.renewed();
        }
    }
}
