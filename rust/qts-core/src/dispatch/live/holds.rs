//! Words that stop orders: set by whichever thread finds the fault, read right before an order leaves. They do not
//! depend on a queue being emptied or on somebody hearing an alert.

use std::sync::Arc;

use crate::safety::codes::{Code, Effect, FS063, FS095, FS096, FS097, FS098};
use crate::safety::{Flags, SafetyWord, State};
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
    pub fn code(self) -> &'static str {
        self.row().code
    }

    /// The safety state that it raises the word to: what the table says that its code does. None if that is nothing.
    pub fn raises_to(self) -> Option<State> {
        match self.row().effect {
            Effect::Note => None,
            Effect::Warn => Some(State::Warning),
            Effect::Fail => Some(State::Fail),
            Effect::Lockdown => Some(State::Lockdown),
        }
    }

    fn row(self) -> &'static Code {
        match self {
            Self::P0Full => &FS095,
            Self::P0Failed => &FS096,
            Self::P1Failed => &FS097,
            Self::P0DeadLetter => &FS098,
            Self::Journal => &FS063,
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
pub struct Holds {
    causes: Padded<AtomicU64>,
    /// The word of the whole engine, raised with each fault.
    word: Option<Arc<SafetyWord>>,
}

impl Holds {
    /// Nothing is blocked; what will be raises `word` too.
    pub(super) fn under(word: Option<Arc<SafetyWord>>) -> Self {
        Self { causes: Padded::default(), word }
    }

    /// Whether no order may leave that opens or adds to a position; exits may.
    #[inline]
    pub fn entries_blocked(&self) -> bool {
        self.causes.load(Ordering::Acquire) != 0
    }

    /// Whether no cycle may decide anything.
    pub fn decisions_suspended(&self) -> bool {
        Cause::ALL.into_iter().any(|cause| cause.suspends_decisions() && self.has(cause))
    }

    /// Whether that cause stands.
    pub fn has(&self, cause: Cause) -> bool {
        self.causes.load(Ordering::Acquire) & cause.bit() != 0
    }

    /// Blocks; true if that cause did not stand before. Each fault raises the word, but a journal that fails, which fails
    /// for everybody at once, does so once until it is released.
    pub(super) fn raise(&self, cause: Cause, now_ns: impl FnOnce() -> u64) -> bool {
        let is_new = self.causes.fetch_or(cause.bit(), Ordering::AcqRel) & cause.bit() == 0;
        if let (Some(word), Some(state)) = (&self.word, cause.raises_to())
            && (is_new || cause != Cause::Journal)
        {
            word.raise(state, Flags::NONE, cause.row(), now_ns());
        }
        is_new
    }

    /// Takes that cause away.
    pub(super) fn release(&self, cause: Cause) {
        self.causes.fetch_and(!cause.bit(), Ordering::AcqRel);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::safety::{ActionClass, ProtectiveExits};

    #[test]
    fn each_fault_raises_the_word_as_the_table_says_and_a_failing_journal_does_once() {
        let word = Arc::new(SafetyWord::new(ProtectiveExits::TrustedOnly));
        let holds = Holds::under(Some(Arc::clone(&word)));
        assert!(holds.raise(Cause::P0Full, || panic!("a note has no time")));
        assert!(holds.entries_blocked() && word.permits(ActionClass::Entry), "FS095 is a note");
        for cause in Cause::ALL.into_iter().skip(1) {
            assert!(holds.raise(cause, || 7));
            assert!(!holds.raise(cause, || 8));
        }
        assert!(!word.permits(ActionClass::Entry));
        holds.release(Cause::Journal);
        assert!(holds.raise(Cause::Journal, || 9));
        let raises: Vec<_> = word.take_raises().iter().map(|raise| (raise.code.code, raise.at_ns)).collect();
        let twice = ["FS096", "FS097", "FS098"].map(|code| [(code, 7), (code, 8)]);
        assert_eq!(raises, [&twice.concat()[..], &[("FS063", 7), ("FS063", 9)]].concat());
        assert_eq!(word.state(), State::Fail);
    }

    #[test]
    fn without_a_word_entries_are_blocked_all_the_same() {
        let holds = Holds::default();
        assert!(holds.raise(Cause::P0Failed, || panic!("nobody asks")));
        assert!(holds.entries_blocked() && holds.decisions_suspended());
    }
}
