//! Blocks of records on their way from a reader to whoever takes them.

use std::sync::Arc;

use qts_core::event::MarketRecord;
use qts_core::market::source::SourceError;

use crate::stats::{FeedStats, SAMPLES_MAX};

/// Records in a full block. Large enough that handing one over costs nothing per record, small enough that the few
/// blocks in flight stay in the processor's cache.
pub(crate) const BATCH_RECORDS: usize = 1_024;

/// A block of records in order, and what else the rows it was read from came to.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) records: Vec<MarketRecord>,
    pub(crate) bad_rows: u64,
    /// The first bad rows of the source, as far as they stand in this block.
    pub(crate) samples: Vec<SourceError>,
    /// Set in the last block of a source: how it ended, after the records.
    pub(crate) end: Option<Result<(), SourceError>>,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self { records: Vec::with_capacity(BATCH_RECORDS), ..Self::default() }
    }

    /// Empties the block and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.bad_rows = 0;
        self.samples.clear();
        self.end = None;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.records.len() >= BATCH_RECORDS
    }

    pub(crate) fn skip_row(&mut self, error: SourceError) {
        self.bad_rows = self.bad_rows.saturating_add(1);
        if self.samples.len() < SAMPLES_MAX {
            self.samples.push(error);
        }
    }
}

/// Something that reads rows and fills blocks with them.
pub(crate) trait FillBatch {
    /// Fills an empty block; sets its end if this is the last one.
    fn fill(&mut self, batch: &mut Batch);
}

/// Hands out the records of block after block and keeps count.
#[derive(Debug)]
pub(crate) struct Delivery {
    batch: Batch,
    at: usize,
    stats: Arc<FeedStats>,
}

impl Delivery {
    pub(crate) fn new(path: String) -> Self {
        Self { batch: Batch::default(), at: 0, stats: Arc::new(FeedStats::new(path)) }
    }

    pub(crate) fn stats(&self) -> Arc<FeedStats> {
        Arc::clone(&self.stats)
    }

    /// The next record of the present block; `ends_row` tells whether it is the last of its row.
    #[inline]
    pub(crate) fn next(&mut self, ends_row: impl FnOnce(&MarketRecord) -> bool) -> Option<MarketRecord> {
        let record = self.batch.records.get(self.at)?;
        self.at = self.at.saturating_add(1);
        self.stats.on_record(record.ts_recv_ns, ends_row(record));
        Some(*record)
    }

    /// How the source ended, if the present block was its last one. An error is told once.
    pub(crate) fn take_end(&mut self) -> Option<Result<(), SourceError>> {
        self.batch.end.as_mut().map(|end| std::mem::replace(end, Ok(())))
    }

    /// Replaces the used-up block by the one that `exchange` gives for it.
    pub(crate) fn renew(&mut self, exchange: impl FnOnce(Batch) -> Batch) {
        let used = std::mem::take(&mut self.batch);
        self.batch = exchange(used);
        self.at = 0;
        if self.batch.bad_rows > 0 {
            self.stats.on_bad_rows(self.batch.bad_rows, &mut self.batch.samples);
        }
    }
}
