//! Bytes of records and of segment headers. All numbers are little-endian.
//!
//! ```text
//! record   0 length u32 | 4 crc u32 | 8 kind u16 | 10 version u8 | 11 flags u8 | 12 zero u32 | 16 seq u64 |
//!          24 ts_ns i64 | 32 payload | zeros up to a multiple of 8
//! segment  0 magic | 8 format u16 | 10 flags u16 | 12 number u32 | 16 first seq u64 | 24 chain hash |
//!          56 zero u32 | 60 crc u32
//! commit   payload: 0 records in the group u32 | 4 chain hash | 36 zero u32
//! ```
//! The length counts header and payload without the padding; the CRC covers everything behind it and the length.

/// Bytes in front of a payload.
pub const RECORD_HEADER: usize = 32;
/// Bytes in front of the first record.
pub const SEGMENT_HEADER: usize = 64;
/// Longest payload.
pub const MAX_PAYLOAD: usize = 68 * 1024;
/// Bytes of a [`RecordKind::Commit`] record.
pub const COMMIT_BYTES: usize = RECORD_HEADER + COMMIT_PAYLOAD;
const COMMIT_PAYLOAD: usize = 40;
const COMMIT_VERSION: u8 = 1;
const MAGIC: [u8; 8] = *b"QTSJRNL\n";
const FORMAT: u16 = 1;
/// The chain hash is not known yet: the segment before has not been committed to its end.
const OPEN: u16 = 1;

/// The hash of all groups so far.
pub type ChainHash = [u8; 32];
/// The hash before the first group.
pub const GENESIS: ChainHash = [0; 32];

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum RecordKind {
    /// A fill, appended before it is applied.
    Fill = 1,
    /// A decision of a strategy.
    Decision = 2,
    /// An order that is about to leave.
    OrderIntent = 3,
    /// What the broker said about an order.
    OrderEvent = 4,
    /// Progress of an execution.
    ExecutionState = 5,
    /// A P0 event, appended at admission.
    P0Event = 6,
    /// A P0 event has been handled; the payload is its sequence number.
    P0Done = 7,
    /// Stops, latches and the exit ledger.
    RiskState = 8,
    /// A change of the operating state.
    StateTransition = 9,
    /// A posting of the capital books.
    CapitalEntry = 10,
    /// Capital set aside or released.
    CapitalHold = 11,
    /// Capital moved between pools.
    CapitalTransfer = 12,
    /// What an operator or the engine has to answer for.
    Audit = 13,
    /// The end of a commit group.
    Commit = 14,
    /// A block of market records, in a spool of their own.
    Ticks = 15,
}

impl RecordKind {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 15] = [
        Self::Fill,
        Self::Decision,
        Self::OrderIntent,
        Self::OrderEvent,
        Self::ExecutionState,
        Self::P0Event,
        Self::P0Done,
        Self::RiskState,
        Self::StateTransition,
        Self::CapitalEntry,
        Self::CapitalHold,
        Self::CapitalTransfer,
        Self::Audit,
        Self::Commit,
        Self::Ticks,
    ];

    /// The number in the record.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The kind with that number.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The name of the specification.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fill => "FILL",
            Self::Decision => "DECISION",
            Self::OrderIntent => "ORDER_INTENT",
            Self::OrderEvent => "ORDER_EVENT",
            Self::ExecutionState => "EXECUTION_STATE",
            Self::P0Event => "P0_EVENT",
            Self::P0Done => "P0_DONE",
            Self::RiskState => "RISK_STATE",
            Self::StateTransition => "STATE_TRANSITION",
            Self::CapitalEntry => "CAPITAL_ENTRY",
            Self::CapitalHold => "CAPITAL_HOLD",
            Self::CapitalTransfer => "CAPITAL_TRANSFER",
            Self::Audit => "AUDIT",
            Self::Commit => "COMMIT",
            Self::Ticks => "TICKS",
        }
    }

    /// The kind with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What stands in front of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// What the record is about.
    pub kind: RecordKind,
    /// Version of the payload's layout.
    pub version: u8,
    /// Free for the kind; zero if it has no use for them.
    pub flags: u8,
    /// Number of the record, from 1, without gaps over all segments.
    pub seq: u64,
    /// UTC nanoseconds. They never run backwards for anyone who has seen an earlier record; records that threads append
    /// at the same instant may stand the other way round.
    pub ts_ns: i64,
}

/// A record, its payload still where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What stands in front of the payload.
    pub meta: Meta,
    /// The payload.
    pub payload: &'a [u8],
}

impl Record<'_> {
    /// Group size and chain hash of a [`RecordKind::Commit`].
    pub fn commit(&self) -> Option<(u32, ChainHash)> {
        if self.meta.kind != RecordKind::Commit || self.payload.len() != COMMIT_PAYLOAD {
            return None;
        }
        Some((number(self.payload, 0).map(u32::from_le_bytes)?, number(self.payload, 4)?))
    }

    /// Bytes of the record with its padding.
    pub fn size(&self) -> usize {
        record_bytes(self.payload.len())
    }
}

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing has been written here: the length is zero, or there is no room for a header.
    Nothing,
    /// A length that no record can have here.
    Length(u32),
    /// The CRC in the record, and that of its bytes.
    Crc {
        /// In the record.
        found: u32,
        /// Of its bytes.
        expected: u32,
    },
    /// A whole record of a kind that this release does not know.
    Kind(u16),
}

/// `N` bytes at `at`.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Bytes that a record with a payload of that length takes up.
pub const fn record_bytes(payload: usize) -> usize {
    payload.saturating_add(RECORD_HEADER).next_multiple_of(8)
}

/// Hash of a group of records behind the groups before it.
pub fn chain(before: &ChainHash, group: &[u8]) -> ChainHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before).update(group);
    *hasher.finalize().as_bytes()
}

/// Writes all of a record except its length, and returns the length: whoever writes that publishes the record.
///
/// `out` is the record from its fifth byte on, [`record_bytes`] less four long, and zero where the padding will be;
/// `None` if it has another size or the payload is too long.
#[inline]
pub fn encode(out: &mut [u8], meta: &Meta, payload: &[u8]) -> Option<u32> {
    if payload.len() > MAX_PAYLOAD || out.len().checked_add(4)? != record_bytes(payload.len()) {
        return None;
    }
    let mut head = [0; 24];
    head[0..2].copy_from_slice(&meta.kind.number().to_le_bytes());
    head[2] = meta.version;
    head[3] = meta.flags;
    head[8..16].copy_from_slice(&meta.seq.to_le_bytes());
    head[16..24].copy_from_slice(&meta.ts_ns.to_le_bytes());
    let length = u32::try_from(payload.len().checked_add(RECORD_HEADER)?).ok()?;
    let (crc_out, body) = out.split_first_chunk_mut::<4>()?;
    let (head_out, tail) = body.split_first_chunk_mut()?;
    *head_out = head;
    tail.get_mut(..payload.len())?.copy_from_slice(payload);
    *crc_out = crc32c::crc32c_append(length, body).to_le_bytes();
    Some(length)
}

/// Writes all of a [`RecordKind::Commit`] except its length, and returns the length.
pub fn encode_commit(out: &mut [u8], seq: u64, ts_ns: i64, records: u32, hash: &ChainHash) -> Option<u32> {
    let mut payload = [0; COMMIT_PAYLOAD];
    payload[0..4].copy_from_slice(&records.to_le_bytes());
    payload[4..36].copy_from_slice(hash);
    let meta = Meta { kind: RecordKind::Commit, version: COMMIT_VERSION, flags: 0, seq, ts_ns };
    encode(out, &meta, &payload)
}

/// The record at the start of `bytes`.
///
/// # Errors
/// [`Fault`] if there is none.
pub fn decode(bytes: &[u8]) -> Result<Record<'_>, Fault> {
    let length = number(bytes, 0).map(u32::from_le_bytes).unwrap_or_default();
    if length == 0 || bytes.len() < RECORD_HEADER {
        return Err(Fault::Nothing);
    }
    let wrong = Fault::Length(length);
    let end = usize::try_from(length).map_err(|_| wrong)?;
    let payload_length =
        end.checked_sub(RECORD_HEADER).filter(|length| *length <= MAX_PAYLOAD).ok_or(wrong)?;
    let body = bytes.get(8..record_bytes(payload_length)).ok_or(wrong)?;
    let expected = crc32c::crc32c_append(length, body);
    let found = number(bytes, 4).map(u32::from_le_bytes).unwrap_or_default();
    if found != expected {
        return Err(Fault::Crc { found, expected });
    }
    whole(bytes, end).ok_or(wrong)?
}

/// Reads a record whose CRC is right.
fn whole(bytes: &[u8], end: usize) -> Option<Result<Record<'_>, Fault>> {
    let kind = u16::from_le_bytes(number(bytes, 8)?);
    let Some(kind) = RecordKind::from_number(kind) else { return Some(Err(Fault::Kind(kind))) };
    let meta = Meta {
        kind,
        version: *bytes.get(10)?,
        flags: *bytes.get(11)?,
        seq: u64::from_le_bytes(number(bytes, 16)?),
        ts_ns: i64::from_le_bytes(number(bytes, 24)?),
    };
    Some(Ok(Record { meta, payload: bytes.get(RECORD_HEADER..end)? }))
}

/// What stands at the start of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Number of the segment; rises by one from file to file.
    pub number: u32,
    /// Number of the first record.
    pub first_seq: u64,
    /// Chain hash before the first group; `None` until the segment before has been synced to its end.
    pub chain: Option<ChainHash>,
}

impl SegmentHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut out = [0; SEGMENT_HEADER];
        out[0..8].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&FORMAT.to_le_bytes());
        out[10..12].copy_from_slice(&(if self.chain.is_some() { 0 } else { OPEN }).to_le_bytes());
        out[12..16].copy_from_slice(&self.number.to_le_bytes());
        out[16..24].copy_from_slice(&self.first_seq.to_le_bytes());
        out[24..56].copy_from_slice(&self.chain.unwrap_or(GENESIS));
        let crc = crc32c::crc32c(&out[..60]);
        out[60..64].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The header at the start of `bytes`; `None` if it is not a whole one of this format.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; SEGMENT_HEADER] = bytes.first_chunk()?;
        let crc = u32::from_le_bytes(number(bytes, 60)?);
        if crc != crc32c::crc32c(bytes.get(..60)?)
            || number(bytes, 0) != Some(MAGIC)
            || number(bytes, 8) != Some(FORMAT.to_le_bytes())
        {
            return None;
        }
        let is_open = number(bytes, 10).map(u16::from_le_bytes)? & OPEN != 0;
        let chain = number(bytes, 24)?;
        Some(Self {
            number: u32::from_le_bytes(number(bytes, 12)?),
            first_seq: u64::from_le_bytes(number(bytes, 16)?),
            chain: (!is_open).then_some(chain),
        })
    }
}
