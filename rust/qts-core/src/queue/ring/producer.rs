//! The way into the ring for one producer.

use std::fmt;
use std::marker::PhantomData;

use super::{RingRecord, Shard, Shared, Tally, bump};
use crate::event::PutResult;
use crate::queue::lane::{Contended, Cursor, Head, Record, SlotWords};
use crate::sync::{Arc, AtomicU64, Ordering};

/// How often a producer tries to remove the oldest event before it gives up its new one.
const MAX_TRIES: u32 = 64;
/// Puts of a batch for which a full ring makes room at once.
const STRETCH: usize = 64;
/// Stretches between two looks at who sleeps: some microseconds, less than it takes to wake anybody.
const WAKE_EVERY: usize = 4;
/// Most puts of one producer between two looks at what all of them hold.
const MAX_QUOTA: usize = 64;

/// A bit for each shard; those beyond the 64th share theirs.
#[inline]
const fn shard_bit(at: usize) -> u64 {
    1 << (at & 63)
}

/// The way in for one producer. Putting never waits.
pub struct RingProducer<T: Record> {
    shared: Arc<Shared<T::Words>>,
    lane: usize,
    cursors: Box<[Cursor]>,
    /// Puts left before the next look at what all producers hold.
    room: usize,
    /// By shard: events that have made room for the next ones of the batch.
    places: Box<[usize]>,
    /// All of those.
    places_held: usize,
    /// The only producer there can be numbers its events itself.
    is_alone: bool,
    last_seq: u64,
    records: PhantomData<fn(T)>,
}

impl<T: Record> fmt::Debug for RingProducer<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RingProducer").field("lane", &self.lane).finish_non_exhaustive()
    }
}

impl<T: Record> RingProducer<T> {
    pub(super) fn new(shared: &Arc<Shared<T::Words>>, lane: usize) -> Self {
        Self {
            cursors: vec![Cursor::default(); shared.shards.len()].into(),
            places: vec![0; shared.shards.len()].into(),
            shared: Arc::clone(shared),
            lane,
            room: 0,
            places_held: 0,
            is_alone: shared.tallies.len() == 1,
            last_seq: 0,
            records: PhantomData,
        }
    }
}

impl<T: RingRecord> RingProducer<T> {
    /// Number for the next event, rising over all producers.
    #[inline]
    pub fn next_seq(&mut self) -> u64 {
        self.next_seqs(1)
    }

    /// The first of the numbers for the next `count` events.
    #[inline]
    pub fn next_seqs(&mut self, count: u64) -> u64 {
        if self.is_alone {
            let first = self.last_seq.wrapping_add(1);
            self.last_seq = self.last_seq.wrapping_add(count);
            return first;
        }
        self.shared.next_seq.fetch_add(count, Ordering::Relaxed).wrapping_add(1)
    }

    /// Takes in an event: `Accepted`, `AcceptedDroppedOldest`, `RefusedFull` when the oldest was contended 64 times, or
    /// `Closed`.
    #[inline]
    pub fn put(&mut self, event: &T) -> PutResult {
        let at = self.shard_of(event.shard_key());
        let result = self.admit(event, at);
        if let Some(shard) = self.shared.shards.get(at) {
            shard.signal.notify();
        }
        result
    }

    /// Takes in events in their order, each after `prepare` has seen it, telling `each` what became of it. Consumers are
    /// woken once for some dozens, and where the ring is full the oldest go by the dozen, too: a batch goes in several
    /// times as fast as its events one by one.
    ///
    /// `events` is cloned to look ahead, so going through it must be cheap and change nothing.
    #[inline]
    pub fn put_batch(
        &mut self,
        mut events: impl Iterator<Item = T> + Clone,
        mut prepare: impl FnMut(&mut T),
        mut each: impl FnMut(PutResult),
    ) {
        let mut touched = 0;
        for stretch in 1_usize.. {
            if self.room < STRETCH {
                self.make_room_ahead(events.clone().take(STRETCH));
            }
            let mut count = 0_usize;
            for mut event in events.by_ref().take(STRETCH) {
                let at = self.shard_of(event.shard_key());
                prepare(&mut event);
                each(self.admit(&event, at));
                touched |= shard_bit(at);
                count = count.wrapping_add(1);
            }
            let is_over = count < STRETCH;
            if is_over || stretch.is_multiple_of(WAKE_EVERY) {
                self.wake(touched);
                touched = 0;
            }
            if is_over {
                return;
            }
        }
    }

    fn wake(&self, touched: u64) {
        for (at, shard) in self.shared.shards.iter().enumerate() {
            if touched & shard_bit(at) != 0 {
                shard.signal.notify();
            }
        }
    }

    /// Puts an event into a shard without waking its consumer.
    #[inline]
    pub(super) fn admit(&mut self, event: &T, at: usize) -> PutResult {
        if self.shared.closed.load(Ordering::Relaxed) {
            return PutResult::Closed;
        }
        let mut words = T::Words::ZERO;
        let len = event.encode(&mut words);
        let dropped = self.room == 0
            && (self.take_place(at)
                || match self.make_room(at) {
                    Ok(dropped) => dropped,
                    Err(Contended) => return self.give_up(&mut words),
                });
        let Some(shard) = self.shared.shards.get(at) else { return PutResult::Closed };
        let (Some(lane), Some(cursor)) = (shard.lanes.get(self.lane), self.cursors.get_mut(at)) else {
            return PutResult::Closed;
        };
        let mut dropped = dropped;
        if !lane.push(cursor, &words, len) {
            // Others left no room in the lane itself: the same rule, for this lane alone.
            match self.replace_oldest(at, &words, len) {
                Ok(()) => dropped = true,
                Err(Contended) => return self.give_up(&mut words),
            }
        }
        self.room = self.room.saturating_sub(1);
        if dropped { PutResult::AcceptedDroppedOldest } else { PutResult::Accepted }
    }

    #[inline]
    fn shard_of(&self, key: u32) -> usize {
        match self.shared.shards.len() {
            1 => 0,
            // Neighbouring numbers spread over the shards.
            shards => (key as usize).checked_rem(shards).unwrap_or(0),
        }
    }

    /// Uses a place that an older event has left to the batch.
    #[inline]
    fn take_place(&mut self, shard: usize) -> bool {
        let Some(places) = self.places.get_mut(shard).filter(|places| **places > 0) else { return false };
        *places = places.wrapping_sub(1);
        self.places_held = self.places_held.saturating_sub(1);
        self.room = 1;
        true
    }

    /// Looks at what all producers hold and grants this one its share of the room; returns what is free.
    fn share_room(&mut self) -> usize {
        let shared = &*self.shared;
        let free = shared.capacity.saturating_sub(shared.len()).saturating_sub(self.places_held);
        let producers = shared.tallies.len().min(shared.producers_given.load(Ordering::Relaxed)).max(1);
        self.room = match (free, producers) {
            (0, _) | (_, 1) => free,
            _ => free.checked_div(producers).unwrap_or(1).clamp(1, MAX_QUOTA),
        };
        if self.places_held > 0 {
            self.room = self.room.min(1); // the places first, or some would stay empty
        }
        free
    }

    /// Removes as many of the oldest events as the next ones of a batch will displace, each from the shard of its
    /// successor: what a put of each by itself would do, but with one look at the consumer's line for all of them.
    #[cold]
    fn make_room_ahead(&mut self, next: impl Iterator<Item = T>) {
        self.places.fill(0);
        self.places_held = 0;
        if self.share_room() > self.room {
            return; // there is more for this producer than its share of now
        }
        for event in next.skip(self.room) {
            let at = self.shard_of(event.shard_key());
            if let Some(places) = self.places.get_mut(at) {
                *places = places.wrapping_add(1);
            }
        }
        for at in 0..self.places.len() {
            let wanted = self.places.get(at).map_or(0, |places| *places);
            let left = self.displace(at, wanted);
            if let Some(places) = self.places.get_mut(at) {
                *places = left;
            }
            self.places_held = self.places_held.saturating_add(left);
        }
    }

    /// Removes up to `wanted` of the oldest events of a shard, as long as no other producer has any there.
    fn displace(&self, shard: usize, wanted: usize) -> usize {
        let Some(shard) = self.shared.shards.get(shard).filter(|_| wanted > 0) else { return 0 };
        let mut others = shard.lanes.iter().enumerate().filter(|(at, _)| *at != self.lane);
        match shard.lanes.get(self.lane) {
            Some(own) if others.all(|(_, lane)| lane.len() == 0) => {
                own.drop_oldest_own(wanted, |head| self.count(head, |tally| &tally.dropped))
            }
            _ => 0,
        }
    }

    /// Finds room for one event; where there is none, removes the oldest one. Says whether one was removed.
    #[cold]
    fn make_room(&mut self, shard: usize) -> Result<bool, Contended> {
        if self.share_room() > 0 {
            return Ok(false);
        }
        self.room = 1;
        for _ in 0..MAX_TRIES {
            let Some(at) = self.giving(shard) else { return Ok(false) };
            if self.take_place(at) {
                return Ok(true); // the next of that shard looks for another
            }
            let oldest = self.shared.shards.get(at).and_then(Shard::oldest_lane);
            match oldest.map_or(Ok(None), |(_, lane)| lane.drop_oldest()) {
                Ok(None) => return Ok(false), // everything has been taken meanwhile
                Ok(Some(head)) => {
                    self.count(head, |tally| &tally.dropped);
                    return Ok(true);
                }
                Err(Contended) => {}
            }
        }
        self.room = 0;
        Err(Contended)
    }

    /// The shard whose oldest event makes room for one of `shard`: itself, or the fullest if it is empty.
    fn giving(&self, shard: usize) -> Option<usize> {
        let shards = &self.shared.shards;
        if shards.get(shard)?.len() > 0 {
            return Some(shard);
        }
        let full = |(at, shard): (usize, &Shard<_>)| {
            (shard.len().saturating_add(self.places.get(at).map_or(0, |places| *places)), at)
        };
        shards.iter().enumerate().map(full).max().map(|(_, at)| at)
    }

    /// Puts an event into a lane that is full to its last slot, in place of the lane's oldest.
    #[cold]
    fn replace_oldest(&self, shard: usize, words: &T::Words, len: usize) -> Result<(), Contended> {
        let lane =
            self.shared.shards.get(shard).and_then(|shard| shard.lanes.get(self.lane)).ok_or(Contended)?;
        let mut cursor = Cursor::default();
        for _ in 0..MAX_TRIES {
            if let Ok(Some(head)) = lane.drop_oldest() {
                self.count(head, |tally| &tally.dropped);
            }
            if lane.push(&mut cursor, words, len) {
                return Ok(());
            }
        }
        Err(Contended)
    }

    #[cold]
    fn give_up(&self, words: &mut T::Words) -> PutResult {
        self.count(Head(words.head_mut().map_or(0, |word| *word)), |tally| &tally.contended);
        PutResult::RefusedFull
    }

    fn count(&self, head: Head, cells: impl Fn(&Tally) -> &[AtomicU64]) {
        let tally = self.shared.tallies.get(self.lane);
        if let Some(cell) = tally.and_then(|tally| cells(tally).get(usize::from(head.kind()))) {
            bump(cell);
        }
    }
}
