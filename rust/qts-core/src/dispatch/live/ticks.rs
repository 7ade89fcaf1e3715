//! Ticks as records of fixed size: a batch of P1 as bytes, checked as a whole before any of it is admitted.

use super::event::{Header, SlotEvent};
use crate::event::{EventType, MarketRecord, Source, TickKind};
use crate::fixed::{Price, Qty};
use crate::instrument::InstrumentId;

/// Bytes of a record.
pub const TICK_BYTES: usize = 48;
/// Names and numpy types of the fields of a record, in their order. Prices and volume are integers in the scales of the
/// symbol, `symbol` is the number that the dispatcher's owner gave it.
pub const TICK_FIELDS: [(&str, &str); 7] = [
    ("ts_ns", "<i8"),
    ("symbol", "<u4"),
    ("reserved", "<u4"),
    ("price", "<i8"),
    ("volume", "<i8"),
    ("bid", "<i8"),
    ("ask", "<i8"),
];
/// First word of the payload of such an event; JSON, the other form, never begins with this byte.
const MARK: u64 = 1;
const PAYLOAD_WORDS: usize = 5;

/// One record as it is in a batch.
pub type TickBytes = [u8; TICK_BYTES];

/// What is wrong with a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {record}, {field}: found {found}, expected {expected}")]
pub struct TickFault {
    /// Number of the record, from 0.
    pub record: usize,
    /// Its field, empty if it is the whole.
    pub field: &'static str,
    /// What is there.
    pub found: String,
    /// What should be there.
    pub expected: String,
}

/// The fields of a record.
struct Tick {
    ts_ns: i64,
    symbol: u32,
    reserved: u32,
    price: i64,
    volume: i64,
    bid: i64,
    ask: i64,
}

impl Tick {
    #[inline]
    fn read(bytes: &TickBytes) -> Self {
        let (words, _) = bytes.as_chunks::<8>();
        let word = |at: usize| words.get(at).copied().map_or(0, i64::from_le_bytes);
        let [s0, s1, s2, s3, r0, r1, r2, r3] = word(1).to_le_bytes();
        Self {
            ts_ns: word(0),
            symbol: u32::from_le_bytes([s0, s1, s2, s3]),
            reserved: u32::from_le_bytes([r0, r1, r2, r3]),
            price: word(2),
            volume: word(3),
            bid: word(4),
            ask: word(5),
        }
    }

    #[inline]
    fn is_valid(&self, symbols: u32) -> bool {
        self.ts_ns > 0
            && self.symbol < symbols
            && self.reserved == 0
            && self.price > 0
            && self.volume >= 0
            && self.bid > 0
            && self.bid <= self.ask
    }

    #[cold]
    fn fault(&self, record: usize, symbols: u32) -> TickFault {
        let (field, found, expected) = if self.ts_ns <= 0 {
            ("ts_ns", self.ts_ns.to_string(), "UTC nanoseconds after 1970".to_owned())
        } else if self.symbol >= symbols {
            ("symbol", self.symbol.to_string(), format!("the number of a known symbol, below {symbols}"))
        } else if self.reserved != 0 {
            ("reserved", self.reserved.to_string(), "0".to_owned())
        } else if self.price <= 0 {
            ("price", self.price.to_string(), "above 0".to_owned())
        } else if self.volume < 0 {
            ("volume", self.volume.to_string(), "at least 0".to_owned())
        } else if self.bid <= 0 {
            ("bid", self.bid.to_string(), "above 0".to_owned())
        } else {
            ("ask", self.ask.to_string(), format!("at least the bid, {}", self.bid))
        };
        TickFault { record, field, found, expected }
    }
}

/// A batch of records, each of them valid.
#[derive(Debug, Clone, Copy)]
pub struct TickBatch<'a>(&'a [TickBytes]);

impl<'a> TickBatch<'a> {
    /// The records in `bytes`; symbols have numbers below `symbols`.
    ///
    /// # Errors
    /// The first [`TickFault`].
    pub fn new(bytes: &'a [u8], symbols: u32) -> Result<Self, TickFault> {
        let (records, rest) = bytes.as_chunks::<TICK_BYTES>();
        if !rest.is_empty() {
            return Err(TickFault {
                record: records.len(),
                field: "",
                found: format!("{} bytes", rest.len()),
                expected: format!("{TICK_BYTES} bytes"),
            });
        }
        let fault = records.iter().enumerate().find_map(|(record, bytes)| {
            let tick = Tick::read(bytes);
            (!tick.is_valid(symbols)).then(|| tick.fault(record, symbols))
        });
        fault.map_or(Ok(Self(records)), Err)
    }

    /// How many records.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The records as trades that came at `ts_recv_ns`; sizes of the quotes are not known.
    pub fn records(self, ts_recv_ns: i64) -> impl Iterator<Item = MarketRecord> + 'a {
        self.0.iter().map(move |bytes| {
            let tick = Tick::read(bytes);
            MarketRecord {
                ts_event_ns: tick.ts_ns,
                ts_recv_ns,
                instrument: InstrumentId(tick.symbol),
                kind: TickKind::Trade,
                price: Price(tick.price),
                qty: Qty(tick.volume),
                bid: Price(tick.bid),
                ask: Price(tick.ask),
                ..MarketRecord::default()
            }
        })
    }

    /// The events; their identities count up from `first_id`.
    pub fn events(self, source: Source, first_id: u128) -> impl Iterator<Item = SlotEvent> + Clone + 'a {
        self.0.iter().zip(0_u64..).map(move |(bytes, at)| {
            let tick = Tick::read(bytes);
            let header = Header {
                id: first_id.wrapping_add(at.into()),
                ts_ns: tick.ts_ns,
                ..Header::new(EventType::PriceTick, source)
            };
            let words: [u64; PAYLOAD_WORDS] = [
                MARK | u64::from(tick.symbol) << 32,
                tick.price.cast_unsigned(),
                tick.volume.cast_unsigned(),
                tick.bid.cast_unsigned(),
                tick.ask.cast_unsigned(),
            ];
            let [low, high, ..] = tick.symbol.to_le_bytes();
            SlotEvent::from_words(header, u16::from_le_bytes([low, high]), words)
        })
    }
}

/// The record of an event that was in a batch; None for any other.
#[inline]
pub fn tick_record(header: &Header, payload: &[u8]) -> Option<TickBytes> {
    let (words, _) = payload.as_chunks::<8>();
    let [first, values @ ..] = <&[[u8; 8]; PAYLOAD_WORDS]>::try_from(words).ok()?;
    let [mark, _, _, _, symbol @ ..] = *first;
    if header.kind != EventType::PriceTick || u64::from(mark) != MARK {
        return None;
    }
    let mut record = [0; TICK_BYTES];
    let (cells, _) = record.as_chunks_mut::<8>();
    let [s0, s1, s2, s3] = symbol;
    let words = [header.ts_ns.to_le_bytes(), [s0, s1, s2, s3, 0, 0, 0, 0]];
    for (cell, word) in cells.iter_mut().zip(words.iter().chain(values)) {
        *cell = *word;
    }
    Some(record)
}
