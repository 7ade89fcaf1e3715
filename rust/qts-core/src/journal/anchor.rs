//! Where a journal begins when its oldest segments have been retired.

use super::format::{ChainHash, GENESIS};

/// Bytes of an anchor.
pub const ANCHOR_BYTES: usize = 104;
const MAGIC: [u8; 8] = *b"QTSJANC\n";
const FORMAT: u16 = 1;

/// The end of the last segment that was retired: what the first one that is left has to follow.
///
/// ```text
/// 0 magic | 8 format u16 | 10 zero u16 | 12 segment u32 | 16 next seq u64 | 24 chain hash | 56 segments u64 |
/// 64 bytes u64 | 72 last ts i64 | 80 retired at i64 | 88 zeros | 100 crc u32
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Number of the last retired segment; zero if none was.
    pub segment: u32,
    /// Number of the first record that is left.
    pub next_seq: u64,
    /// Chain hash before it.
    pub chain: ChainHash,
    /// Segments retired so far.
    pub segments: u64,
    /// Bytes they took up.
    pub bytes: u64,
    /// Time of the last retired record, UTC nanoseconds.
    pub last_ts_ns: i64,
    /// When it was retired, UTC nanoseconds.
    pub retired_at_ns: i64,
}

impl Anchor {
    /// The beginning of a journal from which nothing has been retired.
    pub const GENESIS: Self = Self {
        segment: 0,
        next_seq: 1,
        chain: GENESIS,
        segments: 0,
        bytes: 0,
        last_ts_ns: 0,
        retired_at_ns: 0,
    };

    /// The anchor's bytes.
    pub fn encode(&self) -> [u8; ANCHOR_BYTES] {
        let mut out = [0; ANCHOR_BYTES];
        out[0..8].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&FORMAT.to_le_bytes());
        out[12..16].copy_from_slice(&self.segment.to_le_bytes());
        out[16..24].copy_from_slice(&self.next_seq.to_le_bytes());
        out[24..56].copy_from_slice(&self.chain);
        out[56..64].copy_from_slice(&self.segments.to_le_bytes());
        out[64..72].copy_from_slice(&self.bytes.to_le_bytes());
        out[72..80].copy_from_slice(&self.last_ts_ns.to_le_bytes());
        out[80..88].copy_from_slice(&self.retired_at_ns.to_le_bytes());
        let crc = crc32c::crc32c(&out[..100]);
        out[100..104].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The anchor in `bytes`; `None` if it is not a whole one of this format.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; ANCHOR_BYTES] = bytes.try_into().ok()?;
        if u32::from_le_bytes(part(bytes, 100)?) != crc32c::crc32c(bytes.get(..100)?)
            || part(bytes, 0) != Some(MAGIC)
            || part(bytes, 8) != Some(FORMAT.to_le_bytes())
        {
            return None;
        }
        Some(Self {
            segment: u32::from_le_bytes(part(bytes, 12)?),
            next_seq: u64::from_le_bytes(part(bytes, 16)?),
            chain: part(bytes, 24)?,
            segments: u64::from_le_bytes(part(bytes, 56)?),
            bytes: u64::from_le_bytes(part(bytes, 64)?),
            last_ts_ns: i64::from_le_bytes(part(bytes, 72)?),
            retired_at_ns: i64::from_le_bytes(part(bytes, 80)?),
        })
    }
}

/// `N` bytes at `at`.
fn part<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
