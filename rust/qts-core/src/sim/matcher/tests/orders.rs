//! Immediate orders, and what the venue does with an order besides matching it.

use super::*;
use crate::sim::matcher::Match;

mod an_immediate_order {
    use super::*;

    #[test]
    fn at_market_takes_what_is_shown_and_ends() {
        let mut scene = Scene::quoted();
        let id = scene.market(Side::Sell, 50);
        assert_eq!(
            scene.said(),
            [
                BookReport::Accepted { order: id, ts_ns: 2 },
                BookReport::Matched(Match { order: id, qty: Qty(30), price: Price(99), ts_ns: 2 }),
                BookReport::Ended {
                    order: id,
                    reason: EndReason::ImmediateOrCancel,
                    remaining: Qty(20),
                    ts_ns: 2
                },
            ]
        );
        assert_eq!(scene.matcher.working_count(), 0);
    }

    #[test]
    fn at_market_respects_the_bound_it_carries() {
        let mut scene = Scene::quoted();
        scene.send(Side::Buy, OrderKind::Market, TimeInForce::Day, 100, 5);
        assert_eq!(scene.ends(), [(1, EndReason::ImmediateOrCancel, 5)]);
        scene.send(Side::Buy, OrderKind::Market, TimeInForce::Day, 101, 5);
        assert_eq!(scene.matches(), [(2, 5, 101)]);
    }

    #[test]
    fn with_a_limit_ends_at_once_when_the_quote_is_beyond_it() {
        let mut scene = Scene::quoted();
        scene.send(Side::Buy, OrderKind::Limit, TimeInForce::Ioc, 100, 5);
        assert_eq!(scene.ends(), [(1, EndReason::ImmediateOrCancel, 5)]);
    }

    #[test]
    fn ends_at_once_when_the_other_side_is_empty() {
        let mut scene = Scene::empty();
        scene.quote((99, 30), (0, 0));
        scene.market(Side::Buy, 5);
        assert_eq!(scene.ends(), [(1, EndReason::ImmediateOrCancel, 5)]);
    }

    #[test]
    fn is_refused_where_no_price_was_ever_seen() {
        let mut scene = Scene::empty();
        scene.quote((0, 0), (0, 0));
        let id = scene.market(Side::Buy, 5);
        let refusal =
            BookReport::Ended { order: id, reason: EndReason::NoReferencePrice, remaining: Qty(5), ts_ns: 2 };
        assert_eq!(scene.said(), [refusal]);
        scene.send(Side::Buy, OrderKind::Limit, TimeInForce::Ioc, 100, 5);
        assert_eq!(scene.ends(), [(2, EndReason::NoReferencePrice, 5)]);
    }
}

mod the_venue {
    use super::*;

    #[test]
    fn cancels_a_working_order_once() {
        let mut scene = Scene::quoted();
        let id = scene.buy(101, 50);
        scene.said();
        scene.matcher.on_cancel(id, 7, &mut scene.said);
        scene.matcher.on_cancel(id, 8, &mut scene.said);
        assert_eq!(
            scene.said(),
            [
                BookReport::Ended { order: id, reason: EndReason::UserCancel, remaining: Qty(10), ts_ns: 7 },
                BookReport::CancelRefused { order: id, ts_ns: 8 },
            ]
        );
        scene.trade(90, 50);
        assert_eq!(scene.matches(), []);
    }

    #[test]
    fn ignores_a_repeated_message() {
        let mut scene = Scene::quoted();
        scene.buy(100, 10);
        scene.last_id = 0;
        scene.buy(100, 10);
        assert_eq!(scene.said().len(), 1);
        assert_eq!(scene.remaining(), [(1, 10)]);
    }

    #[test]
    fn refuses_what_it_cannot_trade() {
        let mut scene = Scene::quoted();
        scene.buy(100, 0);
        scene.buy(100, -1);
        scene.buy(0, 10);
        scene.buy(-5, 10);
        scene.buy(2_001, 10);
        assert_eq!(
            scene.ends(),
            [
                (1, EndReason::QtyInvalid, 0),
                (2, EndReason::QtyInvalid, -1),
                (3, EndReason::OffTick, 10),
                (4, EndReason::OffTick, 10),
                (5, EndReason::OffTick, 10),
            ]
        );
        let order = SimOrder {
            id: OrderId(6),
            instrument: InstrumentId(9),
            track: Track::Scalp,
            side: Side::Buy,
            kind: OrderKind::Limit,
            tif: TimeInForce::Day,
            limit: Price(100),
            qty: Qty(1),
        };
        scene.matcher.on_order(order, 9, &mut scene.said);
        scene.matcher.on_order(SimOrder { id: OrderId(7), instrument: OTHER, ..order }, 9, &mut scene.said);
        assert_eq!(
            scene.ends(),
            [(6, EndReason::NoReferencePrice, 1), (7, EndReason::QtyInvalid, 1)],
            "the second instrument trades in lots of 10"
        );
        assert_eq!(scene.matcher.working(InstrumentId(9)).count(), 0);
    }

    #[test]
    fn ends_the_session_with_every_working_order_and_starts_the_next_without_old_prices() {
        let mut scene = Scene::quoted();
        scene.buy(101, 50);
        scene.sell(104, 5);
        scene.said();
        scene.matcher.end_session(9, &mut scene.said);
        assert_eq!(scene.ends(), [(1, EndReason::SessionEnd, 10), (2, EndReason::SessionEnd, 5)]);
        assert_eq!(scene.matcher.working_count(), 0);
        scene.market(Side::Buy, 5);
        assert_eq!(scene.matches(), [], "yesterday's offer is not there any more");
        scene.auction(97, 100);
        assert_eq!(scene.matches(), [(3, 5, 97)]);
    }
    #[test]
    fn does_not_carry_what_was_taken_or_printed_into_the_next_session() {
        let mut scene = Scene::quoted();
        scene.trade(100, 5);
        scene.buy(101, 40);
        scene.matcher.end_session(9, &mut scene.said);
        scene.said();
        scene.buy(99, 10);
        scene.trade(97, 50);
        assert_eq!(
            scene.matches(),
            [(2, 10, 97)],
            "the first print of its session, not a fall through its limit"
        );
        scene.quote((99, 30), (101, 40));
        scene.buy(101, 10);
        assert_eq!(scene.matches(), [(3, 10, 101)]);
    }
}

/// The second instrument trades in lots of 10; the market shows sizes of any kind.
#[test]
fn sizes_finer_than_the_lot_are_shared_in_whole_lots() {
    let mut matcher = Matcher::new(Arc::new(instruments()));
    let mut said = Vec::new();
    let mut shown = record(OTHER, TickKind::Quote);
    (shown.bid, shown.bid_qty, shown.ask, shown.ask_qty) = (Price(90), Qty(7), Price(100), Qty(37));
    matcher.on_record(&shown, &mut said);
    let order = SimOrder {
        id: OrderId(1),
        instrument: OTHER,
        track: Track::Scalp,
        side: Side::Buy,
        kind: OrderKind::Limit,
        tif: TimeInForce::Day,
        limit: Price(100),
        qty: Qty(60),
    };
    matcher.on_order(order, 1, &mut said);
    (shown.ask, shown.ask_qty, shown.ts_recv_ns) = (Price(110), Qty(5), 2);
    matcher.on_record(&shown, &mut said);
    let mut print = record(OTHER, TickKind::Trade);
    (print.price, print.qty, print.ts_recv_ns) = (Price(90), Qty(19), 3);
    matcher.on_record(&print, &mut said);
    let fills: Vec<i64> = said
        .iter()
        .filter_map(|report| match report {
            BookReport::Matched(matched) => Some(matched.qty.0),
            _ => None,
        })
        .collect();
    assert_eq!(fills, [30, 10]);
}
