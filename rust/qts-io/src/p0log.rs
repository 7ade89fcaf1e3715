//! P0 events in the journal: written before they are admitted, marked when they are done, read back after a crash.

use std::sync::Arc;

use qts_core::dispatch::live::{SLOT_WORDS, SlotEvent};
use qts_core::journal::{OwnedRecord, RecordKind};
use qts_core::queue::Record;

use crate::journal::{Journal, JournalError, Usage};

const BYTES: usize = SLOT_WORDS * 8;

/// The P0 side of a journal. Neither call allocates or waits for the disk.
#[derive(Debug, Clone)]
pub struct P0Log(Arc<Journal>);

impl P0Log {
    /// The P0 side of `journal`.
    pub const fn new(journal: Arc<Journal>) -> Self {
        Self(journal)
    }

    /// Writes an event; returns the number under which it stands there.
    ///
    /// # Errors
    /// [`JournalError`] if it is not written.
    pub fn admit(&self, event: &SlotEvent) -> Result<u64, JournalError> {
        let mut words = [0; SLOT_WORDS];
        let len = event.encode(&mut words);
        let mut bytes = [0; BYTES];
        for (cell, word) in bytes.chunks_exact_mut(8).zip(words) {
            cell.copy_from_slice(&word.to_le_bytes());
        }
        let used = len.saturating_mul(8).min(BYTES);
        self.0.append(RecordKind::P0Event, bytes.get(..used).unwrap_or(&bytes))
    }

    /// Marks the event of that number as done.
    ///
    /// # Errors
    /// [`JournalError`] if the mark is not written: the event will come again after a restart.
    pub fn done(&self, seq: u64) -> Result<(), JournalError> {
        self.0.append(RecordKind::P0Done, &seq.to_le_bytes()).map(drop)
    }

    /// The room that the journal takes up, once each time that it comes near its quota (GR103).
    pub fn take_quota_warning(&self) -> Option<Usage> {
        self.0.take_quota_warning()
    }

    /// Ends the journal: what has been written is durable then, and nothing more is taken.
    ///
    /// # Errors
    /// [`JournalError`] if it could not be synced.
    pub fn close(&self) -> Result<(), JournalError> {
        self.0.close()
    }
}

/// The events that a journal holds as not done, each with its number, in their order.
pub fn events_to_replay(unfinished: &[OwnedRecord]) -> Vec<SlotEvent> {
    unfinished
        .iter()
        .map(|record| {
            let mut words = [0; SLOT_WORDS];
            for (word, bytes) in words.iter_mut().zip(record.payload.chunks_exact(8)) {
                *word = bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            }
            let mut event = SlotEvent::decode(&words);
            event.header.seq = record.meta.seq;
            event
        })
        .collect()
}
