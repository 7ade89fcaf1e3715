//! Reading a journal from its files.

use std::fs;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use qts_core::journal::{
    Anchor, Damage, Meta, Opening, RECORD_HEADER, Record, RecordKind, SEGMENT_HEADER, SegmentEnd,
    SegmentHeader, Verifier, Walk,
};

use super::error::JournalError;
use super::files;
use super::retain::{self, Closed};

/// What a crash left behind the last whole record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment's file.
    pub segment: PathBuf,
    /// Where in it.
    pub at: usize,
    /// How many bytes, up to the last one that is not zero.
    pub bytes: usize,
}

/// What a journal holds, as far as it has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Where it begins, and what has been retired in front of that.
    pub anchor: Anchor,
    /// Bytes of its files.
    pub bytes: u64,
    /// Segments with records that count.
    pub segments: u64,
    /// Records, commits among them.
    pub records: u64,
    /// Commit groups.
    pub groups: u64,
    /// Number of the last record; zero without one.
    pub last_seq: u64,
    /// Time of the last record.
    pub last_ts_ns: i64,
    /// Records behind the last commit.
    pub uncommitted: u64,
    /// What a crash left behind.
    pub torn: Vec<TornTail>,
}

/// A segment that counts: how it begins, as found and as it ought to be, and how it ends.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) found: Option<SegmentHeader>,
    pub(super) head: SegmentHeader,
    pub(super) end: SegmentEnd,
    pub(super) last_ts_ns: i64,
}

impl Kept {
    pub(super) const fn closed(&self) -> Closed {
        let Self { head, end, last_ts_ns, .. } = self;
        Closed { number: head.number, next_seq: end.next_seq, chain: end.chain, last_ts_ns: *last_ts_ns }
    }
}

/// What is to be done with a segment's file to repair it.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    /// See to it that it ends in good order.
    Keep(Box<Kept>),
    /// Nothing in it counts, and nothing is wrong with that.
    Leave,
    Remove,
}

/// The records of a journal in their order, checked on the way.
///
/// A journal that is being written may be read; what comes after the last whole record is then no tail but still on
/// its way.
#[derive(Debug)]
pub struct Records {
    files: Vec<PathBuf>,
    heads: Vec<Option<SegmentHeader>>,
    verifier: Verifier,
    /// The file that is open or will be next.
    file: usize,
    open: Option<(Vec<u8>, Option<Walk>)>,
    found: Option<(Meta, Range<usize>)>,
    summary: Summary,
    verdicts: Vec<Verdict>,
}

impl Records {
    /// The journal in `dir`.
    ///
    /// # Errors
    /// [`JournalError`] if the directory or a header cannot be read.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, JournalError> {
        let dir = dir.as_ref();
        loop {
            let anchor = retain::read_anchor(dir)?;
            let found = Self::behind(anchor, dir);
            // Segments may have been retired meanwhile: then it begins elsewhere.
            if retain::read_anchor(dir)? == anchor {
                return found;
            }
        }
    }

    fn behind(anchor: Anchor, dir: &Path) -> Result<Self, JournalError> {
        let files = files::list(dir)?.into_iter().filter(|(number, _)| *number > anchor.segment);
        let files: Vec<PathBuf> = files.map(|(_, path)| path).collect();
        let heads = files.iter().map(|path| head(path)).collect::<Result<Vec<_>, _>>()?;
        let summary = Summary {
            anchor,
            bytes: files::used(dir)?,
            segments: 0,
            records: 0,
            groups: 0,
            last_seq: anchor.next_seq.saturating_sub(1),
            last_ts_ns: anchor.last_ts_ns,
            uncommitted: 0,
            torn: Vec::new(),
        };
        Ok(Self {
            files,
            verifier: Verifier::new(&anchor, heads.clone()),
            heads,
            file: 0,
            open: None,
            found: None,
            summary,
            verdicts: Vec::new(),
        })
    }

    /// Goes on to the next record; `false` behind the last one.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] if the bytes are not what was written.
    pub fn advance(&mut self) -> Result<bool, JournalError> {
        loop {
            if self.open.is_none() && !self.open_next()? {
                self.found = None;
                return Ok(false);
            }
            if self.step()? {
                return Ok(true);
            }
            self.close()?;
        }
    }

    /// The record that [`Self::advance`] went to.
    pub fn record(&self) -> Option<Record<'_>> {
        let (meta, range) = self.found.as_ref()?;
        let payload = self.open.as_ref()?.0.get(range.clone())?;
        Some(Record { meta: *meta, payload })
    }

    /// What has been read so far.
    pub const fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Segments that count, of those that have been read.
    pub(super) fn kept(&self) -> impl Iterator<Item = &Kept> {
        self.verdicts.iter().filter_map(|verdict| match verdict {
            Verdict::Keep(kept) => Some(kept.as_ref()),
            _ => None,
        })
    }

    pub(super) fn verdicts(self) -> Vec<(PathBuf, Verdict)> {
        self.files.into_iter().zip(self.verdicts).collect()
    }

    fn open_next(&mut self) -> Result<bool, JournalError> {
        let Some(path) = self.files.get(self.file) else { return Ok(false) };
        let bytes = fs::read(path).map_err(JournalError::io("read", path))?;
        let opening = self.verifier.open(&bytes).map_err(|damage| self.damaged(damage))?;
        let (walk, verdict) = match opening {
            Opening::Walk(walk) => (Some(walk), None),
            Opening::Superseded => (None, Some(Verdict::Leave)),
            Opening::Unused => (None, Some(Verdict::Remove)),
            Opening::Lost => {
                let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
                self.summary.torn.push(TornTail { segment: path.clone(), at: 0, bytes: used });
                (None, Some(Verdict::Remove))
            }
        };
        self.summary.segments = self.summary.segments.saturating_add(u64::from(walk.is_some()));
        self.verdicts.extend(verdict);
        self.open = Some((bytes, walk));
        Ok(true)
    }

    fn step(&mut self) -> Result<bool, JournalError> {
        let Some((bytes, Some(walk))) = self.open.as_mut() else { return Ok(false) };
        let at = walk.at();
        let record = match walk.next(bytes) {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(false),
            Err(damage) => return Err(self.damaged(damage)),
        };
        let from = at.saturating_add(RECORD_HEADER);
        self.found = Some((record.meta, from..from.saturating_add(record.payload.len())));
        let summary = &mut self.summary;
        summary.records = summary.records.saturating_add(1);
        summary.last_seq = record.meta.seq;
        summary.last_ts_ns = record.meta.ts_ns;
        if record.meta.kind == RecordKind::Commit {
            summary.groups = summary.groups.saturating_add(1);
            summary.uncommitted = 0;
        } else {
            summary.uncommitted = summary.uncommitted.saturating_add(1);
        }
        Ok(true)
    }

    fn close(&mut self) -> Result<(), JournalError> {
        let Some((bytes, walk)) = self.open.take() else { return Ok(()) };
        let end = self.verifier.close(walk.as_ref(), &bytes).map_err(|damage| self.damaged(damage))?;
        if let (Some(end), Some(walk)) = (end, walk) {
            if let (Some(torn), Some(path)) = (end.torn.as_ref(), self.files.get(self.file)) {
                self.summary.torn.push(TornTail { segment: path.clone(), at: torn.at, bytes: torn.bytes });
            }
            let found = self.heads.get(self.file).copied().flatten();
            let last_ts_ns = self.summary.last_ts_ns;
            self.verdicts.push(Verdict::Keep(Box::new(Kept { found, head: walk.head(), end, last_ts_ns })));
        }
        self.file = self.file.saturating_add(1);
        Ok(())
    }

    fn damaged(&self, damage: Damage) -> JournalError {
        let segment = self.files.get(self.file).cloned().unwrap_or_default();
        JournalError::Damaged { segment, damage }
    }
}

/// The header of a segment, if there is a whole one.
fn head(path: &Path) -> Result<Option<SegmentHeader>, JournalError> {
    let mut bytes = Vec::with_capacity(SEGMENT_HEADER);
    let file = fs::File::open(path).map_err(JournalError::io("open", path))?;
    let length = u64::try_from(SEGMENT_HEADER).unwrap_or_default();
    file.take(length).read_to_end(&mut bytes).map_err(JournalError::io("read", path))?;
    Ok(SegmentHeader::decode(&bytes))
}
