//! One word that every order is held against. Asking it is one load; raising it never waits for anybody.
//!
//! | Bits | Content |
//! |---|---|
//! | 0–1 | [`State`] |
//! | 2–4 | kill level, one bit per level |
//! | 5–9 | safe mode, `halt_all`, ETEDA suspended, entries blocked, journal failed |
//! | 10–11 | [`ProtectiveExits`], fixed for the life of the word |
//! | 12–31 | zero |
//! | 32–63 | how often it has been raised, wrapping |
//!
//! The count is what makes a release safe: a fault that strikes while the state is already FAIL changes no other bit, and
//! a release of what was seen before it must fail all the same.

use std::collections::VecDeque;
use std::time::Duration;

use super::codes::Code;
use super::permit::{self, ActionClass, Flags, ProtectiveExits, State};
use crate::sync::{AtomicU64, Mutex, Ordering, Padded, Signal, lock};

const ONE_RAISE: u64 = 1 << 32;
/// Raises that wait to be taken, and as many that wait to be written; those beyond it are counted, not kept. The first
/// ones tell the cause.
const RAISES_KEPT: usize = 256;

/// One raise of the state, as it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raise {
    /// Its number: each has a higher one than those before it.
    pub seq: u64,
    /// Why.
    pub code: &'static Code,
    /// The state before.
    pub from: State,
    /// The state after; equal to `from` if that was as strong already.
    pub to: State,
    /// Flags that were set with it.
    pub flags: Flags,
    /// When, in the nanoseconds of whoever raised it.
    pub at_ns: u64,
}

/// Why a release did not happen. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// The word is no longer what was seen.
    #[error("the safety word has changed since it was read")]
    Changed,
    /// There are raises that nobody has taken yet: it would be a release of unheard faults.
    #[error("there are raises that have not been taken yet")]
    Unheard,
    /// The kill switch is engaged.
    #[error("the kill switch is engaged; clear its flags first")]
    KillEngaged,
    /// The state asked for is not below the one that was seen.
    #[error("the state asked for is not below the state that was seen")]
    NotLower,
}

#[derive(Debug, Default)]
struct Kept {
    raises: VecDeque<Raise>,
    /// Since raises were taken last.
    lost: u64,
    lost_ever: u64,
    /// Number of the last raise.
    last_seq: u64,
    /// Number of the last raise when raises were taken last.
    taken_seq: u64,
    /// What a scribe has not written down yet; None without one.
    unwritten: Option<VecDeque<Raise>>,
}

/// State, flags and policy in one atomic word, with the raises that led to it.
#[derive(Debug)]
pub struct SafetyWord {
    word: Padded<AtomicU64>,
    /// Raises of the state that have not been taken. Counted up before the word changes, so that whoever sees a raised
    /// word knows of its record even while that is still being written.
    unheard: AtomicU64,
    kept: Mutex<Kept>,
    scribe: Signal,
}

impl SafetyWord {
    /// A word in NORMAL without flags.
    pub fn new(exits: ProtectiveExits) -> Self {
        Self {
            word: Padded(AtomicU64::new(permit::with_exits(exits))),
            unheard: AtomicU64::new(0),
            kept: Mutex::new(Kept::default()),
            scribe: Signal::default(),
        }
    }

    /// The whole word, to be handed back to [`Self::release`] or [`Self::clear_flags`].
    pub fn value(&self) -> u64 {
        self.word.load(Ordering::Acquire)
    }

    /// The state.
    pub fn state(&self) -> State {
        permit::state_of(self.value())
    }

    /// The flags.
    pub fn flags(&self) -> Flags {
        Flags::of_word(self.value())
    }

    /// Whether `action` is permitted now: one load and one look into a table.
    #[inline]
    pub fn permits(&self, action: ActionClass) -> bool {
        permit::permits(self.value(), action)
    }

    /// Raises the state to at least `state` and sets `flags`, in one step. Whether the state has changed.
    ///
    /// Works from the instant the word has changed; recording it takes a lock for a few instructions, and wakes the scribe
    /// if there is one.
    pub fn raise(&self, state: State, flags: Flags, code: &'static Code, at_ns: u64) -> bool {
        self.unheard.fetch_add(1, Ordering::Relaxed);
        let before = self.update(|word| {
            let raised = permit::with_state(word, permit::state_of(word).max(state));
            (raised | flags.bits()).wrapping_add(ONE_RAISE)
        });
        let from = permit::state_of(before);
        let to = from.max(state);
        let mut kept = lock(&self.kept);
        kept.last_seq = kept.last_seq.saturating_add(1);
        let raise = Raise { seq: kept.last_seq, code, from, to, flags, at_ns };
        if kept.raises.len() < RAISES_KEPT {
            kept.raises.push_back(raise);
        } else {
            kept.lost = kept.lost.saturating_add(1);
            kept.lost_ever = kept.lost_ever.saturating_add(1);
        }
        if let Some(unwritten) = &mut kept.unwritten {
            // Of those beyond what is kept, the strongest has to outlive the process.
            if unwritten.len() >= RAISES_KEPT
                && unwritten.back().is_some_and(|last| last.to < to || !last.flags.contains(flags))
            {
                unwritten.pop_back();
            }
            if unwritten.len() < RAISES_KEPT {
                unwritten.push_back(raise);
            }
        }
        drop(kept);
        self.scribe.notify();
        from != to
    }

    /// Raises the state to at least `state`, for one who records it himself before he releases anything: no raise is kept.
    /// Whether the state has changed.
    pub fn strengthen(&self, state: State) -> bool {
        let before = self.update(|word| {
            permit::with_state(word, permit::state_of(word).max(state)).wrapping_add(ONE_RAISE)
        });
        permit::state_of(before) < state
    }

    /// Sets flags; whether one of them was not set before.
    pub fn set_flags(&self, flags: Flags) -> bool {
        let before = self.update(|word| (word | flags.bits()).wrapping_add(ONE_RAISE));
        !Flags::of_word(before).contains(flags)
    }

    /// Lowers the state from what was seen to `to`.
    ///
    /// # Errors
    /// [`ReleaseError`] says what stands against it.
    pub fn release(&self, seen: u64, to: State) -> Result<(), ReleaseError> {
        if to >= permit::state_of(seen) {
            return Err(ReleaseError::NotLower);
        }
        if Flags::of_word(seen).contains(Flags::KILL_HALT) {
            return Err(ReleaseError::KillEngaged);
        }
        if self.unheard.load(Ordering::Relaxed) != 0 {
            return Err(ReleaseError::Unheard);
        }
        self.replace(seen, permit::with_state(seen, to))
    }

    /// Clears flags if the word is still what was seen. Any kill level in `flags` clears the kill switch as a whole.
    ///
    /// # Errors
    /// [`ReleaseError::Changed`].
    pub fn clear_flags(&self, seen: u64, flags: Flags) -> Result<(), ReleaseError> {
        self.replace(seen, seen & !flags.to_clear().bits())
    }

    /// The raises since this was asked last, oldest first.
    pub fn take_raises(&self) -> Vec<Raise> {
        let mut kept = lock(&self.kept);
        let raises: Vec<_> = std::mem::take(&mut kept.raises).into();
        let heard = (raises.len() as u64).saturating_add(std::mem::take(&mut kept.lost));
        kept.taken_seq = kept.last_seq;
        drop(kept);
        self.unheard.fetch_sub(heard, Ordering::Relaxed);
        raises
    }

    /// How many raises were counted without being kept, ever: the state they led to stands all the same.
    pub fn raises_lost(&self) -> u64 {
        lock(&self.kept).lost_ever
    }

    /// Number of the last raise when they were taken last, those that were lost among them.
    pub fn taken_seq(&self) -> u64 {
        lock(&self.kept).taken_seq
    }

    /// Number of the last raise.
    pub fn last_seq(&self) -> u64 {
        lock(&self.kept).last_seq
    }

    /// Keeps raises for a scribe from now on, beginning with those that nobody has taken; their numbers are above `after`.
    /// False if there is a scribe already.
    pub fn attach_scribe(&self, after: u64) -> bool {
        let mut kept = lock(&self.kept);
        if kept.unwritten.is_some() {
            return false;
        }
        let shift = after.saturating_sub(kept.taken_seq);
        kept.taken_seq = kept.taken_seq.saturating_add(shift);
        kept.last_seq = kept.last_seq.saturating_add(shift);
        for raise in &mut kept.raises {
            raise.seq = raise.seq.saturating_add(shift);
        }
        kept.unwritten = Some(kept.raises.clone());
        true
    }

    /// Keeps nothing for a scribe any more.
    pub fn detach_scribe(&self) {
        lock(&self.kept).unwritten = None;
    }

    /// What the scribe has not written yet, oldest first.
    pub fn unwritten(&self) -> Vec<Raise> {
        lock(&self.kept).unwritten.iter().flatten().copied().collect()
    }

    /// Says that the raises up to that number are written.
    pub fn written(&self, through: u64) {
        if let Some(unwritten) = &mut lock(&self.kept).unwritten {
            unwritten.retain(|raise| raise.seq > through);
        }
    }

    /// Has the scribe sleep until `is_due` says so; it is asked whenever there is a raise or [`Self::wake_scribe`].
    pub fn wait_as_scribe(&self, mut is_due: impl FnMut() -> bool) {
        while !self.scribe.wait(Duration::MAX, &mut is_due) {}
    }

    /// Has the scribe look again.
    pub fn wake_scribe(&self) {
        self.scribe.notify();
    }

    /// Applies `raised` to the word, whatever others do to it meanwhile; the word before.
    fn update(&self, raised: impl Fn(u64) -> u64) -> u64 {
        let mut seen = self.word.load(Ordering::Relaxed);
        while let Err(now) =
            self.word.compare_exchange_weak(seen, raised(seen), Ordering::AcqRel, Ordering::Relaxed)
        {
            seen = now;
        }
        seen
    }

    fn replace(&self, seen: u64, next: u64) -> Result<(), ReleaseError> {
        let swapped = self.word.compare_exchange(seen, next, Ordering::AcqRel, Ordering::Relaxed);
        swapped.map(drop).map_err(|_| ReleaseError::Changed)
    }
}
