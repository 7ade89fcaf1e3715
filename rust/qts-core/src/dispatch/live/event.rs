//! Events as the live dispatcher carries them: a header that every level shares, and a payload that only producer and
//! handler understand.

use crate::event::{EventType, Source};
use crate::queue::{Collapse, Head, P0Record, Record, RingRecord, Sample};

/// Words of a slot: header and payload, 256 bytes.
pub const SLOT_WORDS: usize = 32;
/// Words of the header in a slot.
const HEADER_WORDS: usize = 9;
/// Words of a payload in a slot.
const BODY_WORDS: usize = SLOT_WORDS.saturating_sub(HEADER_WORDS);
/// Longest payload of a P0 or P1 event, in bytes: with its header it fills a slot.
pub const SLOT_PAYLOAD_MAX: usize = BODY_WORDS.saturating_mul(8);
/// Longest payload of a P2 or P3 event, in bytes.
pub const HEAP_PAYLOAD_MAX: usize = 64 * 1024;
/// Most symbols of a merged wish to evaluate a strategy.
const SYMBOLS_MAX: usize = 100;

/// What every event carries besides its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Type.
    pub kind: EventType,
    /// Producer.
    pub source: Source,
    /// Identity.
    pub id: u128,
    /// Order or cycle it belongs to; 0 = none.
    pub correlation: u128,
    /// Wall time of creation, UTC nanoseconds: for the record only.
    pub ts_ns: i64,
    /// Number of its admission in its level; of P0 the position in the journal, where there is one.
    pub seq: u64,
    /// Monotonic nanoseconds at which the producer saw the cause; 0 = not told.
    pub t_origin_ns: u64,
    /// Monotonic nanoseconds at admission.
    pub t_enqueue_ns: u64,
}

impl Header {
    /// A header without identity and times.
    pub const fn new(kind: EventType, source: Source) -> Self {
        Self { kind, source, id: 0, correlation: 0, ts_ns: 0, seq: 0, t_origin_ns: 0, t_enqueue_ns: 0 }
    }
}

/// A payload that is longer than its level allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} with a payload of {found} bytes, expected at most {max}", kind = .kind.name())]
pub struct Oversized {
    /// Type of the event.
    pub kind: EventType,
    /// Length found, in bytes.
    pub found: usize,
    /// Longest allowed, in bytes.
    pub max: usize,
}

/// An event of P0 or P1: fixed size, no heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotEvent {
    /// Header.
    pub header: Header,
    shard: u16,
    len: u16,
    body: [u64; BODY_WORDS],
}

impl SlotEvent {
    /// An event with a payload; `shard_key` decides its shard on P1.
    ///
    /// # Errors
    /// [`Oversized`] if the payload is longer than [`SLOT_PAYLOAD_MAX`].
    pub fn new(header: Header, shard_key: u16, payload: &[u8]) -> Result<Self, Oversized> {
        let oversized = Oversized { kind: header.kind, found: payload.len(), max: SLOT_PAYLOAD_MAX };
        let len = u16::try_from(payload.len()).map_err(|_| oversized)?;
        if payload.len() > SLOT_PAYLOAD_MAX {
            return Err(oversized);
        }
        let mut body = [0; BODY_WORDS];
        for (word, bytes) in body.iter_mut().zip(payload.chunks(8)) {
            let mut padded = [0; 8];
            for (to, from) in padded.iter_mut().zip(bytes) {
                *to = *from;
            }
            *word = u64::from_le_bytes(padded);
        }
        Ok(Self { header, shard: shard_key, len, body })
    }

    /// An event whose payload is `N` words; [`SLOT_PAYLOAD_MAX`] is the most that fits.
    #[inline]
    pub(super) fn from_words<const N: usize>(header: Header, shard: u16, words: [u64; N]) -> Self {
        const { assert!(N <= BODY_WORDS, "a payload that does not fit") };
        let mut body = [0; BODY_WORDS];
        for (cell, word) in body.iter_mut().zip(words) {
            *cell = word;
        }
        #[allow(clippy::cast_possible_truncation, reason = "checked above")]
        let len = const { (N as u16).wrapping_mul(8) };
        Self { header, shard, len, body }
    }

    /// Writes the payload to the end of `out`.
    pub fn payload_into(&self, out: &mut Vec<u8>) {
        let end = out.len().saturating_add(usize::from(self.len));
        for word in self.body.iter().take(usize::from(self.len).div_ceil(8)) {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.truncate(end);
    }

    /// What decides its shard on P1.
    pub const fn shard(&self) -> u16 {
        self.shard
    }

    /// Length of the payload in bytes.
    pub const fn payload_len(&self) -> usize {
        self.len as usize
    }
}

#[allow(clippy::cast_possible_truncation, reason = "both halves are kept")]
const fn halves(value: u128) -> [u64; 2] {
    [value as u64, (value >> 64) as u64]
}

const fn whole(low: u64, high: u64) -> u128 {
    low as u128 | (high as u128) << 64
}

impl Record for SlotEvent {
    type Words = [u64; SLOT_WORDS];

    #[inline]
    fn encode(&self, words: &mut Self::Words) -> usize {
        let header = &self.header;
        let [id_low, id_high] = halves(header.id);
        let [correlation_low, correlation_high] = halves(header.correlation);
        let own = u32::from(self.shard) | u32::from(self.len) << 16;
        let head = [
            Head::new(header.kind as u8, own).0 | (header.source as u64) << 24,
            header.seq,
            header.t_enqueue_ns,
            header.t_origin_ns,
            header.ts_ns.cast_unsigned(),
            id_low,
            id_high,
            correlation_low,
            correlation_high,
        ];
        let used = usize::from(self.len).div_ceil(8);
        for (cell, word) in words.iter_mut().zip(head.iter().chain(self.body.iter().take(used))) {
            *cell = *word;
        }
        HEADER_WORDS.saturating_add(used)
    }

    #[inline]
    fn decode(words: &Self::Words) -> Self {
        let word = |at: usize| words.get(at).copied().unwrap_or(0);
        let head = Head(word(0));
        let own = head.own();
        let [shard_low, shard_high, len_low, len_high] = own.to_le_bytes();
        let len = u16::from_le_bytes([len_low, len_high]);
        let mut body = [0; BODY_WORDS];
        let used = usize::from(len).div_ceil(8);
        for (cell, word) in body.iter_mut().zip(words.iter().skip(HEADER_WORDS).take(used)) {
            *cell = *word;
        }
        let [_, _, _, source, ..] = head.0.to_le_bytes();
        Self {
            header: Header {
                kind: EventType::ALL
                    .get(usize::from(head.kind()))
                    .copied()
                    .unwrap_or(EventType::FillConfirmed),
                source: Source::ALL.get(usize::from(source)).copied().unwrap_or(Source::System),
                seq: word(1),
                t_enqueue_ns: word(2),
                t_origin_ns: word(3),
                ts_ns: word(4).cast_signed(),
                id: whole(word(5), word(6)),
                correlation: whole(word(7), word(8)),
            },
            shard: u16::from_le_bytes([shard_low, shard_high]),
            len,
            body,
        }
    }
}

impl RingRecord for SlotEvent {
    #[inline]
    fn shard_key(&self) -> u32 {
        self.shard.into()
    }
}

impl P0Record for SlotEvent {
    #[inline]
    fn is_express(&self) -> bool {
        matches!(self.header.kind, EventType::EmergencyStop | EventType::BrokerDisconnect)
    }
}

/// An event of P2 or P3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeapEvent {
    /// Header.
    pub header: Header,
    /// What it is about: on P2 events of one type and scope merge, and batches are grouped by it.
    pub scope: Box<str>,
    /// Symbols of a `STRATEGY_EVALUATE`.
    pub symbols: Vec<Box<str>>,
    /// Payload.
    pub payload: Box<[u8]>,
    /// On P3: sampling may discard it.
    pub can_drop: bool,
    /// Events folded into this one.
    pub merged_count: u32,
    /// Events this one stands for.
    pub sampled_weight: u32,
}

impl HeapEvent {
    /// An event that stands for itself.
    ///
    /// # Errors
    /// [`Oversized`] if the payload is longer than [`HEAP_PAYLOAD_MAX`].
    pub fn new(header: Header, scope: &str, payload: &[u8], can_drop: bool) -> Result<Self, Oversized> {
        if payload.len() > HEAP_PAYLOAD_MAX {
            return Err(Oversized { kind: header.kind, found: payload.len(), max: HEAP_PAYLOAD_MAX });
        }
        Ok(Self {
            header,
            scope: scope.into(),
            symbols: Vec::new(),
            payload: payload.into(),
            can_drop,
            merged_count: 0,
            sampled_weight: 1,
        })
    }
}

impl Collapse for HeapEvent {
    type Key = (EventType, Box<str>);

    fn kind(&self) -> EventType {
        self.header.kind
    }

    fn key(&self) -> Self::Key {
        (self.header.kind, self.scope.clone())
    }

    /// Newest data at the older place; symbols of both, in order of first arrival.
    fn merge(&mut self, newer: Self) {
        let mut symbols = std::mem::take(&mut self.symbols);
        for symbol in newer.symbols {
            if symbols.len() < SYMBOLS_MAX && !symbols.contains(&symbol) {
                symbols.push(symbol);
            }
        }
        // Its place in line and the time since which it waits stay those of the older one.
        let (seq, t_enqueue_ns) = (self.header.seq, self.header.t_enqueue_ns);
        self.header = Header { seq, t_enqueue_ns, ..newer.header };
        self.payload = newer.payload;
        self.symbols = symbols;
        self.merged_count = self.merged_count.saturating_add(newer.merged_count).saturating_add(1);
    }
}

impl Sample for HeapEvent {
    fn kind(&self) -> EventType {
        self.header.kind
    }

    fn can_drop(&self) -> bool {
        self.can_drop
    }

    fn set_weight(&mut self, weight: u32) {
        // One that has been sampled before, in the queue and again on its way to Python, stands for all of them.
        self.sampled_weight = self.sampled_weight.saturating_mul(weight);
    }
}
