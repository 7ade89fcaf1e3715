//! Where records go: the lock-free reservation of room, and the change from one segment to the next.
//!
//! Places outlive the segments in them. Whoever has reserved room may use the place's memory until its record is
//! published, because a segment leaves its place only after every record in it is; an unreserved look at a place
//! touches nothing but the tail. A place without a segment is sealed. What the memory is does not matter here: this
//! file hands out addresses and never follows one.

use std::ptr::null_mut;

use super::format::SEGMENT_HEADER;
use crate::sync::{AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, Padded};

/// Nobody is to be woken.
const NEVER: u64 = u64::MAX;

/// End of what is reserved, how many records that are, and whether it may become more; one word, so that they change
/// together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// In bytes; a multiple of 8.
    pub end: usize,
    /// Records since the first of the segment.
    pub records: u64,
    /// No more of them.
    pub is_sealed: bool,
}

const SEALED: u64 = 1 << 63;
const ONE_RECORD: u64 = 1 << 32;
const UNITS: u64 = ONE_RECORD - 1;

impl Tail {
    /// A segment in which nothing has been reserved.
    pub const EMPTY: Self = Self { end: SEGMENT_HEADER, records: 0, is_sealed: false };

    #[inline]
    fn unpack(word: u64) -> Self {
        let units = usize::try_from(word & UNITS).unwrap_or(usize::MAX);
        let records = (word & !SEALED) >> 32;
        Self { end: units.saturating_mul(8), records, is_sealed: word & SEALED != 0 }
    }

    fn pack(self) -> u64 {
        let units = u64::try_from(self.end / 8).unwrap_or(UNITS) & UNITS;
        (if self.is_sealed { SEALED } else { 0 }) | (self.records << 32 & !SEALED) | units
    }
}

/// Room for one record, which has to be written: everything behind it waits for that.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Room {
    /// First byte of the segment.
    pub base: *mut u8,
    /// Bytes of the segment.
    pub bytes: usize,
    /// Where in it the room begins.
    pub at: usize,
    /// Number of the record.
    pub seq: u64,
}

/// Publishes the record whose length word that is. The rest of the record has been written.
#[inline]
pub fn publish(word: &AtomicU32, length: u32) {
    word.store(length.to_le(), Ordering::Release);
}

/// Length of the record whose length word that is; zero until it is published. From then on all of it can be read.
#[inline]
pub fn published(word: &AtomicU32) -> u32 {
    u32::from_le(word.load(Ordering::Acquire))
}

/// A place for a segment in use.
#[derive(Debug)]
#[repr(align(128))]
pub struct Place {
    tail: AtomicU64,
    base: AtomicPtr<u8>,
    bytes: AtomicUsize,
    first_seq: AtomicU64,
    /// Records from this time on belong into the next segment.
    day_end: AtomicI64,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            tail: AtomicU64::new(SEALED),
            base: AtomicPtr::new(null_mut()),
            bytes: AtomicUsize::new(0),
            first_seq: AtomicU64::new(0),
            day_end: AtomicI64::new(0),
        }
    }
}

impl Place {
    /// Reserves `bytes`, a multiple of 8, in front of `limit`; `None` if the segment is full or over.
    #[inline]
    pub fn reserve(&self, bytes: usize, limit: usize, ts_ns: i64) -> Option<Room> {
        let step = ONE_RECORD.wrapping_add(u64::try_from(bytes / 8).ok()?);
        // Acquire, as below: a tail that is not sealed belongs to what was stored in front of it.
        let mut word = self.tail.load(Ordering::Acquire);
        loop {
            let tail = Tail::unpack(word);
            if !self.fits(tail, bytes, limit, ts_ns) {
                return None;
            }
            let next = word.wrapping_add(step);
            // Acquire: what was stored when the segment was put here is seen. Release: the flusher's look at the tail
            // and this one order what comes before them.
            match self.tail.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(self.room(tail)),
                Err(seen) => word = seen,
            }
        }
    }

    #[inline]
    fn fits(&self, tail: Tail, bytes: usize, limit: usize, ts_ns: i64) -> bool {
        !tail.is_sealed && tail.end.saturating_add(bytes) <= limit && ts_ns < self.day_end()
    }

    #[inline]
    fn room(&self, tail: Tail) -> Room {
        Room {
            base: self.base.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            at: tail.end,
            seq: self.first_seq().wrapping_add(tail.records),
        }
    }

    /// Whether a reservation would succeed now.
    pub fn has_room(&self, bytes: usize, limit: usize, ts_ns: i64) -> bool {
        self.fits(self.tail(), bytes, limit, ts_ns)
    }

    /// The tail as it is now, in one order with every reservation.
    pub fn tail(&self) -> Tail {
        Tail::unpack(self.tail.fetch_add(0, Ordering::AcqRel))
    }

    /// Ends the reservations and returns the last state. May be called again.
    pub fn seal(&self) -> Tail {
        let mut tail = Tail::unpack(self.tail.fetch_or(SEALED, Ordering::AcqRel));
        tail.is_sealed = true;
        tail
    }

    /// Puts a segment here that no appender knows yet. The place is sealed.
    pub fn fill(&self, base: *mut u8, bytes: usize) {
        self.base.store(base, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Sets what the place holds and whether appends may go on.
    pub fn start(&self, first_seq: u64, day_end: i64, tail: Tail) {
        self.first_seq.store(first_seq, Ordering::Relaxed);
        self.day_end.store(day_end, Ordering::Relaxed);
        self.tail.store(tail.pack(), Ordering::Release);
    }

    /// Room for the commit that ends a sealed segment. For the committer, once.
    pub fn last_room(&self) -> Room {
        let tail = self.seal();
        self.room(tail)
    }

    /// Takes note that the segment is gone. The place is sealed and everything in it published.
    pub fn empty(&self) {
        self.base.store(null_mut(), Ordering::Release);
    }

    /// Whether there is no segment here.
    pub fn is_empty(&self) -> bool {
        self.base.load(Ordering::Acquire).is_null()
    }

    /// Number of the first record.
    #[inline]
    pub fn first_seq(&self) -> u64 {
        self.first_seq.load(Ordering::Relaxed)
    }

    /// Time from which on records belong into the next segment.
    pub fn day_end(&self) -> i64 {
        self.day_end.load(Ordering::Relaxed)
    }
}

/// `N` places, used in turn. Turns count up; every one has its place.
#[derive(Debug)]
pub struct Row<const N: usize> {
    places: [Place; N],
    /// The turn that appends go to.
    current: AtomicUsize,
    /// The record whose appender wakes the flusher.
    wake_at: Padded<AtomicU64>,
}

impl<const N: usize> Default for Row<N> {
    fn default() -> Self {
        Self {
            places: std::array::from_fn(|_| Place::default()),
            current: AtomicUsize::new(0),
            wake_at: Padded(AtomicU64::new(NEVER)),
        }
    }
}

impl<const N: usize> Row<N> {
    /// Reserves room in the current segment.
    ///
    /// # Errors
    /// The turn of the segment that has no room; the caller goes on to the next one and tries again.
    #[inline]
    pub fn reserve(&self, bytes: usize, limit: usize, ts_ns: i64) -> Result<Room, usize> {
        let turn = self.current();
        self.place(turn).reserve(bytes, limit, ts_ns).ok_or(turn)
    }

    /// The turn that appends go to.
    #[inline]
    pub fn current(&self) -> usize {
        self.current.load(Ordering::Acquire)
    }

    /// The place of a turn.
    #[inline]
    #[allow(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "less than the length, never zero"
    )]
    pub fn place(&self, turn: usize) -> &Place {
        &self.places[turn % N]
    }

    /// Ends the current segment and goes on to the one behind it, which is there and not started. For one thread at a
    /// time; `begin` gets the number of its first record before anybody can append to it.
    pub fn advance(&self, day_end: i64, begin: impl FnOnce(u64)) {
        let from = self.current();
        let (old, new) = (self.place(from), self.place(next(from)));
        let tail = old.seal();
        // The number behind the last record belongs to the commit that ends the old segment.
        let first_seq = old.first_seq().saturating_add(tail.records).saturating_add(1);
        begin(first_seq);
        new.start(first_seq, day_end, Tail::EMPTY);
        self.current.store(next(from), Ordering::Release);
    }

    /// Asks to be called when this record is appended. Look at the tail afterwards: an appender that comes too late for
    /// the look sees what is asked here.
    pub fn call_at(&self, seq: u64) {
        self.wake_at.store(seq, Ordering::Release);
    }

    /// Asks not to be called.
    pub fn call_never(&self) {
        self.call_at(NEVER);
    }

    /// Whether the appender of this record has to wake the flusher: once for each time it asked.
    #[inline]
    pub fn is_called(&self, seq: u64) -> bool {
        seq >= self.wake_at.load(Ordering::Relaxed) && self.is_first_call()
    }

    #[cold]
    fn is_first_call(&self) -> bool {
        self.wake_at.swap(NEVER, Ordering::AcqRel) != NEVER
    }
}

/// The turn behind that one.
pub const fn next(turn: usize) -> usize {
    turn.wrapping_add(1)
}
