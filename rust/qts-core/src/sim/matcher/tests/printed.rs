//! Where only prints are known, as from recorded bars.

use super::*;
use crate::sim::matcher::Match;

#[test]
fn an_auction_fills_every_order_it_reaches_at_its_price() {
    let mut scene = Scene::printed();
    scene.buy(105, 10);
    scene.buy(94, 10);
    scene.buy(95, 10);
    scene.sell(95, 10);
    scene.market(Side::Buy, 10);
    scene.auction(95, 1_000);
    assert_eq!(scene.matches(), [(1, 10, 95), (3, 10, 95), (4, 10, 95), (5, 10, 95)]);
    assert_eq!(scene.remaining(), [(2, 10)]);
}

#[test]
fn an_auction_serves_in_order_of_arrival_up_to_its_size() {
    let mut scene = Scene::printed();
    scene.buy(100, 10);
    scene.market(Side::Buy, 10);
    scene.market(Side::Buy, 10);
    scene.auction(99, 15);
    assert_eq!(scene.matches(), [(1, 10, 99), (2, 5, 99)]);
    assert_eq!(scene.remaining(), [], "what a market order does not get in its auction ends");
}

#[test]
fn an_order_before_the_first_print_ever_waits_for_it() {
    let mut scene = Scene::empty();
    scene.buy(100, 10);
    scene.trade(98, 4);
    assert_eq!(scene.matches(), [(1, 4, 98)]);
}

#[test]
fn a_marketable_order_meets_the_next_print_and_never_does_better() {
    let mut scene = Scene::printed();
    scene.buy(100, 10);
    scene.sell(100, 10);
    assert_eq!(scene.matches(), [], "the print it has seen is gone");
    scene.trade(100, 30);
    assert_eq!(scene.matches(), [(1, 10, 100), (2, 10, 100)]);
    scene.buy(110, 10);
    scene.trade(98, 6);
    scene.trade(104, 6);
    assert_eq!(scene.matches(), [(3, 6, 98), (3, 4, 104)]);
}

#[test]
fn a_marketable_order_that_the_next_print_runs_away_from_becomes_passive() {
    let mut scene = Scene::printed();
    scene.buy(100, 10);
    scene.trade(101, 50);
    assert_eq!(scene.matches(), []);
    scene.trade(97, 50);
    assert_eq!(scene.matches(), [(1, 10, 100)], "at its limit: the market came down through it");
}

#[test]
fn any_other_order_is_passive_with_nobody_ahead() {
    let mut scene = Scene::printed();
    scene.buy(98, 10);
    scene.sell(103, 10);
    scene.trade(98, 4);
    scene.trade(105, 4);
    assert_eq!(scene.matches(), [(1, 4, 98), (2, 4, 103)]);
}

#[test]
fn an_immediate_order_takes_its_next_print_and_ends() {
    let mut scene = Scene::printed();
    scene.market(Side::Sell, 10);
    scene.send(Side::Buy, OrderKind::Limit, TimeInForce::Ioc, 100, 10);
    scene.send(Side::Buy, OrderKind::Limit, TimeInForce::Ioc, 99, 10);
    assert_eq!(scene.ends(), [(3, EndReason::ImmediateOrCancel, 10)], "not within the last print");
    scene.trade(101, 4);
    assert_eq!(
        scene.said(),
        [
            BookReport::Matched(Match { order: OrderId(1), qty: Qty(4), price: Price(101), ts_ns: 5 }),
            BookReport::Ended {
                order: OrderId(1),
                reason: EndReason::ImmediateOrCancel,
                remaining: Qty(6),
                ts_ns: 5
            },
            BookReport::Ended {
                order: OrderId(2),
                reason: EndReason::ImmediateOrCancel,
                remaining: Qty(10),
                ts_ns: 5
            },
        ]
    );
}

#[test]
fn the_first_quote_is_met_like_an_arrival() {
    let mut scene = Scene::printed();
    scene.buy(101, 50);
    scene.buy(100, 10);
    scene.market(Side::Buy, 5);
    scene.quote((100, 20), (101, 40));
    assert_eq!(scene.said().len(), 3 + 2, "three accepted, one match, one end");
    assert_eq!(scene.remaining(), [(1, 10), (2, 10)]);
    scene.trade(100, 24);
    assert_eq!(scene.matches(), [(2, 4, 100)], "20 were ahead of the second order");
}

#[test]
fn the_first_quote_shows_a_passive_order_its_queue() {
    let mut scene = Scene::printed();
    scene.buy(98, 10);
    scene.quote((99, 20), (101, 40));
    scene.trade(98, 10);
    assert_eq!(scene.matches(), [], "behind the best quote after all");
}

#[test]
fn a_price_without_a_size_is_no_print_to_meet() {
    let mut scene = Scene::printed();
    scene.market(Side::Buy, 10);
    scene.auction(97, 0);
    scene.trade(98, 0);
    scene.trade(101, 10);
    assert_eq!(scene.matches(), [(1, 10, 101)]);
}
