//! What the way to the venue and back does to messages.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here fails the test")]

use proptest::prelude::*;

use super::*;
use crate::event::{EndReason, Side, TickKind, Track};
use crate::fixed::{Price, Qty};
use crate::instrument::InstrumentId;
use crate::sim::matcher::testkit::{instruments, record};
use crate::sim::matcher::{Match, OrderKind, TimeInForce};

const ABC: InstrumentId = InstrumentId(0);

fn venue(to: LatencyModel, from: LatencyModel) -> Venue {
    Venue::new(Arc::new(instruments()), to, from)
}

fn fixed(base_ns: i64) -> LatencyModel {
    LatencyModel::new(base_ns, 0, 0).unwrap()
}

fn buy(id: u64, limit: i64, qty: i64) -> SimOrder {
    SimOrder {
        id: OrderId(id),
        instrument: ABC,
        track: Track::Scalp,
        side: Side::Buy,
        kind: OrderKind::Limit,
        tif: TimeInForce::Day,
        limit: Price(limit),
        qty: Qty(qty),
    }
}

fn ask_at(ts_recv_ns: i64, ask: i64, ask_qty: i64) -> MarketRecord {
    MarketRecord { ts_recv_ns, ask: Price(ask), ask_qty: Qty(ask_qty), ..record(ABC, TickKind::Quote) }
}

fn taken(venue: &mut Venue, now_ns: i64) -> Vec<BookReport> {
    let mut out = Vec::new();
    venue.take_due_reports(now_ns, &mut out);
    out
}

#[test]
fn an_order_meets_the_market_of_the_time_it_arrives() {
    let mut venue = venue(fixed(10), fixed(5));
    venue.on_record(&ask_at(0, 100, 50));
    venue.submit(buy(1, 105, 20), 1);
    assert_eq!(venue.next_due_ns(), Some(11));
    venue.on_record(&ask_at(9, 102, 50));
    venue.on_record(&ask_at(30, 104, 50));
    let matched = Match { order: OrderId(1), qty: Qty(20), price: Price(102), ts_ns: 11 };
    assert_eq!(venue.next_report_ns(), Some(16));
    assert_eq!(taken(&mut venue, 15), []);
    assert_eq!(
        taken(&mut venue, 16),
        [BookReport::Accepted { order: OrderId(1), ts_ns: 11 }, BookReport::Matched(matched)]
    );
    assert_eq!(venue.next_due_ns(), None);
}

#[test]
fn an_order_that_arrives_at_the_time_of_a_record_is_there_before_it() {
    let mut venue = venue(fixed(10), fixed(0));
    venue.on_record(&ask_at(0, 100, 50));
    venue.submit(buy(1, 105, 20), 0);
    venue.on_record(&ask_at(10, 103, 50));
    assert!(matches!(taken(&mut venue, 10)[1], BookReport::Matched(it) if it.price == Price(100)));
}

#[test]
fn without_latency_the_answer_is_there_at_once() {
    let mut venue = venue(LatencyModel::none(), LatencyModel::none());
    venue.on_record(&ask_at(7, 100, 50));
    venue.submit(buy(1, 100, 60), 7);
    assert_eq!(venue.next_due_ns(), Some(7));
    venue.advance_to(7);
    assert_eq!(taken(&mut venue, 7).len(), 2);
    assert_eq!(venue.matcher().working(ABC).map(|(_, remaining)| remaining).collect::<Vec<_>>(), [Qty(10)]);
}

#[test]
fn a_cancel_races_with_the_market() {
    let mut venue = venue(fixed(10), fixed(10));
    venue.on_record(&ask_at(0, 100, 5));
    venue.submit(buy(1, 99, 20), 0);
    venue.submit(buy(2, 98, 20), 0);
    venue.cancel(OrderId(1), 20);
    venue.cancel(OrderId(2), 20);
    venue.on_record(&MarketRecord {
        ts_recv_ns: 29,
        price: Price(98),
        qty: Qty(20),
        ..record(ABC, TickKind::Trade)
    });
    venue.advance_to(30);
    let matched = Match { order: OrderId(1), qty: Qty(20), price: Price(99), ts_ns: 29 };
    assert_eq!(
        taken(&mut venue, 40)[2..],
        [
            BookReport::Matched(matched),
            BookReport::CancelRefused { order: OrderId(1), ts_ns: 30 },
            BookReport::Ended {
                order: OrderId(2),
                reason: EndReason::UserCancel,
                remaining: Qty(20),
                ts_ns: 30
            },
        ]
    );
}

#[test]
fn an_amendment_races_with_the_market() {
    let mut venue = venue(fixed(10), fixed(10));
    venue.on_record(&ask_at(0, 100, 5));
    venue.submit(buy(1, 99, 20), 0);
    venue.amend(OrderId(1), Price(98), Qty(15), 20);
    venue.amend(OrderId(1), Price(98), Qty(12), 20);
    venue.on_record(&MarketRecord {
        ts_recv_ns: 29,
        price: Price(98),
        qty: Qty(12),
        ..record(ABC, TickKind::Trade)
    });
    venue.advance_to(30);
    let (order, ts_ns) = (OrderId(1), 30);
    assert_eq!(
        taken(&mut venue, 40)[1..],
        [
            BookReport::Matched(Match { order, qty: Qty(12), price: Price(99), ts_ns: 29 }),
            BookReport::Amended { order, limit: Price(98), qty: Qty(15), ts_ns },
            BookReport::AmendRefused { order, reason: EndReason::QtyInvalid, ts_ns },
        ]
    );
    assert_eq!(venue.matcher().working(ABC).map(|(_, remaining)| remaining).collect::<Vec<_>>(), [Qty(3)]);
}

#[test]
fn the_end_of_a_session_ends_what_has_arrived_and_not_what_is_on_the_way() {
    let mut venue = venue(fixed(10), fixed(0));
    venue.submit(buy(1, 99, 20), 0);
    venue.submit(buy(2, 99, 20), 5);
    venue.end_session(10);
    let said = taken(&mut venue, 10);
    assert!(
        matches!(
            said[1],
            BookReport::Ended { order: OrderId(1), reason: EndReason::SessionEnd, ts_ns: 10, .. }
        ),
        "{said:?}"
    );
    venue.advance_to(15);
    assert_eq!(taken(&mut venue, 15), [BookReport::Accepted { order: OrderId(2), ts_ns: 15 }]);
}

/// Sends at the given gaps over a way with jitter; returns what came back, with the time it did.
fn there_and_back(gaps: &[i64], seed: u64) -> Vec<(i64, BookReport)> {
    let jitter = |seed| LatencyModel::new(50, 1_000, seed).unwrap();
    let mut venue = venue(jitter(seed), jitter(seed ^ 1));
    let mut now_ns = 0;
    for (id, gap) in (1..).zip(gaps) {
        now_ns += gap;
        venue.submit(buy(id, 100, 10), now_ns);
        venue.cancel(OrderId(id), now_ns);
    }
    let mut came = Vec::new();
    while let Some(due_ns) = venue.next_due_ns() {
        venue.advance_to(due_ns);
        came.extend(taken(&mut venue, due_ns).into_iter().map(|report| (due_ns, report)));
    }
    came
}

proptest! {
    #[test]
    fn no_message_overtakes_another(gaps in proptest::collection::vec(0_i64..300, 1..40), seed: u64) {
        let came = there_and_back(&gaps, seed);
        prop_assert_eq!(came.len(), gaps.len() * 2);
        let sent_at = gaps.iter().scan(0, |now_ns, gap| { *now_ns += gap; Some(*now_ns) });
        let (mut last_ns, mut last_at_venue_ns) = (0, 0);
        for ((id, sent_ns), answers) in (1..).zip(sent_at).zip(came.chunks(2)) {
            let [
                (accepted_ns, BookReport::Accepted { order, ts_ns }),
                (ended_ns, BookReport::Ended { order: ended, ts_ns: ended_at_venue_ns, .. }),
            ] = answers else {
                panic!("{answers:?}")
            };
            prop_assert!(*order == OrderId(id) && *ended == OrderId(id));
            prop_assert!(*ts_ns >= sent_ns + 50 && *accepted_ns >= ts_ns + 50);
            prop_assert!(last_at_venue_ns <= *ts_ns && ts_ns <= ended_at_venue_ns);
            prop_assert!(last_ns <= *accepted_ns && accepted_ns <= ended_ns);
            (last_ns, last_at_venue_ns) = (*ended_ns, *ended_at_venue_ns);
        }
        prop_assert_eq!(came, there_and_back(&gaps, seed));
    }
}
