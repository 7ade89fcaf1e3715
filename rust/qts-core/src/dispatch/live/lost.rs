//! Signals that were not acted on, for whoever audits that.

use std::collections::VecDeque;

use super::event::HeapEvent;

/// The newest so many lost signals, and how many older ones had to go without having been fetched.
#[derive(Debug)]
pub struct LostSignals {
    kept: VecDeque<HeapEvent>,
    capacity: usize,
    discarded: u64,
}

impl LostSignals {
    /// Keeps at most `capacity` of them, at least one.
    pub fn new(capacity: usize) -> Self {
        Self { kept: VecDeque::new(), capacity: capacity.max(1), discarded: 0 }
    }

    /// Keeps a signal; the oldest gives way.
    pub fn push(&mut self, signal: HeapEvent) {
        if self.kept.len() >= self.capacity {
            self.kept.pop_front();
            self.discarded = self.discarded.saturating_add(1);
        }
        self.kept.push_back(signal);
    }

    /// Takes what is kept, oldest first.
    pub fn take(&mut self) -> Vec<HeapEvent> {
        std::mem::take(&mut self.kept).into()
    }

    /// How many were discarded so far because nobody fetched them in time.
    pub const fn discarded(&self) -> u64 {
        self.discarded
    }
}
