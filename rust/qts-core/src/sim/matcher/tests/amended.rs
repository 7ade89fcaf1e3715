//! What becomes of an order that is amended: its place, and what is refused.

use super::*;
use crate::sim::matcher::Match;

/// The refusals since the last call, as (order, reason).
fn refusals(scene: &mut Scene) -> Vec<(u64, EndReason)> {
    let refused = |report| match report {
        BookReport::AmendRefused { order, reason, .. } => Some((order.0, reason)),
        _ => None,
    };
    scene.said().into_iter().filter_map(refused).collect()
}

#[test]
fn less_at_the_same_price_keeps_what_is_ahead() {
    let mut scene = Scene::quoted();
    let id = scene.buy(99, 20);
    scene.trade(99, 25);
    scene.said();
    scene.amend(id, 99, 15);
    assert_eq!(
        scene.said(),
        [BookReport::Amended { order: id, limit: Price(99), qty: Qty(15), ts_ns: scene.now_ns }]
    );
    scene.trade(99, 12);
    assert_eq!(scene.matches(), [(1, 7, 99)], "5 of the 30 shown were still ahead");
    scene.trade(99, 20);
    assert_eq!(scene.matches(), [(1, 8, 99)]);
    assert_eq!(scene.matcher.working_count(), 0);
}

#[test]
fn less_at_the_same_price_keeps_its_turn_among_our_own() {
    let mut scene = Scene::printed();
    let first = scene.buy(99, 10);
    scene.buy(99, 10);
    scene.amend(first, 99, 8);
    scene.said();
    scene.trade(99, 12);
    assert_eq!(scene.matches(), [(1, 8, 99), (2, 4, 99)]);
}

#[test]
fn more_at_the_same_price_stands_behind_all_that_is_shown() {
    let mut scene = Scene::quoted();
    let id = scene.buy(99, 20);
    scene.trade(99, 30);
    scene.amend(id, 99, 25);
    scene.said();
    scene.trade(99, 30);
    assert_eq!(scene.matches(), []);
    scene.trade(99, 30);
    assert_eq!(scene.matches(), [(1, 25, 99)]);
}

#[test]
fn another_price_and_back_has_lost_the_turn() {
    let mut scene = Scene::printed();
    let first = scene.buy(99, 10);
    scene.buy(99, 10);
    scene.amend(first, 98, 10);
    scene.amend(first, 99, 10);
    scene.said();
    scene.trade(99, 12);
    assert_eq!(scene.matches(), [(2, 10, 99), (1, 2, 99)]);
    assert_eq!(scene.remaining(), [(1, 8)]);
}

#[test]
fn the_same_again_has_lost_the_turn_too() {
    let mut scene = Scene::printed();
    let first = scene.buy(99, 10);
    scene.buy(99, 10);
    scene.amend(first, 99, 10);
    scene.said();
    scene.trade(99, 10);
    assert_eq!(scene.matches(), [(2, 10, 99)]);
}

#[test]
fn a_price_that_reaches_the_quote_trades_at_once_and_not_what_was_taken_before() {
    let mut scene = Scene::quoted();
    let other = scene.buy(101, 30);
    assert_eq!(scene.matches(), [(other.0, 30, 101)]);
    let id = scene.buy(99, 20);
    scene.said();
    scene.amend(id, 101, 20);
    let now_ns = scene.now_ns;
    assert_eq!(
        scene.said(),
        [
            BookReport::Amended { order: id, limit: Price(101), qty: Qty(20), ts_ns: now_ns },
            BookReport::Matched(Match { order: id, qty: Qty(10), price: Price(101), ts_ns: now_ns }),
        ]
    );
    assert_eq!(scene.remaining(), [(id.0, 10)]);
}

#[test]
fn an_order_that_fills_by_its_amendment_is_gone() {
    let mut scene = Scene::quoted();
    let id = scene.sell(105, 20);
    scene.amend(id, 99, 20);
    assert_eq!(scene.matches(), [(1, 20, 99)]);
    assert_eq!(scene.matcher.working_count(), 0);
    scene.amend(id, 99, 20);
    assert_eq!(refusals(&mut scene), [(1, EndReason::UnknownOrder)]);
}

#[test]
fn without_quotes_it_waits_for_the_next_print() {
    let mut scene = Scene::printed();
    let id = scene.buy(95, 10);
    scene.amend(id, 102, 10);
    assert_eq!(scene.matches(), []);
    scene.trade(101, 10);
    assert_eq!(scene.matches(), [(1, 10, 101)]);
}

#[test]
fn a_total_that_leaves_nothing_to_trade_is_refused_and_changes_nothing() {
    let mut scene = Scene::quoted();
    let id = scene.buy(101, 50);
    assert_eq!(scene.matches(), [(1, 40, 101)]);
    for qty in [39, 40, 0, -1] {
        scene.amend(id, 100, qty);
        assert_eq!(refusals(&mut scene), [(1, EndReason::QtyInvalid)], "{qty}");
    }
    assert_eq!(scene.remaining(), [(1, 10)]);
    scene.amend(id, 101, 41);
    scene.quote((99, 30), (101, 90));
    assert_eq!(scene.matches(), [(1, 1, 101)]);
    assert_eq!(scene.matcher.working_count(), 0);
}

#[test]
fn prices_off_the_ladder_and_missing_ones_are_refused() {
    let mut scene = Scene::quoted();
    let id = scene.sell(2_500, 10);
    for limit in [2_501, 0, -5] {
        scene.amend(id, limit, 10);
        assert_eq!(refusals(&mut scene), [(1, EndReason::OffTick)], "{limit}");
    }
    assert_eq!(scene.remaining(), [(1, 10)]);
}

#[test]
fn an_order_that_has_ended_or_never_was_is_refused() {
    let mut scene = Scene::quoted();
    let id = scene.buy(99, 10);
    scene.matcher.on_cancel(id, 9, &mut scene.said);
    scene.said();
    scene.amend(id, 98, 10);
    scene.amend(OrderId(7), 98, 10);
    assert_eq!(refusals(&mut scene), [(1, EndReason::UnknownOrder), (7, EndReason::UnknownOrder)]);
}

mod a_trade_beside_the_market {
    use super::*;

    #[test]
    fn takes_from_the_order_and_leaves_the_market_as_it_is() {
        let mut scene = Scene::quoted();
        let id = scene.buy(99, 20);
        let other = scene.buy(101, 5);
        scene.said();
        assert!(scene.matcher.trade_beside(id, Qty(8), Price(98), 7, &mut scene.said));
        assert_eq!(scene.matches(), [(id.0, 8, 98)]);
        assert_eq!(scene.remaining(), [(id.0, 12)]);
        scene.trade(99, 35);
        assert_eq!(
            scene.matches(),
            [(id.0, 5, 99)],
            "30 were ahead and still are, whatever was traded beside"
        );
        assert!(scene.matcher.trade_beside(id, Qty(7), Price(99), 9, &mut scene.said));
        assert_eq!(scene.matcher.working_count(), 0);
        assert!(
            !scene.matcher.trade_beside(other, Qty(1), Price(101), 9, &mut scene.said),
            "filled long ago"
        );
    }

    #[test]
    fn is_never_beyond_the_limit_nor_more_than_is_left() {
        let mut scene = Scene::quoted();
        let id = scene.sell(105, 20);
        scene.said();
        for (qty, price) in [(1, 104), (21, 105), (0, 105), (-1, 105)] {
            assert!(
                !scene.matcher.trade_beside(id, Qty(qty), Price(price), 7, &mut scene.said),
                "{qty} at {price}"
            );
        }
        assert_eq!(scene.said(), []);
        assert_eq!(scene.remaining(), [(id.0, 20)]);
    }
}
