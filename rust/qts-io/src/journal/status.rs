//! What is known about durability, and the way to wait for it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::JournalError;

/// A sync that takes longer than this counts as failed.
pub(super) const SLOW: Duration = Duration::from_secs(1);

/// How often a waiter looks whether the sync has become slow.
const LOOK: Duration = Duration::from_millis(250);

/// How a sync failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureCause {
    /// The system reported an error: what the file holds is not known any more.
    Error,
    /// It took more than a second.
    Slow,
}

/// A sync that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How.
    pub cause: FailureCause,
    /// What was found.
    pub found: String,
    /// Nothing can be written any more: writing the records once more into a fresh segment failed, too.
    pub is_final: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = if self.is_final { "; the journal cannot be written any more" } else { "" };
        write!(out, "{}{after}", self.found)
    }
}

/// Whether the journal can be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Every sync so far was in order.
    Good,
    /// One was not; stays until [`clear_failure`](super::Journal::clear_failure).
    Failed(Failure),
}

/// How long the journal may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    Running = 0,
    /// No appends any more.
    Closed = 1,
    /// Nothing can be written.
    Dead = 2,
}

#[derive(Debug)]
pub(super) struct Status {
    durable: AtomicU64,
    stage: AtomicU8,
    /// Set by [`Journal::close`](super::Journal::close) for the flusher.
    pub(super) wants_close: AtomicBool,
    /// Failed syncs so far.
    failures: AtomicU64,
    epoch: Instant,
    /// When the sync that is under way began, in nanoseconds behind the epoch; zero without one.
    sync_began: AtomicU64,
    failure: Mutex<Option<Failure>>,
    changed: Condvar,
}

impl Status {
    pub(super) fn new(durable: u64) -> Self {
        Self {
            durable: AtomicU64::new(durable),
            stage: AtomicU8::new(Stage::Running as u8),
            wants_close: AtomicBool::new(false),
            failures: AtomicU64::new(0),
            epoch: now(),
            sync_began: AtomicU64::new(0),
            failure: Mutex::new(None),
            changed: Condvar::new(),
        }
    }

    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(super) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Running,
            1 => Stage::Closed,
            _ => Stage::Dead,
        }
    }

    pub(super) fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
        self.notify();
    }

    /// Why nothing can be appended, once that is so.
    pub(super) fn refusal(&self) -> Option<JournalError> {
        match self.stage() {
            Stage::Running => None,
            Stage::Closed => Some(JournalError::Closed),
            Stage::Dead => Some(JournalError::Failed(self.lock().clone().unwrap_or_else(|| slow(true)))),
        }
    }

    pub(super) fn set_durable(&self, seq: u64) {
        self.durable.store(seq, Ordering::Release);
        self.notify();
    }

    /// Runs a sync under watch. One that took too long is told, though it did what it should.
    pub(super) fn watch<T>(&self, sync: impl FnOnce() -> T) -> T {
        let began = self.elapsed();
        self.sync_began.store(began, Ordering::Release);
        let result = sync();
        self.sync_began.store(0, Ordering::Release);
        if u128::from(self.elapsed().saturating_sub(began)) > SLOW.as_nanos() {
            self.fail(slow(false));
        }
        result
    }

    /// Takes note of a failed sync and tells those who wait.
    pub(super) fn fail(&self, failure: Failure) {
        self.failures.fetch_add(1, Ordering::AcqRel);
        *self.lock() = Some(failure);
        self.changed.notify_all();
    }

    pub(super) fn health(&self) -> Health {
        match self.lock().clone() {
            Some(failure) => Health::Failed(failure),
            None if self.is_slow() => Health::Failed(slow(false)),
            None => Health::Good,
        }
    }

    pub(super) fn clear(&self) {
        if self.stage() != Stage::Dead {
            *self.lock() = None;
        }
    }

    pub(super) fn wait(&self, seq: u64, timeout: Duration) -> Result<(), JournalError> {
        if self.durable() >= seq {
            return Ok(());
        }
        let deadline = now().checked_add(timeout);
        let mut guard = self.lock();
        let failures = self.failures.load(Ordering::Acquire);
        loop {
            if self.durable() >= seq {
                return Ok(());
            }
            if self.failures.load(Ordering::Acquire) != failures {
                return Err(JournalError::Failed(guard.clone().unwrap_or_else(|| slow(false))));
            }
            if self.is_slow() {
                return Err(JournalError::Failed(slow(false)));
            }
            if self.stage() != Stage::Running {
                drop(guard);
                return Err(self.refusal().unwrap_or(JournalError::Closed));
            }
            let left = deadline.map_or(SLOW, |deadline| deadline.saturating_duration_since(now()));
            if left.is_zero() {
                return Err(JournalError::Timeout { seq });
            }
            let (back, _) =
                self.changed.wait_timeout(guard, left.min(LOOK)).unwrap_or_else(PoisonError::into_inner);
            guard = back;
        }
    }

    fn notify(&self) {
        // Whoever looked before the change is parked once the lock is free.
        drop(self.lock());
        self.changed.notify_all();
    }

    fn is_slow(&self) -> bool {
        let began = self.sync_began.load(Ordering::Acquire);
        began != 0 && u128::from(self.elapsed().saturating_sub(began)) > SLOW.as_nanos()
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Failure>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn slow(is_final: bool) -> Failure {
    let found = "a sync of the journal took more than a second".to_owned();
    Failure { cause: FailureCause::Slow, found, is_final }
}

#[allow(clippy::disallowed_methods, reason = "a deadline of real time, outside of every simulation")]
pub(super) fn now() -> Instant {
    Instant::now()
}
