//! Blocks of a spool on their way to its reader.

use qts_core::journal::{Record, RecordKind};

use super::{Batch, PLACE_BITS, READ_BYTES, RECORD_BYTES};

/// A batch that is being read.
pub(super) struct Reading {
    pub(super) batch: Batch,
    pub(super) most: usize,
    pub(super) is_full: bool,
}

impl Reading {
    /// Takes what has not been read of a block; `false` if it has to come again.
    pub(super) fn take(&mut self, record: Record<'_>) -> bool {
        if record.meta.kind != RecordKind::Ticks {
            return true;
        }
        let Some((table, rest)) = record.payload.split_first_chunk::<8>() else { return true };
        let Some((lost, rest)) = rest.split_first_chunk::<8>() else { return true };
        let base = record.meta.seq << PLACE_BITS;
        let table = u64::from_le_bytes(*table);
        let batch = &mut self.batch;
        if !batch.bytes.is_empty() && batch.table != table {
            self.is_full = true;
            return false;
        }
        let (records, _) = rest.as_chunks::<RECORD_BYTES>();
        let skip = if batch.through_seq < base {
            0
        } else {
            usize::try_from(batch.through_seq.saturating_sub(base).saturating_add(1)).unwrap_or(usize::MAX)
        };
        let records = records.get(skip..).unwrap_or_default();
        let room = self.most.saturating_sub(batch.bytes.len() / READ_BYTES);
        let (now, later) = records.split_at(records.len().min(room));
        batch.bytes.reserve(now.len().saturating_mul(READ_BYTES));
        for (record, seq) in now.iter().zip(base.saturating_add(u64::try_from(skip).unwrap_or(0))..) {
            batch.bytes.extend_from_slice(&seq.to_le_bytes());
            batch.bytes.extend_from_slice(record);
            batch.through_seq = seq;
        }
        if !now.is_empty() {
            batch.table = table;
            if skip == 0 {
                batch.lost = batch.lost.saturating_add(u64::from_le_bytes(*lost));
            }
        }
        self.is_full = !later.is_empty() || (now.len() == room);
        later.is_empty()
    }
}
