//! What a source has delivered so far, for whoever watches it.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use qts_core::market::source::SourceError;

/// Bad rows that are kept as examples.
pub(crate) const SAMPLES_MAX: usize = 10;

/// Progress of one source. Written by the thread that takes its records, readable from any thread at any time.
///
/// Counts cover what has been delivered, not what has been read ahead; bad rows are counted with the block of rows
/// they stand in.
#[derive(Debug)]
pub struct FeedStats {
    path: String,
    rows: AtomicU64,
    bad_rows: AtomicU64,
    has_records: AtomicBool,
    first_ts_ns: AtomicI64,
    last_ts_ns: AtomicI64,
    samples: Mutex<Vec<SourceError>>,
}

impl FeedStats {
    pub(crate) fn new(path: String) -> Self {
        Self {
            path,
            rows: AtomicU64::new(0),
            bad_rows: AtomicU64::new(0),
            has_records: AtomicBool::new(false),
            first_ts_ns: AtomicI64::new(0),
            last_ts_ns: AtomicI64::new(0),
            samples: Mutex::new(Vec::new()),
        }
    }

    /// File, or name of the source.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Good rows delivered.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Rows left out because they were bad.
    pub fn bad_rows(&self) -> u64 {
        self.bad_rows.load(Ordering::Relaxed)
    }

    /// Receive time of the first record delivered, UTC nanoseconds.
    pub fn first_ts_ns(&self) -> Option<i64> {
        self.has_records.load(Ordering::Acquire).then(|| self.first_ts_ns.load(Ordering::Relaxed))
    }

    /// Receive time of the last record delivered, UTC nanoseconds.
    pub fn last_ts_ns(&self) -> Option<i64> {
        self.has_records.load(Ordering::Acquire).then(|| self.last_ts_ns.load(Ordering::Relaxed))
    }

    /// The first ten bad rows.
    pub fn bad_row_samples(&self) -> Vec<SourceError> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts a delivered record. One thread writes, so no read-modify-write is needed: this runs for every record.
    #[inline]
    pub(crate) fn on_record(&self, ts_recv_ns: i64, ends_row: bool) {
        self.last_ts_ns.store(ts_recv_ns, Ordering::Relaxed);
        if ends_row {
            self.rows.store(self.rows().saturating_add(1), Ordering::Relaxed);
        }
        if !self.has_records.load(Ordering::Relaxed) {
            self.first_ts_ns.store(ts_recv_ns, Ordering::Relaxed);
            self.has_records.store(true, Ordering::Release);
        }
    }

    pub(crate) fn on_bad_rows(&self, bad_rows: u64, samples: &mut Vec<SourceError>) {
        self.bad_rows.store(self.bad_rows().saturating_add(bad_rows), Ordering::Relaxed);
        let mut kept = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let room = SAMPLES_MAX.saturating_sub(kept.len());
        kept.extend(samples.drain(..).take(room));
    }
}
