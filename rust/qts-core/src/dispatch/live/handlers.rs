//! Who handles what, and what becomes of an event that nobody could handle.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::event::Header;
use crate::event::{EventPriority, EventType};

/// An event as its handler sees it.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// Header.
    pub header: &'a Header,
    /// Attempts at this event, this one included.
    pub attempt: u8,
    /// Events folded into this one (P2).
    pub merged_count: u32,
    /// Events this one stands for (P3).
    pub sampled_weight: u32,
    /// What it is about (P2, P3).
    pub scope: &'a str,
    /// Symbols of a `STRATEGY_EVALUATE`.
    pub symbols: &'a [Box<str>],
    /// Whether sampling may discard it (P3).
    pub can_drop: bool,
    /// Payload.
    pub payload: &'a [u8],
}

/// Handles events on the thread of their level. Must be idempotent: a P0 event may come again after a restart.
pub trait Handler: Send + Sync {
    /// Name in counters and alerts; unique within its level.
    fn name(&self) -> &str;

    /// Whether it wants events of a type.
    fn wants(&self, kind: EventType) -> bool {
        let _ = kind;
        true
    }

    /// Handles an event.
    ///
    /// # Errors
    /// Why it could not; a P0 event is tried again at once.
    fn handle(&self, event: &Delivery<'_>) -> Result<(), String>;
}

/// An event that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Header.
    pub header: Header,
    /// Payload.
    pub payload: Box<[u8]>,
    /// Handler that failed.
    pub handler: String,
    /// What it said last.
    pub error: String,
    /// Attempts.
    pub attempts: u8,
}

/// Failed events, the newest so many. Those of P0 are never given up for others.
#[derive(Debug)]
pub(super) struct DeadLetters {
    kept: VecDeque<DeadLetter>,
    capacity: usize,
    /// Given up for newer ones.
    pub(super) evicted: u64,
}

impl DeadLetters {
    pub(super) fn new(capacity: usize) -> Self {
        Self { kept: VecDeque::new(), capacity, evicted: 0 }
    }

    pub(super) fn push(&mut self, letter: DeadLetter) {
        let is_critical = |letter: &DeadLetter| letter.header.kind.priority() == EventPriority::P0Critical;
        if self.kept.len() >= self.capacity {
            let oldest = self.kept.iter().position(|kept| !is_critical(kept));
            if let Some(oldest) = oldest {
                self.kept.remove(oldest);
                self.evicted = self.evicted.saturating_add(1);
            } else if !is_critical(&letter) {
                self.evicted = self.evicted.saturating_add(1);
                return;
            }
        }
        self.kept.push_back(letter);
    }

    pub(super) fn all(&self) -> Vec<DeadLetter> {
        self.kept.iter().cloned().collect()
    }
}

/// The handlers of a level, in the order of their registration.
#[derive(Default, Clone)]
pub(super) struct Registry(Vec<Arc<dyn Handler>>);

/// Why handling failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) handler: String,
    pub(super) error: String,
    pub(super) attempts: u8,
}

impl Registry {
    /// Adds a handler; false if there is one of that name.
    pub(super) fn add(&mut self, handler: Arc<dyn Handler>) -> bool {
        let is_new = self.0.iter().all(|known| known.name() != handler.name());
        if is_new {
            self.0.push(handler);
        }
        is_new
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Hands an event to every handler that wants it, each up to `max_attempts` times; one that fails does not stop the
    /// others. Returns how many wanted it, and the failures.
    pub(super) fn handle(&self, event: &Delivery<'_>, max_attempts: u8) -> (usize, Vec<Failure>) {
        let mut wanted: usize = 0;
        let mut failures = Vec::new();
        for handler in &self.0 {
            match attempt(&**handler, event, max_attempts.max(1)) {
                Ok(false) => continue,
                Ok(true) => {}
                Err(failure) => failures.push(failure),
            }
            wanted = wanted.saturating_add(1);
        }
        (wanted, failures)
    }
}

/// Tries in place: putting the event back would let later ones overtake it. False if the handler does not want it.
fn attempt(handler: &dyn Handler, event: &Delivery<'_>, max_attempts: u8) -> Result<bool, Failure> {
    let mut error = String::new();
    for attempt in 1..=max_attempts {
        let delivery = Delivery { attempt, ..*event };
        // A handler that panics must not take the thread of its level with it.
        let handle = || {
            let wanted = handler.wants(delivery.header.kind);
            if wanted { handler.handle(&delivery).map(|()| true) } else { Ok(false) }
        };
        match catch_unwind(AssertUnwindSafe(handle)) {
            Ok(Ok(wanted)) => return Ok(wanted),
            Ok(Err(said)) => error = said,
            Err(_) => "the handler panicked".clone_into(&mut error),
        }
    }
    Err(Failure { handler: handler.name().to_owned(), error, attempts: max_attempts })
}
