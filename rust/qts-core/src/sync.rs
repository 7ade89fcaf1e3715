//! The one place that imports atomics and threads: the standard library's, those of the model checker under
//! `--cfg loom`, or those of the schedule checker under `--cfg shuttle`, so that the same code runs under each.

#[cfg(loom)]
pub(crate) use loom::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
};
#[cfg(shuttle)]
pub(crate) use shuttle::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
};
#[cfg(not(any(loom, shuttle)))]
pub(crate) use std::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
};

use std::ops::Deref;
use std::sync::PoisonError;
use std::time::Duration;

/// Keeps what one thread writes off the lines that another one reads: two 64-byte lines, because processors fetch them
/// in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

impl<T> Deref for Padded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Where threads wait for something that another thread publishes without a lock.
///
/// The waiter says that it waits, then looks again; the notifier publishes, then looks for waiters. The fences on both
/// sides make one of the two see the other, so that no wake-up is lost. The lock is taken to park and to unpark only, and
/// one notifier unparks all: until a thread that was woken runs, the others have nothing to pay.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    /// Somebody waits and has not been woken.
    is_awaited: Padded<AtomicBool>,
    /// How many wait.
    waiters: Mutex<usize>,
    woken: Condvar,
}

impl Signal {
    /// Wakes the waiters, if there are any. What they wait for has been published before.
    #[inline]
    pub(crate) fn notify(&self) {
        fence(Ordering::SeqCst);
        if self.is_awaited.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        let guard = lock(&self.waiters);
        let is_awaited = self.is_awaited.swap(false, Ordering::Relaxed);
        drop(guard);
        if is_awaited {
            self.woken.notify_all();
        }
    }

    /// Waits until `ready` says so, at most `timeout` and possibly less: a wake-up may be meant for what is gone already.
    /// Returns what `ready` said last.
    pub(crate) fn wait(&self, timeout: Duration, mut ready: impl FnMut() -> bool) -> bool {
        if ready() {
            return true;
        }
        // Under the lock: whoever takes the word back has either been waited for or is seen by `ready`.
        let mut waiters = lock(&self.waiters);
        *waiters = waiters.saturating_add(1);
        self.is_awaited.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !ready() {
            waiters = wait_timeout(&self.woken, waiters, timeout);
        }
        *waiters = waiters.saturating_sub(1);
        if *waiters == 0 {
            self.is_awaited.store(false, Ordering::Relaxed);
        }
        drop(waiters);
        ready()
    }
}

/// Locks a value that no panic can leave half changed: a poisoned lock is as good as any other.
pub(crate) fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a notification, at most `timeout` and possibly less.
pub(crate) fn wait_timeout<'a, T>(
    woken: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout: Duration,
) -> MutexGuard<'a, T> {
    woken.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner).0
}

#[cfg(test)]
#[cfg(loom)]
mod models;
