//! Commit groups: what the flusher does, or without one the appenders themselves.

use std::sync::atomic::Ordering;

use qts_core::journal::{COMMIT_BYTES, ChainHash, SEGMENT_HEADER, chain, next};

use super::error::JournalError;
use super::retain::{Closed, Goal, Retention, Retired, before};
use super::shared::Shared;
use super::slot::{Slot, write_commit};

/// How far the journal is committed.
#[derive(Debug)]
pub(super) struct Committer {
    /// The turn of the segment.
    pub(super) turn: usize,
    /// End of the last commit in it.
    pub(super) at: usize,
    /// Number of the record behind it.
    pub(super) seq: u64,
    /// Chain hash of it.
    pub(super) chain: ChainHash,
    /// The segment's header holds the chain hash.
    pub(super) is_begun: bool,
    /// The last group holds records, and no commit behind it proves yet that it was durable.
    pub(super) is_unproven: bool,
    pub(super) retention: Retention,
}

/// A group with its commit written, but not synced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    /// First byte of the commit.
    pub(super) at: usize,
    pub(super) seq: u64,
    pub(super) chain: ChainHash,
    pub(super) records: u32,
    /// Nothing follows it in its segment.
    pub(super) is_last: bool,
}

impl Committer {
    pub(super) const fn new(seq: u64, chain: ChainHash, retention: Retention) -> Self {
        let at = SEGMENT_HEADER;
        Self { turn: 0, at, seq, chain, is_begun: false, is_unproven: false, retention }
    }

    /// Retires segments; what has been done and committed so far counts.
    pub(super) fn retire(&mut self, shared: &Shared, goal: Goal) -> Result<Retired, JournalError> {
        let place = (shared.dir.as_path(), shared.disk.as_ref(), shared.config.sync);
        self.retention.retire(place, shared.keep_from.load(Ordering::Acquire), goal, shared.time())
    }

    /// Retires the segments that are older than they have to be kept.
    pub(super) fn retire_old(&mut self, shared: &Shared) -> Result<Retired, JournalError> {
        self.retire(shared, before(shared.time(), shared.config.keep_days))
    }

    /// Takes note of a segment that ends with the last commit.
    pub(super) fn note_end(&mut self, number: u32, last_ts_ns: i64) {
        let (next_seq, chain) = (self.seq, self.chain);
        self.retention.close(Closed { number, next_seq, chain, last_ts_ns });
    }

    /// Ends the group, and empties the slots of segments that are over.
    pub(super) fn commit(&mut self, shared: &Shared) -> Result<(), JournalError> {
        while self.group(shared, false)? {}
        Ok(())
    }

    /// Writes a commit of nothing, which proves that the group before it was durable.
    pub(super) fn prove(&mut self, shared: &Shared) -> Result<(), JournalError> {
        self.commit(shared)?;
        if self.is_unproven {
            self.group(shared, true)?;
        }
        Ok(())
    }

    /// Ends the journal: no appends any more, and the last segment is closed.
    pub(super) fn close(&mut self, shared: &Shared) -> Result<(), JournalError> {
        self.commit(shared)?;
        let rotation = shared.rotation();
        shared.status.set_stage(super::status::Stage::Closed);
        shared.slot(shared.row.current()).seal();
        drop(shared.discard_next(rotation));
        // The commit that ends the segment proves the group before it.
        self.commit(shared)
    }

    /// Records that have no commit yet, and whether they wait for it already: their segment is over.
    pub(super) fn waiting(&self, shared: &Shared) -> (u64, bool) {
        let Some(slot) = self.enter(shared) else { return (0, false) };
        let tail = slot.tail();
        (slot.first_seq().saturating_add(tail.records).saturating_sub(self.seq), tail.is_sealed)
    }

    /// One group; `true` if its segment is over and the next one may have another.
    fn group(&mut self, shared: &Shared, is_empty_too: bool) -> Result<bool, JournalError> {
        let Some(slot) = self.enter(shared) else { return Ok(false) };
        let tail = slot.tail();
        if !tail.is_sealed && tail.end == self.at && !is_empty_too {
            return Ok(false);
        }
        let mut group = self.write(shared, slot);
        if shared.config.sync
            && let Err(error) = self.sync(shared, slot)
        {
            self.rescue(shared, slot, &mut group, &error)?;
        }
        self.is_begun = true;
        self.at = group.at.saturating_add(COMMIT_BYTES);
        self.seq = group.seq.saturating_add(1);
        self.chain = group.chain;
        self.is_unproven = group.records != 0;
        shared.status.set_durable(group.seq);
        if group.is_last {
            self.leave(shared, slot);
        }
        Ok(group.is_last)
    }

    /// The slot to commit in; `None` if the journal ends with the segment before.
    fn enter<'a>(&self, shared: &'a Shared) -> Option<Slot<'a>> {
        (self.turn <= shared.row.current()).then(|| shared.slot(self.turn))
    }

    /// Writes the commit of everything that has been reserved, once it is published.
    fn write(&mut self, shared: &Shared, slot: Slot<'_>) -> Group {
        let ts_ns = shared.time();
        let room = slot.reserve(COMMIT_BYTES, shared.limit(), i64::MIN);
        let is_last = room.is_none();
        // A segment that has no room for one more commit is over; this one's was kept free.
        let room = room.unwrap_or_else(|| slot.last_room());
        let (at, seq) = (room.at, room.seq);
        let records = u32::try_from(seq.saturating_sub(self.seq)).unwrap_or(u32::MAX);
        let guard = slot.segment();
        let hash = guard.as_ref().map_or(self.chain, |segment| {
            if !self.is_begun {
                segment.write_header(self.seq, Some(self.chain));
            }
            let records = segment.records(self.at, at);
            self.retention.see_group(records);
            chain(&self.chain, records)
        });
        write_commit(room, ts_ns, records, &hash);
        Group { at, seq, chain: hash, records, is_last }
    }

    pub(super) fn sync(&mut self, shared: &Shared, slot: Slot<'_>) -> std::io::Result<()> {
        let guard = slot.segment();
        let Some(segment) = guard.as_ref() else { return Ok(()) };
        shared.status.watch(|| {
            shared.disk.sync(&segment.file, &segment.path)?;
            if self.is_begun { Ok(()) } else { shared.disk.sync_dir(&shared.dir) }
        })?;
        self.is_begun = true;
        Ok(())
    }

    /// Frees the slot of a segment that is over.
    fn leave(&mut self, shared: &Shared, slot: Slot<'_>) {
        if let Some(segment) = slot.empty() {
            self.note_end(segment.number, shared.time());
            // An uncut segment only takes up more room: zeros behind the last commit mean nothing.
            let _ = segment.cut(self.at);
        }
        self.turn = next(self.turn);
        self.at = SEGMENT_HEADER;
        self.is_begun = false;
        drop(shared.rotation());
        shared.freed.notify_all();
    }
}
