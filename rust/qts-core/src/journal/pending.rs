//! What has to be done once more after a crash.

use std::collections::BTreeMap;

use super::format::{Meta, Record, RecordKind};

/// A record that outlives the bytes it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRecord {
    /// What stood in front of the payload.
    pub meta: Meta,
    /// The payload.
    pub payload: Box<[u8]>,
}

impl From<Record<'_>> for OwnedRecord {
    fn from(record: Record<'_>) -> Self {
        Self { meta: record.meta, payload: record.payload.into() }
    }
}

/// Collects the P0 events that have not been handled.
#[derive(Clone, Debug, Default)]
pub struct Unfinished(BTreeMap<u64, OwnedRecord>);

impl Unfinished {
    /// Takes note of a record.
    pub fn see(&mut self, record: Record<'_>) {
        match record.meta.kind {
            RecordKind::P0Event => {
                self.0.insert(record.meta.seq, record.into());
            }
            RecordKind::P0Done => {
                if let Ok(seq) = record.payload.try_into() {
                    self.0.remove(&u64::from_le_bytes(seq));
                }
            }
            _ => {}
        }
    }

    /// The events without a done-mark, in their order.
    pub fn into_records(self) -> Vec<OwnedRecord> {
        self.0.into_values().collect()
    }
}

/// The P0 events among `records` that no `P0_DONE` names, in their order.
pub fn unfinished<'a>(records: impl IntoIterator<Item = Record<'a>>) -> Vec<OwnedRecord> {
    let mut open = Unfinished::default();
    records.into_iter().for_each(|record| open.see(record));
    open.into_records()
}
