//! Events of P0 and P1 as words: how they stand in a queue slot. Every field is an integer or a small enum, so that no
//! byte of a slot is left undefined and no unsafe code is needed.

use super::{
    Channel, DisconnectPayload, EndReason, Envelope, EventType, FillPayload, OrderEndPayload, OrderId,
    P0Event, P0Payload, P1Event, PositionKind, PositionPayload, Side, Source, StopPayload, StopScope,
    TickKind, TickPayload, Track,
};
use crate::fixed::{Money, Price, Qty};
use crate::instrument::InstrumentId;
use crate::queue::{Head, P0Record, Record, RingRecord};

/// Writes words one after the other.
struct Writer<'a> {
    words: &'a mut [u64],
    at: usize,
}

impl Writer<'_> {
    #[inline]
    fn put(&mut self, word: u64) {
        if let Some(cell) = self.words.get_mut(self.at) {
            *cell = word;
        }
        self.at = self.at.wrapping_add(1);
    }

    #[inline]
    fn put_i64(&mut self, value: i64) {
        self.put(value.cast_unsigned());
    }
}

/// Reads them back.
struct Reader<'a> {
    words: &'a [u64],
    at: usize,
}

impl Reader<'_> {
    #[inline]
    fn take(&mut self) -> u64 {
        let word = self.words.get(self.at).copied().unwrap_or(0);
        self.at = self.at.wrapping_add(1);
        word
    }

    #[inline]
    fn take_i64(&mut self) -> i64 {
        self.take().cast_signed()
    }
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the low half is meant")]
const fn low(word: u64) -> u32 {
    word as u32
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "one byte of a word is meant")]
const fn byte(word: u64, at: u32) -> u8 {
    (word >> (at.wrapping_mul(8))) as u8
}

/// The enum member with a number; the first one for a number that no encoder wrote.
#[inline]
fn member<T: Copy>(all: &[T], number: u8, first: T) -> T {
    all.get(usize::from(number)).copied().unwrap_or(first)
}

#[inline]
fn kind_of(head: u64) -> EventType {
    member(&EventType::ALL, Head(head).kind(), EventType::FillConfirmed)
}

#[inline]
fn envelope(writer: &mut Writer<'_>, envelope: &Envelope) {
    writer.put(envelope.seq);
    writer.put(envelope.t_enqueue_ns);
}

#[inline]
fn take_envelope(reader: &mut Reader<'_>) -> Envelope {
    Envelope { seq: reader.take(), t_enqueue_ns: reader.take(), ..Envelope::NEW }
}

/// Instrument, track, side and one more small number in a word.
#[inline]
fn scope(instrument: InstrumentId, track: Track, side: u8, more: u8) -> u64 {
    u64::from(instrument.0) | u64::from(track as u8) << 32 | u64::from(side) << 40 | u64::from(more) << 48
}

#[inline]
fn side(number: u8) -> Side {
    if number == Side::Sell as u8 { Side::Sell } else { Side::Buy }
}

#[inline]
fn track(number: u8) -> Track {
    member(&Track::ALL, number, Track::Scalp)
}

impl Record for P1Event {
    type Words = [u64; 12];

    #[inline]
    fn encode(&self, words: &mut Self::Words) -> usize {
        let tick = &self.payload;
        let aggressor = tick.aggressor.map_or(0, |side| (side as u64).wrapping_add(1));
        *words = [
            Head::new(self.kind as u8, tick.instrument.0).0,
            self.envelope.seq,
            self.envelope.t_enqueue_ns,
            u64::from(tick.kind as u8) | aggressor << 8,
            tick.price.0.cast_unsigned(),
            tick.qty.0.cast_unsigned(),
            tick.bid.0.cast_unsigned(),
            tick.bid_qty.0.cast_unsigned(),
            tick.ask.0.cast_unsigned(),
            tick.ask_qty.0.cast_unsigned(),
            tick.ts_event_ns.cast_unsigned(),
            tick.ts_recv_ns.cast_unsigned(),
        ];
        words.len()
    }

    #[inline]
    fn decode(words: &Self::Words) -> Self {
        let [head, seq, t_enqueue_ns, small, values @ ..] = *words;
        let [price, qty, bid, bid_qty, ask, ask_qty, ts_event_ns, ts_recv_ns] = values.map(u64::cast_signed);
        Self {
            kind: kind_of(head),
            payload: TickPayload {
                instrument: InstrumentId(Head(head).own()),
                kind: member(&TickKind::ALL, byte(small, 0), TickKind::Quote),
                aggressor: byte(small, 1).checked_sub(1).map(side),
                price: Price(price),
                qty: Qty(qty),
                bid: Price(bid),
                bid_qty: Qty(bid_qty),
                ask: Price(ask),
                ask_qty: Qty(ask_qty),
                ts_event_ns,
                ts_recv_ns,
            },
            envelope: Envelope { seq, t_enqueue_ns, ..Envelope::NEW },
        }
    }
}

impl RingRecord for P1Event {
    #[inline]
    fn shard_key(&self) -> u32 {
        self.payload.instrument.0
    }
}

impl Record for P0Event {
    type Words = [u64; 16];

    fn encode(&self, words: &mut Self::Words) -> usize {
        let mut writer = Writer { words, at: 0 };
        writer.put(Head::new(self.kind as u8, u32::from(self.source as u16)).0);
        envelope(&mut writer, &self.envelope);
        match self.payload {
            P0Payload::Fill(fill) => put_fill(&mut writer, &fill),
            P0Payload::OrderEnd(end) => {
                writer.put(scope(end.instrument, end.track, end.side as u8, end.reason as u8));
                writer.put(end.order.0);
                writer.put_i64(end.remaining.0);
                writer.put_i64(end.ts_exec_ns);
                writer.put_i64(end.ts_recv_ns);
            }
            P0Payload::Position(position) => {
                writer.put(scope(position.instrument, position.track, 0, position.kind as u8));
                writer.put_i64(position.qty.0);
                writer.put_i64(position.cost_total.0);
                writer.put_i64(position.ts_ns);
            }
            P0Payload::Stop(stop) => {
                writer.put(
                    u64::from(stop.scope as u8)
                        | u64::from(stop.code) << 8
                        | u64::from(stop.origin as u16) << 24,
                );
                writer.put(stop.duration_ms.map_or(u64::MAX, u64::from));
            }
            P0Payload::Disconnect(lost) => {
                writer.put(u64::from(lost.channel as u8) | u64::from(lost.broker as u16) << 8);
                writer.put_i64(lost.last_seen_ns);
            }
        }
        writer.at
    }

    fn decode(words: &Self::Words) -> Self {
        let mut reader = Reader { words, at: 0 };
        let head = reader.take();
        let kind = kind_of(head);
        let envelope = take_envelope(&mut reader);
        let payload = match kind {
            EventType::FillConfirmed | EventType::FillPartial => P0Payload::Fill(take_fill(&mut reader)),
            EventType::PositionUpdate => {
                let small = reader.take();
                P0Payload::Position(PositionPayload {
                    instrument: InstrumentId(low(small)),
                    track: track(byte(small, 4)),
                    kind: member(&PositionKind::ALL, byte(small, 6), PositionKind::FillApplied),
                    qty: Qty(reader.take_i64()),
                    cost_total: Money(reader.take_i64()),
                    ts_ns: reader.take_i64(),
                })
            }
            EventType::EmergencyStop => {
                let small = reader.take();
                P0Payload::Stop(StopPayload {
                    scope: member(&StopScope::ALL, byte(small, 0), StopScope::All),
                    code: u16::from_le_bytes([byte(small, 1), byte(small, 2)]),
                    origin: source(small >> 24),
                    duration_ms: u32::try_from(reader.take()).ok(),
                })
            }
            EventType::BrokerDisconnect => {
                let small = reader.take();
                P0Payload::Disconnect(DisconnectPayload {
                    broker: source(small >> 8),
                    channel: member(&Channel::ALL, byte(small, 0), Channel::Order),
                    last_seen_ns: reader.take_i64(),
                })
            }
            _ => {
                let small = reader.take();
                P0Payload::OrderEnd(OrderEndPayload {
                    instrument: InstrumentId(low(small)),
                    track: track(byte(small, 4)),
                    side: side(byte(small, 5)),
                    reason: member(&EndReason::ALL, byte(small, 6), EndReason::UnknownOrder),
                    order: OrderId(reader.take()),
                    remaining: Qty(reader.take_i64()),
                    ts_exec_ns: reader.take_i64(),
                    ts_recv_ns: reader.take_i64(),
                })
            }
        };
        Self { kind, source: source(u64::from(Head(head).own())), payload, envelope }
    }
}

#[inline]
fn source(number: u64) -> Source {
    member(&Source::ALL, byte(number, 0), Source::System)
}

fn put_fill(writer: &mut Writer<'_>, fill: &FillPayload) {
    writer.put(scope(fill.instrument, fill.track, fill.side as u8, 0));
    writer.put(fill.order.0);
    writer.put(fill.exec_seq);
    for value in [fill.qty.0, fill.price.0, fill.cumulative.0, fill.remaining.0] {
        writer.put_i64(value);
    }
    for value in [fill.amount.0, fill.fee.0, fill.tax.0, fill.ts_exec_ns, fill.ts_recv_ns] {
        writer.put_i64(value);
    }
}

fn take_fill(reader: &mut Reader<'_>) -> FillPayload {
    let small = reader.take();
    FillPayload {
        instrument: InstrumentId(low(small)),
        track: track(byte(small, 4)),
        side: side(byte(small, 5)),
        order: OrderId(reader.take()),
        exec_seq: reader.take(),
        qty: Qty(reader.take_i64()),
        price: Price(reader.take_i64()),
        cumulative: Qty(reader.take_i64()),
        remaining: Qty(reader.take_i64()),
        amount: Money(reader.take_i64()),
        fee: Money(reader.take_i64()),
        tax: Money(reader.take_i64()),
        ts_exec_ns: reader.take_i64(),
        ts_recv_ns: reader.take_i64(),
    }
}

impl P0Record for P0Event {
    fn is_express(&self) -> bool {
        P0Event::is_express(self)
    }
}
