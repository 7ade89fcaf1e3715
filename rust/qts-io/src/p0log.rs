//! Events in the journal. P0: written before they are admitted, marked when they are done, read back after a crash. P3:
//! protected ones for which its queue has no room, as audit records.

use std::fmt::Write;
use std::sync::Arc;

use qts_core::dispatch::live::{HeapEvent, SLOT_WORDS, SlotEvent};
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

    /// Keeps an event of P3 that nobody will handle, as an audit record of one line of JSON. For what should be rare: this
    /// allocates.
    ///
    /// # Errors
    /// [`JournalError`] if it is not written.
    pub fn keep(&self, event: &HeapEvent) -> Result<u64, JournalError> {
        self.0.append(RecordKind::Audit, audit_line(event).as_bytes())
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

/// An event as a JSON object. Its payload stands there as it is if it looks like an object itself, as those of Python do.
fn audit_line(event: &HeapEvent) -> String {
    let header = &event.header;
    let payload = std::str::from_utf8(&event.payload).ok();
    let object = payload.filter(|text| text.starts_with('{') && !text.contains(char::is_control));
    let mut line = format!(
        r#"{{"event_type":"{}","source":"{}","event_id":"{:032x}","ts_ns":{},"scope":""#,
        header.kind.name(),
        header.source.name(),
        header.id,
        header.ts_ns,
    );
    for letter in event.scope.chars() {
        match letter {
            '"' | '\\' => line.extend(['\\', letter]),
            letter if letter.is_control() => _ = write!(line, "\\u{:04x}", u32::from(letter)),
            letter => line.push(letter),
        }
    }
    if let Some(object) = object {
        _ = write!(line, r#"","payload":{object}}}"#);
    } else {
        line.push_str(r#"","payload_hex":""#);
        for byte in &event.payload {
            _ = write!(line, "{byte:02x}");
        }
        line.push_str(r#""}"#);
    }
    line
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

#[cfg(test)]
mod tests {
    use super::*;
    use qts_core::dispatch::live::Header;
    use qts_core::event::{EventType, Source};

    fn line(scope: &str, payload: &[u8]) -> String {
        let header = Header { id: 0xab, ts_ns: 7, ..Header::new(EventType::LogWrite, Source::UiEngine) };
        audit_line(&HeapEvent::new(header, scope, payload, false).expect("short"))
    }

    #[test]
    fn an_audit_line_is_one_json_object() {
        let head = format!(
            r#"{{"event_type":"LOG_WRITE","source":"UI_ENGINE","event_id":"{:032x}","ts_ns":7,"scope""#,
            0xab
        );
        assert_eq!(
            line("패널", br#"{"line":"a\nb"}"#),
            format!(r#"{head}:"패널","payload":{{"line":"a\nb"}}}}"#)
        );
        assert_eq!(line("a\"\\\n", b"\x01"), format!(r#"{head}:"a\"\\\u000a","payload_hex":"01"}}"#));
        for raw in [&b"text"[..], b"{\n}", b"{\xff}", b""] {
            assert!(line("", raw).contains(r#""payload_hex":""#), "{raw:?}");
        }
    }
}
