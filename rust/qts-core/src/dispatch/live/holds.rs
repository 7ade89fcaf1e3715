//! Words that stop orders: set by whichever thread finds the fault, read right before an order leaves. They do not
//! depend on a queue being emptied or on somebody hearing an alert.

use crate::sync::{AtomicU64, Ordering, Padded};

/// Why entries are blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Cause {
    /// P0 was found full (FS095); ends by itself once it has had room for a while.
    P0Full = 0,
    /// The P0 thread has failed (FS096).
    P0Failed = 1,
    /// P1 could not be rebuilt (FS097).
    P1Failed = 2,
    /// A P0 event was given up (FS098).
    P0DeadLetter = 3,
    /// A P0 event could not be written to the journal (FS063).
    Journal = 4,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::P0Full, Self::P0Failed, Self::P1Failed, Self::P0DeadLetter, Self::Journal];

    /// Its code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::P0Full => "FS095",
            Self::P0Failed => "FS096",
            Self::P1Failed => "FS097",
            Self::P0DeadLetter => "FS098",
            Self::Journal => "FS063",
        }
    }

    /// Whether decisions are suspended as well: they would rest on what nobody has heard, or on old data.
    const fn suspends_decisions(self) -> bool {
        matches!(self, Self::P0Failed | Self::P1Failed)
    }

    const fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// What is blocked now, and why.
#[derive(Debug, Default)]
pub struct Holds(Padded<AtomicU64>);

impl Holds {
    /// Whether no order may leave that opens or adds to a position; exits may.
    #[inline]
    pub fn entries_blocked(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }

    /// Whether no cycle may decide anything.
    pub fn decisions_suspended(&self) -> bool {
        Cause::ALL.into_iter().any(|cause| cause.suspends_decisions() && self.has(cause))
    }

    /// Whether that cause stands.
    pub fn has(&self, cause: Cause) -> bool {
        self.0.load(Ordering::Acquire) & cause.bit() != 0
    }

    /// Blocks; true if that cause did not stand before.
    pub(super) fn raise(&self, cause: Cause) -> bool {
        self.0.fetch_or(cause.bit(), Ordering::AcqRel) & cause.bit() == 0
    }

    /// Takes that cause away.
    pub(super) fn release(&self, cause: Cause) {
        self.0.fetch_and(!cause.bit(), Ordering::AcqRel);
    }
}
