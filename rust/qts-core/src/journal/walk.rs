//! The way through one segment.

use super::format::{
    COMMIT_BYTES, ChainHash, Fault, Record, RecordKind, SEGMENT_HEADER, SegmentHeader, chain, decode,
};

/// Bytes of a journal that cannot be what was written (FS125).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where in the segment the first bad byte is, as far as can be told: the start of the record it belongs to.
    pub at: usize,
    /// What stands there.
    pub found: String,
    /// What ought to.
    pub expected: String,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "byte {}: {}, expected {}", self.at, self.found, self.expected)
    }
}

/// What a crash left behind the last whole record. Nobody was told that it was durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Where it begins, and the segment is to be cut.
    pub at: usize,
    /// Bytes up to the last one that is not zero.
    pub bytes: usize,
    /// What stands there.
    pub found: String,
}

/// Where a [`Walk`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkEnd {
    /// First byte behind the last whole record.
    pub at: usize,
    /// Number of the record that would have come next.
    pub next_seq: u64,
    /// Records behind the last commit.
    pub pending: u32,
    /// Chain hash of the last commit.
    pub chain: ChainHash,
    /// Chain hash that a commit in this place would have.
    pub closing: ChainHash,
    /// What was left over behind it.
    pub torn: Option<Torn>,
}

/// Steps through the records of one segment, checking numbers, CRCs and the chain.
///
/// It holds no borrow of the bytes, so that it can be kept beside them; every call has to be given the same ones.
#[derive(Clone, Debug)]
pub struct Walk {
    head: SegmentHeader,
    at: usize,
    seq: u64,
    group_at: usize,
    group_records: u32,
    chain: ChainHash,
    /// A later segment goes on with this record: what stands here from there on does not count.
    until: Option<u64>,
    /// Everything up to `until` was durable: whatever is not a record is damage.
    is_sure: bool,
    is_over: bool,
    torn: Option<Torn>,
}

impl Walk {
    /// Starts at the first record of a segment.
    pub(super) const fn new(
        number: u32,
        seq: u64,
        chain: ChainHash,
        until: Option<u64>,
        is_sure: bool,
    ) -> Self {
        let head = SegmentHeader { number, first_seq: seq, chain: Some(chain) };
        let at = SEGMENT_HEADER;
        Self {
            head,
            at,
            seq,
            group_at: at,
            group_records: 0,
            chain,
            until,
            is_sure,
            is_over: false,
            torn: None,
        }
    }

    /// The header that the segment has, or ought to have.
    pub const fn head(&self) -> SegmentHeader {
        self.head
    }

    /// Where the next record begins.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// The next record, and `None` at the end of what was written.
    ///
    /// # Errors
    /// [`Damage`] if bytes that were durable once are not what they were.
    pub fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Record<'a>>, Damage> {
        if self.is_over {
            return Ok(None);
        }
        if self.until == Some(self.seq) {
            self.is_over = true;
            return Ok(None);
        }
        match decode(bytes.get(self.at..).unwrap_or_default()) {
            Ok(record) if record.meta.seq == self.seq => self.accept(bytes, record).map(Some),
            Ok(record) => {
                let found = format!("a record with the number {}", record.meta.seq);
                Err(self.damage(found, format!("the number {}", self.seq)))
            }
            Err(Fault::Kind(kind)) => {
                Err(self
                    .damage(format!("a record of kind {kind}"), "a kind that this release knows".to_owned()))
            }
            Err(fault) => self.stop(bytes, fault).map(|()| None),
        }
    }

    /// Where the walk stands. With the same bytes as before.
    pub fn end(&self, bytes: &[u8]) -> WalkEnd {
        let group = bytes.get(self.group_at..self.at).unwrap_or_default();
        WalkEnd {
            at: self.at,
            next_seq: self.seq,
            pending: self.group_records,
            chain: self.chain,
            closing: chain(&self.chain, group),
            torn: self.torn.clone(),
        }
    }

    fn accept<'a>(&mut self, bytes: &[u8], record: Record<'a>) -> Result<Record<'a>, Damage> {
        if record.meta.kind == RecordKind::Commit {
            let group = bytes.get(self.group_at..self.at).unwrap_or_default();
            let hash = chain(&self.chain, group);
            match record.commit() {
                Some(found) if found == (self.group_records, hash) => {}
                Some((records, _)) if records != self.group_records => {
                    let expected = format!("a commit of {} records", self.group_records);
                    return Err(self.damage(format!("a commit of {records} records"), expected));
                }
                Some((_, found)) => {
                    let expected = format!("chain hash {}", hex(&hash));
                    return Err(self.damage(format!("chain hash {}", hex(&found)), expected));
                }
                None => {
                    return Err(self.damage("a commit of another layout".to_owned(), "a commit".to_owned()));
                }
            }
            self.chain = hash;
            self.group_records = 0;
        } else {
            self.group_records = self.group_records.saturating_add(1);
        }
        self.at = self.at.saturating_add(record.size());
        if record.meta.kind == RecordKind::Commit {
            self.group_at = self.at;
        }
        self.seq = self.seq.saturating_add(1);
        Ok(record)
    }

    /// No record here: the end, a torn tail, or damage.
    fn stop(&mut self, bytes: &[u8], fault: Fault) -> Result<(), Damage> {
        let rest = bytes.get(self.at..).unwrap_or_default();
        let found = match fault {
            Fault::Nothing if rest.is_empty() => "the end of the file".to_owned(),
            Fault::Nothing => "no record".to_owned(),
            Fault::Length(length) => format!("a record of {length} bytes"),
            Fault::Crc { found, expected } => {
                format!("CRC {found:08x} over bytes whose CRC is {expected:08x}")
            }
            Fault::Kind(kind) => format!("a record of kind {kind}"),
        };
        if self.is_sure {
            return Err(self.damage(found, format!("record {}", self.seq)));
        }
        if let Some(commit) = later_commit(rest, self.seq) {
            let expected = format!("record {}, because commit {commit} follows", self.seq);
            return Err(self.damage(found, expected));
        }
        self.is_over = true;
        self.torn = rest.iter().rposition(|byte| *byte != 0).map(|last| Torn {
            at: self.at,
            bytes: last.saturating_add(1),
            found,
        });
        Ok(())
    }

    const fn damage(&self, found: String, expected: String) -> Damage {
        Damage { at: self.at, found, expected }
    }
}

/// A valid commit in `bytes` of a group that begins behind record `seq`, which could not be read.
///
/// Such a commit is only written once the group before it is durable.
pub(super) fn later_commit(bytes: &[u8], seq: u64) -> Option<u64> {
    let word = u32::try_from(COMMIT_BYTES).unwrap_or_default().to_le_bytes();
    let (words, _) = bytes.as_chunks::<8>();
    let starts = words.iter().enumerate().skip(1).filter(|(_, bytes)| bytes.starts_with(&word));
    starts.filter_map(|(at, _)| decode(bytes.get(at.saturating_mul(8)..)?).ok()).find_map(|record| {
        let (records, _) = record.commit()?;
        let first = record.meta.seq.checked_sub(u64::from(records))?;
        (first > seq).then_some(record.meta.seq)
    })
}

/// The first half of a hash says enough.
fn hex(hash: &ChainHash) -> String {
    let [a, b, ..] = hash.as_chunks::<8>().0 else { return String::new() };
    format!("{:016x}{:016x}", u64::from_be_bytes(*a), u64::from_be_bytes(*b))
}
