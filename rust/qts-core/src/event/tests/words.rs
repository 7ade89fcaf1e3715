//! An event is what its words say.

use proptest::prelude::*;

use super::*;
use crate::fixed::{Money, Price, Qty};
use crate::instrument::InstrumentId;
use crate::queue::Record;

fn back<const N: usize, T: Record<Words = [u64; N]>>(event: &T) -> T {
    let mut words = [u64::MAX; N];
    let len = event.encode(&mut words);
    assert!((1..=N).contains(&len));
    // What lies behind the words that were written must not matter.
    let mut copy = [0; N];
    copy[..len].copy_from_slice(&words[..len]);
    T::decode(&copy)
}

fn small<T: Copy + std::fmt::Debug>(all: &'static [T]) -> impl Strategy<Value = T> {
    (0..all.len()).prop_map(|at| all[at])
}

prop_compose! {
    fn envelope()(seq in any::<u64>(), t_enqueue_ns in any::<u64>()) -> Envelope {
        Envelope { seq, t_enqueue_ns, ..Envelope::NEW }
    }
}

prop_compose! {
    fn fill()(
        ids in any::<(u64, u64, u32)>(),
        track in small(&Track::ALL),
        sell in any::<bool>(),
        numbers in any::<[i64; 9]>(),
    ) -> FillPayload {
        FillPayload {
            order: OrderId(ids.0),
            exec_seq: ids.1,
            instrument: InstrumentId(ids.2),
            track,
            side: if sell { Side::Sell } else { Side::Buy },
            qty: Qty(numbers[0]),
            price: Price(numbers[1]),
            cumulative: Qty(numbers[2]),
            remaining: Qty(numbers[3]),
            amount: Money(numbers[4]),
            fee: Money(numbers[5]),
            tax: Money(numbers[6]),
            ts_exec_ns: numbers[7],
            ts_recv_ns: numbers[8],
        }
    }
}

prop_compose! {
    fn order_end()(
        ids in any::<(u64, u32)>(),
        track in small(&Track::ALL),
        sell in any::<bool>(),
        reason in small(&EndReason::ALL),
        numbers in any::<[i64; 3]>(),
    ) -> OrderEndPayload {
        OrderEndPayload {
            order: OrderId(ids.0),
            instrument: InstrumentId(ids.1),
            track,
            side: if sell { Side::Sell } else { Side::Buy },
            reason,
            remaining: Qty(numbers[0]),
            ts_exec_ns: numbers[1],
            ts_recv_ns: numbers[2],
        }
    }
}

fn p0_payload() -> impl Strategy<Value = (EventType, P0Payload)> {
    prop_oneof![
        (fill(), any::<bool>()).prop_map(|(fill, whole)| {
            let kind = if whole { EventType::FillConfirmed } else { EventType::FillPartial };
            (kind, P0Payload::Fill(fill))
        }),
        (order_end(), any::<bool>()).prop_map(|(end, refused)| {
            let kind = if refused { EventType::OrderRejected } else { EventType::OrderCancelled };
            (kind, P0Payload::OrderEnd(end))
        }),
        (any::<(u32, i64, i64, i64)>(), small(&Track::ALL), small(&PositionKind::ALL)).prop_map(
            |((instrument, qty, cost, ts_ns), track, kind)| {
                let payload = PositionPayload {
                    instrument: InstrumentId(instrument),
                    track,
                    qty: Qty(qty),
                    cost_total: Money(cost),
                    kind,
                    ts_ns,
                };
                (EventType::PositionUpdate, P0Payload::Position(payload))
            }
        ),
        (small(&StopScope::ALL), any::<u16>(), small(&Source::ALL), any::<Option<u32>>()).prop_map(
            |(scope, code, origin, duration_ms)| {
                let payload = StopPayload { scope, code, origin, duration_ms };
                (EventType::EmergencyStop, P0Payload::Stop(payload))
            }
        ),
        (small(&Source::ALL), small(&Channel::ALL), any::<i64>()).prop_map(
            |(broker, channel, last_seen_ns)| {
                let payload = DisconnectPayload { broker, channel, last_seen_ns };
                (EventType::BrokerDisconnect, P0Payload::Disconnect(payload))
            }
        ),
    ]
}

proptest! {
    #[test]
    fn a_p0_event_is_what_its_words_say(
        (kind, payload) in p0_payload(), source in small(&Source::ALL), envelope in envelope(),
    ) {
        let event = P0Event { envelope, ..P0Event::new(kind, source, payload).unwrap() };
        prop_assert_eq!(back(&event), event);
    }

    #[test]
    fn a_p1_event_is_what_its_words_say(
        instrument in any::<u32>(),
        kind in small(&TickKind::ALL),
        aggressor in prop_oneof![Just(None), Just(Some(Side::Buy)), Just(Some(Side::Sell))],
        numbers in any::<[i64; 8]>(),
        envelope in envelope(),
    ) {
        let payload = TickPayload {
            instrument: InstrumentId(instrument),
            kind,
            aggressor,
            price: Price(numbers[0]),
            qty: Qty(numbers[1]),
            bid: Price(numbers[2]),
            bid_qty: Qty(numbers[3]),
            ask: Price(numbers[4]),
            ask_qty: Qty(numbers[5]),
            ts_event_ns: numbers[6],
            ts_recv_ns: numbers[7],
        };
        let event = P1Event { envelope, ..P1Event::tick(payload) };
        prop_assert_eq!(back(&event), event);
    }
}

#[test]
fn every_member_stands_at_its_number() {
    fn check<T: Copy>(all: &[T], number: impl Fn(T) -> usize) {
        for (at, member) in all.iter().enumerate() {
            assert_eq!(number(*member), at);
        }
    }
    check(&EventType::ALL, |kind| kind as usize);
    check(&Source::ALL, |source| source as usize);
    check(&TickKind::ALL, |kind| kind as usize);
    check(&EndReason::ALL, |reason| reason as usize);
    check(&PositionKind::ALL, |kind| kind as usize);
    check(&StopScope::ALL, |scope| scope as usize);
    check(&Channel::ALL, |channel| channel as usize);
    check(&Track::ALL, |track| track as usize);
}
