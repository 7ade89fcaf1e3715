//! The events of one producer, oldest first: what the lock-free queues are made of.

use std::collections::TryReserveError;
use std::fmt;

use crate::sync::{AtomicU64, Ordering, Padded};

/// A value of fixed size that travels through a queue as words.
pub trait Record: Copy {
    /// `[u64; N]`: as many words as the largest value takes. Slots are no larger than that, so that a full queue stays
    /// in the processor's cache.
    type Words: SlotWords;

    /// Writes the value and returns how many words it takes, at least one. The first word is [`Head`]; its length and
    /// flags are the queue's. The second is the sequence number.
    fn encode(&self, words: &mut Self::Words) -> usize;

    /// The value that [`Record::encode`] wrote.
    fn decode(words: &Self::Words) -> Self;
}

/// The words of a record: `[u64; N]` for any `N` from 2 to 255.
pub trait SlotWords: Copy {
    /// The same words where two threads may look at them.
    type Cells: fmt::Debug + Send + Sync;
    /// All zero.
    const ZERO: Self;

    /// Cells that hold zeros.
    fn cells() -> Self::Cells;

    /// Writes the first `len` words to the cells.
    fn store(&self, cells: &Self::Cells, len: usize);

    /// Reads as many words as were written. They mean something only once the entry has been claimed.
    fn load(&mut self, cells: &Self::Cells) -> Head;

    /// Reads the first word and the sequence number.
    fn peek(cells: &Self::Cells) -> (Head, u64);

    /// The first word.
    fn head_mut(&mut self) -> Option<&mut u64>;
}

/// The cells of a slot, on lines of their own: two threads at neighbouring slots do not disturb each other.
#[derive(Debug)]
#[repr(align(64))]
pub struct Cells<const N: usize>([AtomicU64; N]);

impl<const N: usize> SlotWords for [u64; N] {
    type Cells = Cells<N>;
    const ZERO: Self = [0; N];

    fn cells() -> Cells<N> {
        Cells(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    #[inline]
    fn store(&self, cells: &Cells<N>, len: usize) {
        let mut pairs = cells.0.iter().zip(self);
        if let Some((cell, head)) = pairs.next() {
            cell.store(Head(*head).with_len(len).0, Ordering::Relaxed);
        }
        for (cell, word) in pairs.take(len.wrapping_sub(1)) {
            cell.store(*word, Ordering::Relaxed);
        }
    }

    #[inline]
    fn load(&mut self, cells: &Cells<N>) -> Head {
        let mut pairs = cells.0.iter().zip(self);
        let Some((cell, head)) = pairs.next() else { return Head(0) };
        *head = cell.load(Ordering::Relaxed);
        let found = Head(*head);
        for (cell, word) in pairs.take(found.len().wrapping_sub(1)) {
            *word = cell.load(Ordering::Relaxed);
        }
        found
    }

    #[inline]
    fn peek(cells: &Cells<N>) -> (Head, u64) {
        let word = |at: usize| cells.0.get(at).map_or(0, |cell| cell.load(Ordering::Relaxed));
        (Head(word(0)), word(SEQ_WORD))
    }

    #[inline]
    fn head_mut(&mut self) -> Option<&mut u64> {
        self.first_mut()
    }
}

/// The first word of a slot: type of the event, words used, and what the queue notes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head(pub u64);

impl Head {
    /// The event was taken into the spill.
    pub(crate) const SPILLED: u64 = 1 << 16;

    /// A head with the number of the event type (`EventType as u8`) and 32 bits of the record's own.
    pub const fn new(kind: u8, own: u32) -> Self {
        Self(kind as u64 | (own as u64) << 32)
    }

    /// Number of the event type.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the low byte is meant")]
    pub const fn kind(self) -> u8 {
        self.0 as u8
    }

    /// The record's own bits.
    #[inline]
    pub const fn own(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline]
    pub(crate) const fn is_spilled(self) -> bool {
        self.0 & Self::SPILLED != 0
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "one byte, masked")]
    const fn len(self) -> usize {
        (self.0 >> 8) as u8 as usize
    }

    #[inline]
    const fn with_len(self, len: usize) -> Self {
        Self(self.0 & !0xff00 | (len as u64 & 0xff) << 8)
    }
}

/// Place of the sequence number in every record: the queue orders the lanes of several producers by it.
pub(crate) const SEQ_WORD: usize = 1;

/// A ring with one producer, whose oldest entry anybody may take.
///
/// A taker copies the words of the oldest slot and then moves the head on by compare-and-swap. The producer writes to
/// a slot again only after it has seen the head pass it, so if the swap succeeds the copy is whole, and if it fails the
/// copy is thrown away. Nobody ever waits for somebody who has stopped half-way: a stopped producer has not published,
/// a stopped taker has claimed nothing. Positions count up for ever and never come back.
#[derive(Debug)]
pub(crate) struct Lane<W: SlotWords> {
    slots: Box<[W::Cells]>,
    /// Position of the oldest entry.
    head: Padded<AtomicU64>,
    /// Position after the newest entry; only the producer moves it.
    tail: Padded<AtomicU64>,
}

/// What one end of a lane remembers of it, so that it looks at the other end's line as rarely as it can.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cursor {
    /// Where the other end was when this one looked.
    seen: u64,
    /// A position and its slot: dividing costs more than counting on.
    position: u64,
    at: usize,
}

impl Cursor {
    /// The slot of a position among `slots`; quick for the one after the last that was asked for.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "below the number of slots")]
    fn slot(&mut self, position: u64, slots: usize) -> usize {
        if position != self.position {
            let next = self.at.wrapping_add(1);
            self.at = if position != self.position.wrapping_add(1) {
                position.checked_rem(slots as u64).unwrap_or(0) as usize
            } else if next < slots {
                next
            } else {
                0
            };
            self.position = position;
        }
        self.at
    }
}

impl<W: SlotWords> Lane<W> {
    /// A lane for `capacity` entries.
    pub(crate) fn new(capacity: usize) -> Self {
        Self::of((0..capacity.max(1)).map(|_| W::cells()).collect())
    }

    /// As [`Self::new`], but the memory may be refused.
    pub(crate) fn try_new(capacity: usize) -> Result<Self, TryReserveError> {
        let capacity = capacity.max(1);
        let mut slots = Vec::new();
        slots.try_reserve_exact(capacity)?;
        slots.extend((0..capacity).map(|_| W::cells()));
        Ok(Self::of(slots.into_boxed_slice()))
    }

    fn of(slots: Box<[W::Cells]>) -> Self {
        Self { slots, head: Padded::default(), tail: Padded::default() }
    }

    /// Publishes `len` words as the newest entry; false if there is no slot. Only the lane's producer may call this;
    /// `cursor` is its own.
    #[inline]
    pub(crate) fn push(&self, cursor: &mut Cursor, words: &W, len: usize) -> bool {
        let tail = self.tail.load(Ordering::Relaxed);
        let slots = self.slots.len() as u64;
        if tail.wrapping_sub(cursor.seen) >= slots {
            cursor.seen = self.head.load(Ordering::Acquire);
            if tail.wrapping_sub(cursor.seen) >= slots {
                return false;
            }
        }
        let Some(slot) = self.slots.get(cursor.slot(tail, self.slots.len())) else { return false };
        words.store(slot, len);
        self.tail.store(tail.wrapping_add(1), Ordering::Release);
        true
    }

    /// Takes the oldest entry; None if there is none. `cursor` is the taker's own. `ALONE`: nobody else can take, drop
    /// or put meanwhile.
    #[inline]
    pub(crate) fn pop<const ALONE: bool>(&self, cursor: &mut Cursor, words: &mut W) -> Option<Head> {
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            // Others may have taken entries beyond the tail that was seen.
            if head >= cursor.seen {
                cursor.seen = self.tail.load(Ordering::Acquire);
                if head == cursor.seen {
                    return None;
                }
            }
            let first = words.load(self.slots.get(cursor.slot(head, self.slots.len()))?);
            if ALONE {
                self.head.store(head.wrapping_add(1), Ordering::Release);
                return Some(first);
            }
            match self.claim(head) {
                Ok(()) => return Some(first),
                Err(moved) => head = moved,
            }
        }
    }

    /// The oldest entry's place, first word and sequence number, None if there is none. It may be gone already.
    #[inline]
    fn oldest(&self) -> Option<(u64, Head, u64)> {
        let head = self.head.load(Ordering::Acquire);
        if head == self.tail.load(Ordering::Acquire) {
            return None;
        }
        let (first, seq) = W::peek(self.at(head)?);
        Some((head, first, seq))
    }

    /// Takes the oldest entry without its data, trying once; Err if somebody else was faster.
    pub(crate) fn drop_oldest(&self) -> Result<Option<Head>, Contended> {
        let Some((head, first, _)) = self.oldest() else { return Ok(None) };
        self.claim(head).map(|()| Some(first)).map_err(|_| Contended)
    }

    /// Takes up to `most` of the oldest entries without their data, showing the first word of each; returns how many.
    /// Only the lane's producer may call this.
    pub(crate) fn drop_oldest_own(&self, most: usize, mut each: impl FnMut(Head)) -> usize {
        let tail = self.tail.load(Ordering::Relaxed);
        let mut head = self.head.load(Ordering::Acquire);
        let taken = loop {
            let count = tail.wrapping_sub(head).min(most as u64);
            let end = head.wrapping_add(count);
            match self.head.compare_exchange(head, end, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break head..end,
                Err(moved) => head = moved, // others take only what is there: this ends
            }
        };
        // Nobody writes there before the producer does, which is busy here.
        taken.map(|position| each(self.at(position).map_or(Head(0), |slot| W::peek(slot).0))).count()
    }

    #[allow(clippy::cast_possible_truncation, reason = "below the number of slots")]
    fn at(&self, position: u64) -> Option<&W::Cells> {
        self.slots.get(position.checked_rem(self.slots.len() as u64)? as usize)
    }

    /// Moves the head past the entry at `head`; Err with the place where it is if somebody else has.
    #[inline]
    fn claim(&self, head: u64) -> Result<(), u64> {
        self.head
            .compare_exchange(head, head.wrapping_add(1), Ordering::AcqRel, Ordering::Acquire)
            .map(|_| ())
    }

    /// Sequence number of the oldest entry, None if there is none. It may be gone already.
    #[inline]
    pub(crate) fn oldest_seq(&self) -> Option<u64> {
        self.oldest().map(|(.., seq)| seq)
    }

    /// Entries waiting; a snapshot, never more than have been put.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        // The head first: it never overtakes a tail that is read later.
        let head = self.head.load(Ordering::Acquire);
        let tail = self.tail.load(Ordering::Acquire);
        usize::try_from(tail.wrapping_sub(head)).unwrap_or(usize::MAX)
    }

    /// How many entries have ever been put.
    pub(crate) fn put_count(&self) -> u64 {
        self.tail.load(Ordering::Acquire)
    }
}

/// Somebody else took the oldest entry at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contended;
