//! The clock port: the core never reads the time by itself.

use std::cell::Cell;
use std::rc::Rc;

/// Source of monotonic time, used to measure and never to decide.
pub trait Clock {
    /// Monotonic nanoseconds since an arbitrary start.
    fn monotonic_ns(&self) -> u64;
}

/// A clock that stands still until it is moved.
#[derive(Debug, Clone, Default)]
pub struct ManualClock(Rc<Cell<u64>>);

impl ManualClock {
    /// Moves the clock on by `by_ns` nanoseconds.
    pub fn advance(&self, by_ns: u64) {
        self.0.set(self.0.get().saturating_add(by_ns));
    }
}

impl Clock for ManualClock {
    fn monotonic_ns(&self) -> u64 {
        self.0.get()
    }
}
