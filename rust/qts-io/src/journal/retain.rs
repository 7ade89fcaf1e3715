//! Which segments may go, and how they go.
//!
//! Whole segments are retired, oldest first: those in which every P0 event is done and every record stands in front of
//! the number that the owner keeps from. A crash at any point is harmless: first the anchor, which says where the
//! journal begins from now on, is made durable; then the files are removed. A file that an anchor has left behind is no
//! part of the journal any more, and whoever comes next removes it. A file that is missing without one is damage.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use qts_core::journal::{ANCHOR_BYTES, Anchor, ChainHash, Damage, Record, RecordKind, decode};

use super::disk::Disk;
use super::error::JournalError;
use super::files::{self, DAY_NS};
use super::read::Records;

const NAME: &str = "anchor";
const TEMPORARY: &str = "anchor.new";

/// A segment that is over, with the end of the journal in front of its successor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed {
    pub(super) number: u32,
    pub(super) next_seq: u64,
    pub(super) chain: ChainHash,
    pub(super) last_ts_ns: i64,
}

/// What keeps the oldest segment where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// A P0 event in it is not done.
    Event(u64),
    /// The owner keeps everything from this record on; zero until the owner has said anything.
    KeptFrom(u64),
    /// It is younger than what was asked for.
    Young,
    /// There is none but those in use.
    InUse,
}

impl std::fmt::Display for Pin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Event(seq) => write!(out, "P0 event {seq} is not done"),
            Self::KeptFrom(0) => write!(out, "nobody has said from which record on it is needed"),
            Self::KeptFrom(seq) => write!(out, "it is needed from record {seq} on"),
            Self::Young => write!(out, "the oldest segment is not old enough"),
            Self::InUse => write!(out, "only segments in use are left"),
        }
    }
}

/// Segments that have been retired, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retired {
    /// Their files.
    pub segments: Vec<PathBuf>,
    /// Bytes of them.
    pub bytes: u64,
    /// Number of the first record behind them.
    pub next_seq: u64,
    /// What keeps the next one.
    pub pin: Pin,
}

/// How much is to go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// Segments whose last record is older than this.
    Before(i64),
    /// At least so many bytes.
    Bytes(u64),
}

/// The segments that are over, and the P0 events that are not done.
#[derive(Debug)]
pub(super) struct Retention {
    anchor: Anchor,
    closed: VecDeque<Closed>,
    undone: BTreeSet<u64>,
}

impl Retention {
    pub(super) const fn new(anchor: Anchor) -> Self {
        Self { anchor, closed: VecDeque::new(), undone: BTreeSet::new() }
    }

    pub(super) fn see(&mut self, record: Record<'_>) {
        match record.meta.kind {
            RecordKind::P0Event => {
                self.undone.insert(record.meta.seq);
            }
            RecordKind::P0Done => {
                if let Ok(seq) = record.payload.try_into() {
                    self.undone.remove(&u64::from_le_bytes(seq));
                }
            }
            _ => {}
        }
    }

    /// Takes note of the records of a group.
    pub(super) fn see_group(&mut self, mut bytes: &[u8]) {
        while let Some(record) = kind_at(bytes) {
            if matches!(record.kind, Some(RecordKind::P0Event | RecordKind::P0Done))
                && let Ok(record) = decode(bytes)
            {
                self.see(record);
            }
            bytes = bytes.get(record.size..).unwrap_or_default();
        }
    }

    pub(super) fn close(&mut self, closed: Closed) {
        self.closed.push_back(closed);
    }

    /// How many segments may go and are asked for, and what keeps the next one.
    fn choose(
        &self,
        keep_from: u64,
        mut wants: impl FnMut(&Closed) -> Result<bool, JournalError>,
    ) -> Result<(usize, Pin), JournalError> {
        let undone = self.undone.first().copied().unwrap_or(u64::MAX);
        for (count, closed) in self.closed.iter().enumerate() {
            let pin = if undone < closed.next_seq {
                Pin::Event(undone)
            } else if keep_from < closed.next_seq {
                Pin::KeptFrom(keep_from)
            } else if wants(closed)? {
                continue;
            } else {
                Pin::Young
            };
            return Ok((count, pin));
        }
        Ok((self.closed.len(), Pin::InUse))
    }

    /// What would be retired.
    pub(super) fn plan(&self, dir: &Path, keep_from: u64, goal: Goal) -> Result<Retired, JournalError> {
        let files = files::list(dir)?;
        let size = |from: u32, to: u32| -> Result<u64, JournalError> {
            let files = files.iter().filter(|(number, _)| *number > from && *number <= to);
            files
                .map(|(_, path)| files::bytes(path))
                .try_fold(0, |sum: u64, bytes| Ok(sum.saturating_add(bytes?)))
        };
        let begin = self.anchor.segment;
        let mut before = begin;
        let (count, pin) = self.choose(keep_from, |closed| match goal {
            Goal::Before(ts_ns) => Ok(closed.last_ts_ns < ts_ns),
            Goal::Bytes(bytes) => {
                let is_wanted = size(begin, before)? < bytes;
                before = closed.number;
                Ok(is_wanted)
            }
        })?;
        let last = count.checked_sub(1).and_then(|last| self.closed.get(last));
        let (to, next_seq) = last.map_or((begin, self.anchor.next_seq), |last| (last.number, last.next_seq));
        let bytes = size(begin, to)?;
        let segments = files.into_iter().filter(|(number, _)| *number > begin && *number <= to);
        Ok(Retired { segments: segments.map(|(_, path)| path).collect(), bytes, next_seq, pin })
    }

    /// Retires what [`Self::plan`] says.
    pub(super) fn retire(
        &mut self,
        (dir, disk, sync): (&Path, &dyn Disk, bool),
        keep_from: u64,
        goal: Goal,
        now_ns: i64,
    ) -> Result<Retired, JournalError> {
        let plan = self.plan(dir, keep_from, goal)?;
        let count = self.closed.iter().take_while(|closed| closed.next_seq <= plan.next_seq).count();
        if let Some(last) = count.checked_sub(1).and_then(|last| self.closed.get(last)).copied() {
            let anchor = Anchor {
                segment: last.number,
                next_seq: last.next_seq,
                chain: last.chain,
                segments: self.anchor.segments.saturating_add(u64::try_from(count).unwrap_or(0)),
                bytes: self.anchor.bytes.saturating_add(plan.bytes),
                last_ts_ns: last.last_ts_ns,
                retired_at_ns: now_ns,
            };
            write_anchor(dir, disk, sync, &anchor)?;
            self.anchor = anchor;
            self.closed.drain(..count);
        }
        sweep(dir, disk, &self.anchor)?;
        Ok(plan)
    }
}

/// Removes the files that the anchor has left behind.
pub(super) fn sweep(dir: &Path, disk: &dyn Disk, anchor: &Anchor) -> Result<(), JournalError> {
    for (_, path) in files::list(dir)?.iter().filter(|(number, _)| *number <= anchor.segment) {
        disk.remove(path).map_err(JournalError::io("remove", path))?;
    }
    Ok(())
}

/// Where the journal in `dir` begins.
pub(super) fn read_anchor(dir: &Path) -> Result<Anchor, JournalError> {
    let path = dir.join(NAME);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Anchor::GENESIS),
        Err(error) => return Err(JournalError::io("read", &path)(error)),
    };
    Anchor::decode(&bytes).ok_or_else(|| {
        let found = format!("{} bytes that are no anchor", bytes.len());
        let expected = format!("{ANCHOR_BYTES} bytes that say where the journal begins");
        JournalError::Damaged { segment: path, damage: Damage { at: 0, found, expected } }
    })
}

/// Puts an anchor in the place of the one before, whole or not at all.
fn write_anchor(dir: &Path, disk: &dyn Disk, sync: bool, anchor: &Anchor) -> Result<(), JournalError> {
    let path = dir.join(TEMPORARY);
    let write = || -> io::Result<()> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = disk.create(&path, u64::try_from(ANCHOR_BYTES).unwrap_or_default())?;
        file.write_all_at(&anchor.encode(), 0)?;
        if sync {
            disk.sync(&file, &path)?;
        }
        disk.rename(&path, &dir.join(NAME))?;
        if sync { disk.sync_dir(dir) } else { Ok(()) }
    };
    write().map_err(JournalError::io("write", &path))
}

struct Head {
    kind: Option<RecordKind>,
    size: usize,
}

/// What kind of record begins here, and how long it is.
fn kind_at(bytes: &[u8]) -> Option<Head> {
    let length = u32::from_le_bytes(*bytes.first_chunk()?);
    let kind = u16::from_le_bytes(*bytes.get(8..)?.first_chunk()?);
    let size = usize::try_from(length).ok()?.next_multiple_of(8);
    (size != 0).then(|| Head { kind: RecordKind::from_number(kind), size })
}

/// What [`Journal::retire`](super::Journal::retire) would do with the journal in `dir`, which nobody writes; nothing is
/// changed. `keep_from` is the first record that somebody still needs.
///
/// # Errors
/// [`JournalError`] if the journal cannot be read or is damaged.
pub fn plan(
    dir: impl AsRef<Path>,
    keep_from: u64,
    keep_days: u32,
    now_ns: i64,
) -> Result<Retired, JournalError> {
    let mut records = Records::open(dir.as_ref())?;
    let mut retention = Retention::new(records.summary().anchor);
    while records.advance()? {
        if let Some(record) = records.record() {
            retention.see(record);
        }
    }
    for kept in records.kept() {
        retention.close(kept.closed());
    }
    retention.plan(dir.as_ref(), keep_from, before(now_ns, keep_days))
}

/// Segments whose last record is more than so many days old.
pub(super) fn before(now_ns: i64, days: u32) -> Goal {
    Goal::Before(now_ns.saturating_sub(i64::from(days).saturating_mul(DAY_NS)))
}
