//! What is done to a journal before it is written again.
//!
//! Only the segments at the end can be in disorder. They are cut behind the last whole record, closed with a commit,
//! and synced one after the other; appends go on in a fresh segment.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use qts_core::journal::{
    COMMIT_BYTES, ChainHash, OwnedRecord, SegmentEnd, SegmentHeader, Unfinished, encode_commit,
};

use super::disk::Disk;
use super::error::JournalError;
use super::files;
use super::read::{Kept, Records, Summary, Verdict};
use super::retain::{self, Closed, Retention};

/// What was found when the journal was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// What the journal holds.
    pub summary: Summary,
    /// P0 events that nobody has marked as handled, in their order.
    pub unfinished: Vec<OwnedRecord>,
}

/// Where the journal goes on.
#[derive(Debug)]
pub(super) struct State {
    pub(super) retention: Retention,
    pub(super) next_number: u32,
    pub(super) next_seq: u64,
    pub(super) chain: ChainHash,
    pub(super) last_ts: i64,
}

/// Checks and repairs the journal in `dir`.
pub(super) fn recover(dir: &Path, disk: &dyn Disk, sync: bool) -> Result<(Recovery, State), JournalError> {
    let anchor = retain::read_anchor(dir)?;
    retain::sweep(dir, disk, &anchor)?;
    let highest = files::list(dir)?.last().map_or(anchor.segment, |(number, _)| *number);
    let mut records = Records::open(dir)?;
    let mut unfinished = Unfinished::default();
    let mut retention = Retention::new(anchor);
    while records.advance()? {
        if let Some(record) = records.record() {
            unfinished.see(record);
            retention.see(record);
        }
    }
    let summary = records.summary().clone();
    let verdicts = records.verdicts();
    let firsts: Vec<Option<u64>> = verdicts.iter().map(|(_, verdict)| verdict.first_seq()).collect();
    let mut state = State {
        retention,
        next_number: highest,
        next_seq: anchor.next_seq,
        chain: anchor.chain,
        last_ts: summary.last_ts_ns.max(0),
    };
    for (at, (path, verdict)) in verdicts.iter().enumerate() {
        match verdict {
            Verdict::Leave => {}
            Verdict::Remove => fs::remove_file(path).map_err(JournalError::io("remove", path))?,
            Verdict::Keep(kept) => {
                let Kept { found, head, end, .. } = kept.as_ref();
                let next_seq = firsts.iter().skip(at).skip(1).copied().flatten().min();
                let repair = Repair::new(*found, *head, end, next_seq, summary.last_ts_ns);
                if let Some(repair) = &repair {
                    repair.apply(path, disk, sync).map_err(JournalError::io("repair", path))?;
                }
                let has_commit = repair.is_some_and(|repair| repair.has_commit);
                state.next_seq = end.next_seq.saturating_add(u64::from(has_commit));
                state.chain = if has_commit { end.closing } else { end.chain };
                let (next_seq, chain) = (state.next_seq, state.chain);
                state.retention.close(Closed { next_seq, chain, ..kept.closed() });
            }
        }
    }
    if sync {
        disk.sync_dir(dir).map_err(JournalError::io("sync", dir))?;
    }
    state.next_number = state.next_number.saturating_add(1);
    Ok((Recovery { summary, unfinished: unfinished.into_records() }, state))
}

impl Verdict {
    fn first_seq(&self) -> Option<u64> {
        match self {
            Self::Keep(kept) => Some(kept.head.first_seq),
            _ => None,
        }
    }
}

/// What a segment at the end of the journal lacks.
struct Repair<'a> {
    head: SegmentHeader,
    end: &'a SegmentEnd,
    ts_ns: i64,
    has_commit: bool,
}

impl<'a> Repair<'a> {
    /// `None` if a later segment follows in good order.
    fn new(
        found: Option<SegmentHeader>,
        head: SegmentHeader,
        end: &'a SegmentEnd,
        next_seq: Option<u64>,
        ts_ns: i64,
    ) -> Option<Self> {
        let is_followed = next_seq == Some(end.next_seq) && end.pending == 0;
        if is_followed && found == Some(head) {
            return None;
        }
        // The commit that the process did not come to; a successor may already count on its number.
        let has_commit = end.pending != 0 || next_seq.is_some() && !is_followed;
        Some(Self { head, end, ts_ns, has_commit })
    }

    fn apply(&self, path: &Path, disk: &dyn Disk, sync: bool) -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let end = u64::try_from(self.end.at).unwrap_or(u64::MAX);
        file.set_len(end)?;
        file.write_all_at(&self.head.encode(), 0)?;
        if self.has_commit {
            self.write_commit(&file, end)?;
        }
        if sync { disk.sync(&file, path) } else { Ok(()) }
    }

    fn write_commit(&self, file: &File, at: u64) -> io::Result<()> {
        let mut commit = [0; COMMIT_BYTES];
        let (length_out, rest) = commit.split_at_mut(4);
        let end = self.end;
        if let Some(length) = encode_commit(rest, end.next_seq, self.ts_ns, end.pending, &end.closing) {
            length_out.copy_from_slice(&length.to_le_bytes());
        }
        file.write_all_at(&commit, at)
    }
}
