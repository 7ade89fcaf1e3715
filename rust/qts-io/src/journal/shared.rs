//! What appenders and the flusher share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

use qts_core::journal::{COMMIT_BYTES, RecordKind, Room, Row, Tail, next};

use super::commit::Committer;
use super::disk::Disk;
use super::error::JournalError;
use super::files;
use super::handle::{JournalConfig, UtcClock};
use super::map::Segment;
use super::retain::{Goal, Pin};
use super::slot::Slot;
use super::status::{SLOW, Status};

/// One in use, one made ahead, two that are still being synced.
pub(super) const SLOTS: usize = 4;

#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Padded<T>(pub(super) T);

pub(super) struct Shared {
    pub(super) config: JournalConfig,
    pub(super) dir: PathBuf,
    pub(super) disk: Box<dyn Disk>,
    pub(super) clock: UtcClock,
    pub(super) row: Row<SLOTS>,
    /// What is in the places of the row.
    held: [Mutex<Option<Segment>>; SLOTS],
    last_ts: Padded<AtomicI64>,
    pub(super) flusher: OnceLock<Thread>,
    pub(super) status: Status,
    pub(super) rotation: Mutex<Rotation>,
    /// A slot has become free, or there is no point in waiting for one.
    pub(super) freed: Condvar,
    pub(super) committer: Mutex<Committer>,
    /// The first record that the owner still needs.
    pub(super) keep_from: AtomicU64,
    /// Bytes of all segments when the last one was made.
    pub(super) used: AtomicU64,
    /// An appender waits for the flusher to make room below the quota.
    pub(super) wants_room: AtomicBool,
    /// An appender that does not wait has found no next segment.
    pub(super) wants_ahead: AtomicBool,
    /// Why the flusher could not make the next segment when it was last asked to.
    pub(super) obstacle: Mutex<Option<String>>,
}

/// What only one thread at a time may do.
#[derive(Debug)]
pub(super) struct Rotation {
    /// The slot behind the current one holds a segment made ahead.
    pub(super) is_ready: bool,
    /// Number of the next segment to be made.
    pub(super) next_number: u32,
    /// How often the flusher was asked for room below the quota, and how often it has answered.
    pub(super) asked: u64,
    pub(super) answered: u64,
    /// Its last answer: what keeps the oldest segment, if nothing could be retired.
    pub(super) pin: Option<Pin>,
}

impl Shared {
    pub(super) fn new(
        (config, dir, disk, clock): (JournalConfig, PathBuf, Box<dyn Disk>, UtcClock),
        (next_number, next_seq, last_ts): (u32, u64, i64),
        committer: Committer,
    ) -> Self {
        Self {
            config,
            dir,
            disk,
            clock,
            row: Row::default(),
            held: std::array::from_fn(|_| Mutex::new(None)),
            last_ts: Padded(AtomicI64::new(last_ts)),
            flusher: OnceLock::new(),
            status: Status::new(next_seq.saturating_sub(1)),
            rotation: Mutex::new(Rotation { is_ready: false, next_number, asked: 0, answered: 0, pin: None }),
            keep_from: AtomicU64::new(config.keep_from),
            used: AtomicU64::new(0),
            wants_room: AtomicBool::new(false),
            wants_ahead: AtomicBool::new(false),
            obstacle: Mutex::new(None),
            freed: Condvar::new(),
            committer: Mutex::new(committer),
        }
    }

    /// Time that never runs backwards.
    #[inline]
    pub(super) fn time(&self) -> i64 {
        let now = (self.clock)();
        self.last_ts.0.fetch_max(now, Ordering::AcqRel).max(now)
    }

    /// Room for a record, in the next segment if need be.
    #[inline]
    pub(super) fn reserve(&self, bytes: usize, limit: usize, ts_ns: i64) -> Result<Room, JournalError> {
        loop {
            match self.row.reserve(bytes, limit, ts_ns) {
                Ok(room) => return Ok(room),
                Err(full) => self.rotate(full, (bytes, limit), ts_ns)?,
            }
        }
    }

    /// As [`Self::reserve`], but never waits for another thread or the disk: `None` where that would have to be.
    #[inline]
    pub(super) fn reserve_now(
        &self,
        bytes: usize,
        limit: usize,
        ts_ns: i64,
    ) -> Result<Option<Room>, JournalError> {
        loop {
            match self.row.reserve(bytes, limit, ts_ns) {
                Ok(room) => return Ok(Some(room)),
                Err(full) if self.rotate_now(full, (bytes, limit), ts_ns)? => {}
                Err(_) => return Ok(None),
            }
        }
    }

    /// Goes on to the next segment if it has been made; whether it is worth another try.
    #[cold]
    fn rotate_now(
        &self,
        from: usize,
        (bytes, limit): (usize, usize),
        ts_ns: i64,
    ) -> Result<bool, JournalError> {
        if let Some(refusal) = self.status.refusal() {
            return Err(refusal);
        }
        let Ok(mut rotation) = self.rotation.try_lock() else { return Ok(false) };
        if self.row.current() != from || self.slot(from).has_room(bytes, limit, ts_ns) {
            return Ok(true);
        }
        let is_ready = rotation.is_ready;
        if is_ready {
            self.activate_next(&mut rotation, ts_ns)?;
        } else {
            self.wants_ahead.store(true, Ordering::Release);
        }
        drop(rotation);
        self.wake();
        Ok(is_ready)
    }

    fn segment_bytes(&self) -> u64 {
        u64::try_from(self.config.segment_bytes).unwrap_or(u64::MAX)
    }

    /// Where appends of a kind end. Marks may go further: what would keep the quota full for ever if it could not be
    /// written is that an event is done.
    #[inline]
    pub(super) fn limit_of(&self, kind: RecordKind) -> usize {
        let reserve = if kind == RecordKind::P0Done { 0 } else { self.config.mark_bytes() };
        self.limit().saturating_sub(reserve)
    }

    /// Where marks and commits end: the last commit always has room.
    #[inline]
    pub(super) const fn limit(&self) -> usize {
        self.config.segment_bytes.saturating_sub(COMMIT_BYTES)
    }

    /// Goes on to the next segment, unless another thread already has. Changes nothing if there is none.
    #[cold]
    fn rotate(&self, from: usize, (bytes, limit): (usize, usize), ts_ns: i64) -> Result<(), JournalError> {
        if !self.config.sync {
            // Nobody else empties the slots.
            self.committer().commit(self)?;
        }
        let mut rotation = self.rotation();
        let has_room = self.slot(from).has_room(bytes, limit, ts_ns);
        if self.row.current() != from || has_room {
            return Ok(());
        }
        if let Some(refusal) = self.status.refusal() {
            return Err(refusal);
        }
        if !rotation.is_ready {
            if !self.config.sync && !self.is_free(next(from)) {
                // Others filled segments since the commit above; there is one more to make.
                return Ok(());
            }
            rotation = self.wait_for_slot(rotation, from)?;
            if self.row.current() != from {
                return Ok(());
            }
            if !rotation.is_ready {
                match self.make_next(&mut rotation, ts_ns) {
                    Err(JournalError::Quota { used, quota, .. }) => {
                        // With room made, the caller comes again.
                        return match self.room_below_quota(rotation)? {
                            None => Ok(()),
                            Some(pin) => Err(JournalError::Quota { used, quota, pin }),
                        };
                    }
                    made => made?,
                }
            }
        }
        self.activate_next(&mut rotation, ts_ns)?;
        drop(rotation);
        self.wake();
        Ok(())
    }

    /// Waits until the slot behind `from` is empty, or holds the next segment.
    fn wait_for_slot<'a>(
        &'a self,
        rotation: MutexGuard<'a, Rotation>,
        from: usize,
    ) -> Result<MutexGuard<'a, Rotation>, JournalError> {
        self.wait_for_flusher(rotation, |rotation| {
            self.row.current() == from && !rotation.is_ready && !self.is_free(next(from))
        })
    }

    /// Has segments retired until the next one fits; what keeps the oldest one, if none can be.
    fn room_below_quota(&self, mut rotation: MutexGuard<'_, Rotation>) -> Result<Option<Pin>, JournalError> {
        if !self.config.sync {
            drop(rotation);
            let mut committer = self.committer();
            committer.commit(self)?;
            return self.make_room(&mut committer);
        }
        rotation.asked = rotation.asked.saturating_add(1);
        let turn = rotation.asked;
        self.wants_room.store(true, Ordering::Release);
        let rotation = self.wait_for_flusher(rotation, |rotation| rotation.answered < turn)?;
        Ok(rotation.pin)
    }

    /// Retires what has to go for one more segment; what keeps the oldest one, if that is not enough.
    pub(super) fn make_room(&self, committer: &mut Committer) -> Result<Option<Pin>, JournalError> {
        let used = files::used(&self.dir)?;
        let excess = used.saturating_add(self.segment_bytes()).saturating_sub(self.config.quota_bytes);
        if excess == 0 {
            return Ok(None);
        }
        let retired = committer.retire(self, Goal::Bytes(excess))?;
        self.used.store(used.saturating_sub(retired.bytes), Ordering::Relaxed);
        Ok((retired.bytes < excess).then_some(retired.pin))
    }

    /// Answers the appenders that wait for room below the quota. All that was appended before they asked is committed.
    pub(super) fn answer(&self, asked: u64, pin: Option<Pin>) {
        let mut rotation = self.rotation();
        (rotation.answered, rotation.pin) = (asked, pin);
        drop(rotation);
        self.freed.notify_all();
    }

    /// Waits as long as something is so that only the flusher can change.
    fn wait_for_flusher<'a>(
        &'a self,
        mut rotation: MutexGuard<'a, Rotation>,
        is_stuck: impl Fn(&Rotation) -> bool,
    ) -> Result<MutexGuard<'a, Rotation>, JournalError> {
        let deadline = super::status::now().checked_add(SLOW);
        while is_stuck(&rotation) {
            self.wake();
            let left = deadline.map_or(SLOW, |end| end.saturating_duration_since(super::status::now()));
            if let Some(refusal) = self.status.refusal() {
                return Err(refusal);
            }
            if left.is_zero() {
                return Err(JournalError::Stalled);
            }
            rotation = self.freed.wait_timeout(rotation, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(rotation)
    }

    /// The slot of that turn.
    #[allow(clippy::indexing_slicing, reason = "less than the length")]
    pub(super) fn slot(&self, turn: usize) -> Slot<'_> {
        Slot { place: self.row.place(turn), held: &self.held[turn % SLOTS] }
    }

    fn is_free(&self, turn: usize) -> bool {
        self.slot(turn).is_empty()
    }

    /// Makes the next segment if its slot is empty; whether it did. An error is left to whoever needs the segment, and
    /// stands in `obstacle`.
    pub(super) fn prepare_ahead(&self) -> bool {
        let made = match self.try_ahead() {
            Err(JournalError::Quota { used, quota, .. }) => self.ahead_below_quota(used, quota),
            made => made,
        };
        *self.obstacle.lock().unwrap_or_else(PoisonError::into_inner) =
            made.as_ref().err().map(JournalError::to_string);
        made.unwrap_or(false)
    }

    fn ahead_below_quota(&self, used: u64, quota: u64) -> Result<bool, JournalError> {
        // A statement of its own: the committer is free again when the segment is made.
        let pin = self.make_room(&mut self.committer())?;
        match pin {
            None => self.try_ahead(),
            Some(pin) => Err(JournalError::Quota { used, quota, pin }),
        }
    }

    fn try_ahead(&self) -> Result<bool, JournalError> {
        let mut rotation = self.rotation();
        let turn = next(self.row.current());
        let is_wanted = !rotation.is_ready && self.is_free(turn) && self.status.refusal().is_none();
        if is_wanted {
            self.make_next(&mut rotation, (self.clock)())?;
        }
        Ok(is_wanted)
    }

    /// Makes a segment in the slot behind the current one, which is empty.
    pub(super) fn make_next(&self, rotation: &mut Rotation, ts_ns: i64) -> Result<(), JournalError> {
        let segment = self.make(rotation, ts_ns, self.config.quota_bytes)?;
        let at = next(self.row.current());
        self.slot(at).fill(segment);
        rotation.is_ready = true;
        Ok(())
    }

    /// Makes a segment.
    pub(super) fn make(
        &self,
        rotation: &mut Rotation,
        ts_ns: i64,
        quota: u64,
    ) -> Result<Segment, JournalError> {
        let used = files::used(&self.dir)?;
        let bytes = self.segment_bytes();
        self.used.store(used, Ordering::Relaxed);
        if used.saturating_add(bytes) > quota {
            return Err(JournalError::Quota { used, quota, pin: Pin::InUse });
        }
        let path = files::path(&self.dir, ts_ns, rotation.next_number);
        let file = self.disk.create(&path, bytes).map_err(JournalError::io("make", &path))?;
        let segment = Segment::new(file, path.clone(), rotation.next_number, self.config.segment_bytes);
        let segment = segment.map_err(JournalError::io("map", &path))?;
        rotation.next_number = rotation.next_number.saturating_add(1);
        self.used.store(used.saturating_add(bytes), Ordering::Relaxed);
        Ok(segment)
    }

    /// Ends the current segment and opens the one made ahead.
    pub(super) fn activate_next(&self, rotation: &mut Rotation, ts_ns: i64) -> Result<(), JournalError> {
        let slot = self.slot(next(self.row.current()));
        self.rename(slot, ts_ns)?;
        self.row.advance(files::day_end(ts_ns), |first_seq| write_header(slot, first_seq));
        rotation.is_ready = false;
        Ok(())
    }

    /// Makes and opens the first segment.
    pub(super) fn open_first(&self, first_seq: u64) -> Result<(), JournalError> {
        self.make_room(&mut self.committer())?;
        let mut rotation = self.rotation();
        let ts_ns = self.time();
        // Above the quota if need be: an event that keeps its segment can only be done where its mark can be written.
        let segment = self.make(&mut rotation, ts_ns, u64::MAX)?;
        let slot = self.slot(0);
        slot.fill(segment);
        write_header(slot, first_seq);
        slot.start(first_seq, files::day_end(ts_ns), Tail::EMPTY);
        Ok(())
    }

    /// A segment made on the day before gets the name of its day.
    fn rename(&self, slot: Slot<'_>, ts_ns: i64) -> Result<(), JournalError> {
        let mut guard = slot.segment();
        let Some(segment) = guard.as_mut() else { return Ok(()) };
        let path = files::path(&self.dir, ts_ns, segment.number);
        if path != segment.path {
            self.disk.rename(&segment.path, &path).map_err(JournalError::io("rename", &segment.path))?;
            segment.path = path;
        }
        Ok(())
    }

    /// Wakes the flusher if it waits for this record.
    #[inline]
    pub(super) fn appended(&self, seq: u64) {
        if self.row.is_called(seq) {
            self.wake();
        }
    }

    pub(super) fn wake(&self) {
        if let Some(thread) = self.flusher.get() {
            thread.unpark();
        }
    }

    pub(super) fn rotation(&self) -> MutexGuard<'_, Rotation> {
        self.rotation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn committer(&self) -> MutexGuard<'_, Committer> {
        self.committer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The header of a segment that nobody can append to yet.
fn write_header(slot: Slot<'_>, first_seq: u64) {
    if let Some(segment) = slot.segment().as_ref() {
        segment.write_header(first_seq, None);
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Shared")
            .field("dir", &self.dir)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
