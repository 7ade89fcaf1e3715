//! The one clock of a live process.

use qts_core::clock::Clock;
use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_MONOTONIC` of this host: the same that Python's `time.monotonic_ns()` reads, so that stamps of both sides
/// can be subtracted.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostClock;

impl Clock for HostClock {
    #[inline]
    fn monotonic_ns(&self) -> u64 {
        let now = clock_gettime(ClockId::Monotonic);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
    }
}

/// UTC nanoseconds of this host, to label what is written and never to measure or decide.
pub fn utc_ns() -> i64 {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
}
