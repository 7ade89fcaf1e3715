//! After a failed sync.
//!
//! What the page cache holds after a failed `fdatasync` cannot be trusted: a later sync may report success for pages
//! that were dropped. Everything that is not known to be durable is therefore written once more into fresh segments,
//! under the same numbers; the fresh header tells readers from which record on the old segment does not count.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::MutexGuard;

use qts_core::journal::{COMMIT_BYTES, SEGMENT_HEADER, next};

use super::commit::{Committer, Group};
use super::error::JournalError;
use super::shared::{Rotation, Shared};
use super::slot::Slot;
use super::status::{Failure, FailureCause, Stage};

impl Committer {
    /// Writes the group and everything behind it once more and syncs the group.
    pub(super) fn rescue(
        &mut self,
        shared: &Shared,
        slot: Slot<'_>,
        group: &mut Group,
        error: &io::Error,
    ) -> Result<(), JournalError> {
        let failure = |found, is_final| Failure { cause: FailureCause::Error, found, is_final };
        let found = format!("a sync of the journal failed: {error}");
        shared.status.fail(failure(found.clone(), false));
        self.write_again(shared, slot, group).map_err(|error| {
            let failure = failure(format!("{found}; then {error}"), true);
            // In this order, so that whoever is refused is told why.
            shared.status.fail(failure.clone());
            shared.status.set_stage(Stage::Dead);
            shared.freed.notify_all();
            JournalError::Failed(failure)
        })
    }

    fn write_again(
        &mut self,
        shared: &Shared,
        slot: Slot<'_>,
        group: &mut Group,
    ) -> Result<(), JournalError> {
        // Nobody may go on to another segment meanwhile; appenders wait.
        let mut rotation = shared.discard_next(shared.rotation());
        let current = shared.row.current();
        let (kept, mut stale) = (self.at, Vec::new());
        let mut at = self.turn;
        let mut tails = Vec::new();
        loop {
            let old = shared.slot(at);
            let mut tail = old.seal();
            let (from, to) = if at == self.turn {
                (self.at, tail.end.max(group.at.saturating_add(COMMIT_BYTES)))
            } else {
                (SEGMENT_HEADER, tail.end)
            };
            let (number, path) = self.copy(shared, &mut rotation, old, (from, to), at == self.turn)?;
            stale.push((path, if at == self.turn { kept } else { SEGMENT_HEADER }));
            if at == self.turn && kept > SEGMENT_HEADER {
                self.note_end(number, shared.time());
            }
            let first_seq = if at == self.turn { self.seq } else { old.first_seq() };
            tail.records = tail.records.saturating_sub(first_seq.saturating_sub(old.first_seq()));
            tail.end = tail.end.saturating_sub(from).saturating_add(SEGMENT_HEADER);
            tail.is_sealed = at != current || group.is_last && at == self.turn;
            tails.push((old, first_seq, tail));
            if at == current {
                break;
            }
            at = next(at);
        }
        group.at = group.at.saturating_sub(self.at).saturating_add(SEGMENT_HEADER);
        self.at = SEGMENT_HEADER;
        self.is_begun = false;
        self.sync(shared, slot).map_err(JournalError::io("sync", &shared.dir))?;
        for (path, kept) in &stale {
            discard(path, *kept);
        }
        shared.disk.sync_dir(&shared.dir).map_err(JournalError::io("sync", &shared.dir))?;
        for (old, first_seq, tail) in tails {
            old.start(first_seq, old.day_end(), tail);
        }
        drop(rotation);
        Ok(())
    }

    /// Puts a fresh segment with the old one's records into its slot and returns the old one's number and path.
    fn copy(
        &self,
        shared: &Shared,
        rotation: &mut MutexGuard<'_, Rotation>,
        slot: Slot<'_>,
        (from, to): (usize, usize),
        is_first: bool,
    ) -> Result<(u32, PathBuf), JournalError> {
        let mut fresh = shared.make(rotation, shared.time(), u64::MAX)?;
        if let Some(old) = slot.segment().as_ref() {
            fresh.fill(old.records(from, to));
        }
        if is_first {
            fresh.write_header(self.seq, Some(self.chain));
        } else {
            fresh.write_header(slot.first_seq(), None);
        }
        let old = slot.empty();
        slot.fill(fresh);
        Ok(old.map(|old| (old.number, old.path)).unwrap_or_default())
    }
}

/// Cuts a segment behind its last durable commit, or removes it if it has none. A disk that does not even do that
/// leaves a file that readers pass over.
fn discard(path: &PathBuf, kept: usize) {
    if kept <= SEGMENT_HEADER {
        let _ = fs::remove_file(path);
    } else if let Ok(file) = fs::OpenOptions::new().write(true).open(path) {
        let _ = file.set_len(u64::try_from(kept).unwrap_or(u64::MAX));
    }
}

impl Shared {
    /// Removes the segment made ahead, if there is one.
    pub(super) fn discard_next<'a>(
        &self,
        mut rotation: MutexGuard<'a, Rotation>,
    ) -> MutexGuard<'a, Rotation> {
        if rotation.is_ready
            && let Some(segment) = self.slot(next(self.row.current())).empty()
        {
            // An unused segment that stays is removed at the next start.
            let _ = fs::remove_file(&segment.path);
            rotation.is_ready = false;
            rotation.next_number = segment.number;
        }
        rotation
    }
}
