//! The way through a row of segments.

use super::anchor::Anchor;
use super::format::{ChainHash, Record, SEGMENT_HEADER, SegmentHeader, decode};
use super::walk::{Damage, Walk, WalkEnd, later_commit};

/// What is to be done with a segment.
#[derive(Clone, Debug)]
pub enum Opening {
    /// Its records count, at least some of them.
    Walk(Walk),
    /// All its records stand in a later segment once more: they could not be synced here.
    Superseded,
    /// Made ahead and never used.
    Unused,
    /// Began before the segment in front of it was durable, and that one lost its end in a crash. Nobody was promised
    /// anything that stands here.
    Lost,
}

/// How a segment ended.
pub type SegmentEnd = WalkEnd;

/// Checks that segments belong together, one after the other.
///
/// Headers are read first, because they tell how far the segment in front counts: records that could not be synced are
/// written once more into a fresh segment, under the same numbers.
#[derive(Clone, Debug)]
pub struct Verifier {
    heads: Vec<Option<SegmentHeader>>,
    at: usize,
    /// Number of the segment in front, of a retired one to begin with.
    number: u32,
    before: Before,
    /// Nothing has been walked through yet.
    is_first: bool,
}

/// The end of the segment in front.
#[derive(Clone, Copy, Debug)]
struct Before {
    next_seq: u64,
    chain: ChainHash,
    /// Chain hash with the commit that the process did not come to, where one is missing.
    closing: Option<ChainHash>,
}

impl Verifier {
    /// The segments behind `anchor`, with these headers; `None` stands for one that cannot be read.
    pub const fn new(anchor: &Anchor, heads: Vec<Option<SegmentHeader>>) -> Self {
        let before = Before { next_seq: anchor.next_seq, chain: anchor.chain, closing: None };
        Self { heads, at: 0, number: anchor.segment, before, is_first: true }
    }

    /// How to read the next segment.
    ///
    /// # Errors
    /// [`Damage`] if it does not belong behind the one before.
    pub fn open(&mut self, bytes: &[u8]) -> Result<Opening, Damage> {
        let Some(head) = self.head(bytes)? else { return Ok(Opening::Unused) };
        // Numbers may leave one out: a segment that could not be synced is removed. Records may not.
        let number = std::mem::replace(&mut self.number, head.number);
        if number >= head.number {
            let found = format!("segment {} behind segment {number}", head.number);
            return Err(damage(12, found, "a higher number"));
        }
        let (until, is_sure) = self.until();
        if until.is_some_and(|until| until <= head.first_seq) {
            return Ok(Opening::Superseded);
        }
        if is_sure && head.chain.is_none() {
            return Err(damage(
                10,
                "a segment that was never finished",
                "one that its successor could follow",
            ));
        }
        let before = self.before;
        let chain = match head.chain {
            Some(chain) if before.next_seq == head.first_seq && before.chain == chain => chain,
            Some(_) if before.next_seq == head.first_seq => {
                return Err(damage(
                    24,
                    "another chain hash than the segment before ends with",
                    "the same one",
                ));
            }
            None => match before.join(head.first_seq) {
                Some(chain) => chain,
                // What stands in front of the first segment was durable.
                None if self.is_first => return Err(self.begins_elsewhere(head.first_seq)),
                None => return lost(bytes, before.next_seq),
            },
            Some(_) => return Err(self.begins_elsewhere(head.first_seq)),
        };
        Ok(Opening::Walk(Walk::new(head.number, head.first_seq, chain, until, is_sure)))
    }

    /// Ends the segment that [`Self::open`] began, with the walk that went through it, if one did.
    ///
    /// # Errors
    /// [`Damage`] if it ends before its successor begins.
    pub fn close(&mut self, walk: Option<&Walk>, bytes: &[u8]) -> Result<Option<SegmentEnd>, Damage> {
        let (until, is_sure) = self.until();
        self.at = self.at.saturating_add(1);
        let Some(walk) = walk else { return Ok(None) };
        let end = walk.end(bytes);
        let is_closed = until == Some(end.next_seq) && end.pending == 0;
        if is_sure && !is_closed {
            let expected = format!("a commit in front of record {}", until.unwrap_or_default());
            return Err(damage(
                end.at,
                format!("the end behind record {}", end.next_seq.saturating_sub(1)),
                expected,
            ));
        }
        let closing = (!is_closed && end.torn.is_none()).then_some(end.closing);
        self.before = Before { next_seq: end.next_seq, chain: end.chain, closing };
        self.is_first = false;
        Ok(Some(end))
    }

    /// The header of the next segment, or what can be made out of its first record.
    fn head(&self, bytes: &[u8]) -> Result<Option<SegmentHeader>, Damage> {
        if let Some(head) = self.heads.get(self.at).copied().flatten() {
            return Ok(Some(head));
        }
        let is_last = self.later().next().is_none();
        let first = bytes.get(SEGMENT_HEADER..).map(decode);
        // Only the header of the segment in use is ever written; a crash may have caught it.
        // The commit that would end the segment in front may be missing.
        let seq = self.before.next_seq.saturating_add(u64::from(!self.is_first));
        if !is_last || later_commit(bytes, seq).is_some() {
            return Err(damage(0, "no segment header", "a segment header"));
        }
        let number = self.number.saturating_add(1);
        Ok(match first {
            Some(Ok(Record { meta, .. })) => Some(SegmentHeader { number, first_seq: meta.seq, chain: None }),
            _ => None,
        })
    }

    fn begins_elsewhere(&self, first_seq: u64) -> Damage {
        let expected = self.before.next_seq;
        let found = format!("a segment that begins with record {first_seq}");
        if self.is_first {
            let expected = format!("record {expected}: nothing behind it has been retired");
            return damage(16, format!("{found}, the first one here"), expected);
        }
        damage(16, found, format!("record {expected}"))
    }

    /// Where the next segment stops to count, and whether everything in front of that was durable.
    fn until(&self) -> (Option<u64>, bool) {
        let until = self.later().map(|head| head.first_seq).min();
        (until, self.later().any(|head| head.chain.is_some()))
    }

    fn later(&self) -> impl Iterator<Item = &SegmentHeader> {
        self.heads.iter().skip(self.at).skip(1).flatten()
    }
}

impl Before {
    /// Chain hash in front of a segment that begins with `first_seq`; at most a commit may be missing in between.
    fn join(&self, first_seq: u64) -> Option<ChainHash> {
        if self.next_seq.checked_add(1) == Some(first_seq) {
            return self.closing;
        }
        (self.next_seq == first_seq).then_some(self.chain)
    }
}

/// A segment whose predecessor lost its end. A commit in it would prove that the end had been durable.
fn lost(bytes: &[u8], seq: u64) -> Result<Opening, Damage> {
    if let Some(commit) = later_commit(bytes, seq) {
        let found = format!("commit {commit} behind a segment that ends before record {seq}");
        return Err(damage(0, found, format!("record {seq} in the segment before")));
    }
    Ok(Opening::Lost)
}

fn damage(at: usize, found: impl Into<String>, expected: impl Into<String>) -> Damage {
    Damage { at, found: found.into(), expected: expected.into() }
}
