//! The journal as its users see it.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use qts_core::journal::{
    COMMIT_BYTES, MAX_PAYLOAD, Meta, RECORD_HEADER, RecordKind, SEGMENT_HEADER, record_bytes,
};

use super::commit::Committer;
use super::disk::{Disk, SystemDisk};
use super::error::JournalError;
use super::recover::{Recovery, recover};
use super::retain::Retired;
use super::shared::Shared;
use super::status::{Health, Stage};
use super::{files, flusher, holes, slot};

/// Says what time it is, in UTC nanoseconds.
pub type UtcClock = Box<dyn Fn() -> i64 + Send + Sync>;

/// How a journal is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// Size of a segment; a multiple of 4 096 bytes.
    pub segment_bytes: usize,
    /// Records after which a group ends.
    pub group_records: u32,
    /// Milliseconds after which it ends anyway.
    pub group_ms: u32,
    /// Most that all segments together may take up. What may be retired is, before it is reached.
    pub quota_bytes: u64,
    /// Days that a segment is kept at least, unless the quota is reached.
    pub keep_days: u32,
    /// The first record that somebody still needs, as far as is known at the start; see [`Journal::keep_from`]. Zero
    /// keeps everything.
    pub keep_from: u64,
    /// Whether to sync, by a thread of its own. A backtest does without both.
    pub sync: bool,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            group_records: 64,
            group_ms: 1,
            quota_bytes: 2 << 30,
            keep_days: 30,
            keep_from: 0,
            sync: true,
        }
    }
}

impl JournalConfig {
    fn check(&self) -> Result<(), JournalError> {
        let config = |field, found: usize, expected| {
            let found = u64::try_from(found).unwrap_or(u64::MAX);
            Err(JournalError::Config { field, found, expected })
        };
        let bytes = self.segment_bytes;
        if !(4_096..=1 << 30).contains(&bytes) || !bytes.is_multiple_of(4_096) {
            return config("segment_bytes", bytes, "a multiple of 4096 up to 1 GiB");
        }
        if self.group_records == 0 {
            return config("group_records", 0, "1 or more");
        }
        Ok(())
    }

    /// Room at the end of a segment that is kept for the marks of P0 events; more than all that can be under way take.
    pub(super) const fn mark_bytes(&self) -> usize {
        let bytes = self.segment_bytes / 16;
        if bytes < 1 << 20 { bytes } else { 1 << 20 }
    }

    /// Longest payload that fits into a record and a segment.
    const fn longest(&self) -> usize {
        let kept = SEGMENT_HEADER + COMMIT_BYTES + RECORD_HEADER;
        let room = self.segment_bytes.saturating_sub(kept).saturating_sub(self.mark_bytes());
        if room < MAX_PAYLOAD { room } else { MAX_PAYLOAD }
    }
}

/// The room that a journal takes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of its segments, those made ahead among them.
    pub used: u64,
    /// Bytes allowed.
    pub quota: u64,
}

impl Usage {
    /// Four fifths are used: somebody should see to it that segments may be retired (GR103).
    pub const fn is_near_quota(self) -> bool {
        self.used >= self.quota.saturating_sub(self.quota / 5)
    }
}

/// A write-ahead journal that is open for appends. Shared by reference or in an [`Arc`]; closed when dropped.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    flusher: Mutex<Option<JoinHandle<()>>>,
    longest: usize,
    /// That the quota is near has been told.
    is_warned: AtomicBool,
    /// Keeps other processes out for as long as the journal is open.
    lock: Mutex<Option<File>>,
}

impl Journal {
    /// Opens or makes the journal in `dir`, repairs what a crash left behind, and says what it found.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] if durable records are not what was written; see the other kinds for the rest.
    pub fn open(
        dir: impl AsRef<Path>,
        config: JournalConfig,
        clock: UtcClock,
    ) -> Result<(Self, Recovery), JournalError> {
        Self::open_on(dir, config, clock, Box::new(SystemDisk))
    }

    /// As [`Self::open`], on another disk.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_on(
        dir: impl AsRef<Path>,
        config: JournalConfig,
        clock: UtcClock,
        disk: Box<dyn Disk>,
    ) -> Result<(Self, Recovery), JournalError> {
        config.check()?;
        let dir = dir.as_ref();
        let mut lock = files::lock(dir)?;
        if holes::is_same_boot(&mut lock) {
            holes::fill(&files::list(dir)?)?;
        }
        let (recovery, state) = recover(dir, disk.as_ref(), config.sync)?;
        let committer = Committer::new(state.next_seq, state.chain, state.retention);
        let ends = (state.next_number, state.next_seq, state.last_ts);
        let shared = Arc::new(Shared::new((config, dir.to_owned(), disk, clock), ends, committer));
        shared.open_first(state.next_seq)?;
        let flusher = if config.sync { Some(start(&shared)?) } else { None };
        let journal = Self {
            shared,
            flusher: Mutex::new(flusher),
            longest: config.longest(),
            is_warned: AtomicBool::new(false),
            lock: Mutex::new(Some(lock)),
        };
        Ok((journal, recovery))
    }

    /// Appends a record and returns its number. It outlives a crash of the process from now on, and one of the machine
    /// once [`Self::wait_durable`] says so.
    ///
    /// # Errors
    /// [`JournalError`] if it was not appended; nothing is left half-written.
    #[inline]
    pub fn append(&self, kind: RecordKind, payload: &[u8]) -> Result<u64, JournalError> {
        self.append_version(kind, 1, payload)
    }

    /// As [`Self::append`], with a version of the payload's layout.
    ///
    /// # Errors
    /// As [`Self::append`].
    #[inline]
    pub fn append_version(&self, kind: RecordKind, version: u8, payload: &[u8]) -> Result<u64, JournalError> {
        self.check(kind, payload)?;
        let ts_ns = self.shared.time();
        let room = self.shared.reserve(record_bytes(payload.len()), self.shared.limit_of(kind), ts_ns)?;
        let seq = room.seq;
        slot::write(room, &Meta { kind, version, flags: 0, seq, ts_ns }, payload);
        self.shared.appended(seq);
        if !self.shared.config.sync {
            self.commit_inline(seq);
        }
        Ok(seq)
    }

    /// As [`Self::append`], but never waits for the disk or another thread: `None` if the record did not go in because
    /// the next segment is not there yet. It is being made then, if it can be; [`Self::obstacle`] says why not. For
    /// journals that sync.
    ///
    /// # Errors
    /// As [`Self::append`].
    #[inline]
    pub fn append_now(&self, kind: RecordKind, payload: &[u8]) -> Result<Option<u64>, JournalError> {
        self.check(kind, payload)?;
        let ts_ns = self.shared.time();
        let bytes = record_bytes(payload.len());
        let Some(room) = self.shared.reserve_now(bytes, self.shared.limit_of(kind), ts_ns)? else {
            return Ok(None);
        };
        let seq = room.seq;
        slot::write(room, &Meta { kind, version: 1, flags: 0, seq, ts_ns }, payload);
        self.shared.appended(seq);
        Ok(Some(seq))
    }

    fn check(&self, kind: RecordKind, payload: &[u8]) -> Result<(), JournalError> {
        if payload.len() > self.longest {
            return Err(JournalError::TooLong { found: payload.len(), limit: self.longest });
        }
        if kind == RecordKind::Commit { Err(JournalError::Reserved) } else { Ok(()) }
    }

    /// Why the next segment could not be made when that was last tried; nothing if it could.
    pub fn obstacle(&self) -> Option<String> {
        self.shared.obstacle.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the record is durable. Without syncs: until it is committed, which is at once.
    ///
    /// # Errors
    /// [`JournalError::Failed`] if a sync failed meanwhile, [`JournalError::Timeout`] if it took too long. The record
    /// is not known to be durable then.
    pub fn wait_durable(&self, seq: u64, timeout: Duration) -> Result<(), JournalError> {
        if !self.shared.config.sync && self.shared.status.durable() < seq {
            self.shared.committer().commit(&self.shared)?;
        }
        self.shared.status.wait(seq, timeout)
    }

    /// Number of the last record that is durable; zero without one.
    pub fn durable_seq(&self) -> u64 {
        self.shared.status.durable()
    }

    /// Number of the last record that was appended; commits count.
    pub fn last_seq(&self) -> u64 {
        let slot = self.shared.slot(self.shared.row.current());
        slot.first_seq().saturating_add(slot.tail().records).saturating_sub(1)
    }

    /// Records that are appended and not durable yet.
    pub fn lag(&self) -> u64 {
        self.last_seq().saturating_sub(self.durable_seq())
    }

    /// Says that nobody needs a record in front of this one any more: what is to be kept of them is acknowledged by the
    /// database and in a verified backup. Only such records are ever retired; the bound only rises.
    pub fn keep_from(&self, seq: u64) {
        self.shared.keep_from.fetch_max(seq, Ordering::AcqRel);
    }

    /// Retires the segments that are older than `keep_days`, as far as they may be. With syncs that happens by itself
    /// whenever a segment has been made. Waits for a sync; blocks no append.
    ///
    /// # Errors
    /// [`JournalError`] if the journal could not be committed before, or a file not be written or removed.
    pub fn retire(&self) -> Result<Retired, JournalError> {
        let mut committer = self.shared.committer();
        committer.commit(&self.shared)?;
        committer.retire_old(&self.shared)
    }

    /// The room that the journal takes up, once each time that it comes near its quota.
    #[inline]
    pub fn take_quota_warning(&self) -> Option<Usage> {
        let usage = self.usage();
        let is_near = usage.is_near_quota();
        if is_near == self.is_warned.load(Ordering::Relaxed) {
            return None;
        }
        let is_first = self.is_warned.swap(is_near, Ordering::AcqRel) != is_near;
        (is_near && is_first).then_some(usage)
    }

    /// How much room the journal takes up, as of the last segment that was made.
    pub fn usage(&self) -> Usage {
        Usage { used: self.shared.used.load(Ordering::Relaxed), quota: self.shared.config.quota_bytes }
    }

    /// Whether every sync was in order.
    pub fn health(&self) -> Health {
        self.shared.status.health()
    }

    /// Forgets a failure that an operator has taken note of. A final one stays.
    pub fn clear_failure(&self) {
        self.shared.status.clear();
    }

    /// Commits and syncs what has been appended, and ends the journal.
    ///
    /// # Errors
    /// [`JournalError::Failed`] if that could not be synced.
    pub fn close(&self) -> Result<(), JournalError> {
        let flusher = self.flusher.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(flusher) = flusher {
            self.shared.status.wants_close.store(true, Ordering::Release);
            self.shared.wake();
            // What it had to say stands in the status.
            let _ = flusher.join();
        } else if self.shared.status.stage() == Stage::Running {
            self.shared.committer().close(&self.shared)?;
        }
        if let Some(lock) = self.lock.lock().unwrap_or_else(PoisonError::into_inner).take() {
            files::unlock(&lock);
        }
        match self.shared.status.refusal() {
            Some(JournalError::Closed) | None => Ok(()),
            Some(error) => Err(error),
        }
    }

    /// Without a flusher, whoever fills a group ends it.
    fn commit_inline(&self, seq: u64) {
        if seq.is_multiple_of(u64::from(self.shared.config.group_records.max(1)))
            && let Ok(mut committer) = self.shared.committer.try_lock()
        {
            // Without a sync nothing of it can fail.
            let _ = committer.commit(&self.shared);
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Whoever wants to know calls `close`.
        let _ = self.close();
    }
}

fn start(shared: &Arc<Shared>) -> Result<JoinHandle<()>, JournalError> {
    let run = {
        let shared = Arc::clone(shared);
        move || flusher::run(&shared)
    };
    let thread = thread::Builder::new().name("qts-journal".to_owned()).spawn(run);
    let thread = thread.map_err(JournalError::io("start a thread for", &shared.dir))?;
    // Set once, here.
    let _ = shared.flusher.set(thread.thread().clone());
    shared.wake();
    Ok(thread)
}
