//! Journals on a real file system.
#![allow(clippy::arithmetic_side_effects, reason = "tests count")]

mod faults;
mod kill;
mod power;
mod retain;
mod writing;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;
use qts_core::journal::{OwnedRecord, RecordKind};

const LONG: Duration = Duration::from_secs(10);

#[allow(clippy::disallowed_methods, reason = "real files in real time")]
fn utc() -> UtcClock {
    Box::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        i64::try_from(since.as_nanos()).expect("before 2262")
    })
}

fn small() -> JournalConfig {
    JournalConfig { segment_bytes: 16 << 10, ..JournalConfig::default() }
}

fn open(dir: &Path, config: JournalConfig) -> (Journal, Recovery) {
    Journal::open(dir, config, utc()).expect("a good journal")
}

/// Every record, commits too.
fn read(dir: &Path) -> Result<(Vec<OwnedRecord>, Summary), JournalError> {
    let mut records = Records::open(dir)?;
    let mut all = Vec::new();
    while records.advance()? {
        all.push(records.record().expect("there is one").into());
    }
    Ok((all, records.summary().clone()))
}

fn payloads(records: &[OwnedRecord]) -> Vec<(u64, Vec<u8>)> {
    let of_users = records.iter().filter(|record| record.meta.kind != RecordKind::Commit);
    of_users.map(|record| (record.meta.seq, record.payload.to_vec())).collect()
}

fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    files::list(dir).expect("readable").into_iter().map(|(_, path)| path).collect()
}
