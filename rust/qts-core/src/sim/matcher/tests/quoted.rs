//! Where quotes are shown.

use super::*;
use crate::sim::matcher::Match;

mod an_order_that_arrives_marketable {
    use super::*;

    #[test]
    fn takes_the_shown_size_at_the_shown_price_and_not_at_its_limit() {
        let mut scene = Scene::quoted();
        let id = scene.buy(105, 25);
        assert_eq!(
            scene.said(),
            [
                BookReport::Accepted { order: id, ts_ns: 2 },
                BookReport::Matched(Match { order: id, qty: Qty(25), price: Price(101), ts_ns: 2 }),
            ]
        );
        assert_eq!(scene.matcher.working_count(), 0);
        scene.sell(95, 10);
        assert_eq!(scene.matches(), [(2, 10, 99)]);
    }

    #[test]
    fn takes_no_more_than_is_shown_and_the_rest_works_on() {
        let mut scene = Scene::quoted();
        scene.buy(105, 60);
        assert_eq!(scene.matches(), [(1, 40, 101)]);
        assert_eq!(scene.remaining(), [(1, 20)]);
    }

    #[test]
    fn does_not_take_again_what_it_has_taken_while_the_price_stands() {
        let mut scene = Scene::quoted();
        scene.buy(101, 60);
        scene.quote((99, 30), (101, 40));
        scene.quote((98, 10), (101, 25));
        assert_eq!(scene.matches(), [(1, 40, 101)]);
        scene.quote((99, 30), (101, 45));
        assert_eq!(scene.matches(), [(1, 5, 101)], "only the 5 that are newly shown");
    }

    #[test]
    fn leaves_nothing_to_the_next_order_at_the_same_shown_price() {
        let mut scene = Scene::quoted();
        scene.buy(101, 40);
        scene.quote((99, 30), (101, 40));
        scene.buy(101, 10);
        assert_eq!(scene.matches(), [(1, 40, 101)]);
        scene.quote((99, 30), (101, 47));
        assert_eq!(scene.matches(), [(2, 7, 101)]);
    }

    #[test]
    fn takes_again_when_the_shown_price_has_moved_within_its_limit() {
        let mut scene = Scene::quoted();
        scene.buy(103, 100);
        scene.quote((99, 30), (103, 15));
        scene.quote((99, 30), (101, 40));
        assert_eq!(scene.matches(), [(1, 40, 101), (1, 15, 103), (1, 40, 101)]);
    }

    #[test]
    fn ignores_prints_as_long_as_it_is_aggressive() {
        let mut scene = Scene::quoted();
        scene.buy(103, 60);
        scene.trade(101, 500);
        scene.trade(90, 500);
        assert_eq!(scene.matches(), [(1, 40, 101)], "these prints may be the size it has taken itself");
    }

    #[test]
    fn becomes_passive_when_the_opposite_quote_leaves_its_limit() {
        let mut scene = Scene::quoted();
        scene.buy(101, 60);
        scene.quote((99, 30), (102, 40));
        scene.trade(101, 8);
        assert_eq!(
            scene.matches(),
            [(1, 40, 101), (1, 8, 101)],
            "it is first at its price, inside the spread"
        );
        scene.quote((99, 30), (101, 7));
        assert_eq!(scene.matches(), [(1, 7, 101)], "the quote has come back to it");
    }

    #[test]
    fn becomes_passive_when_the_opposite_side_is_empty() {
        let mut scene = Scene::quoted();
        scene.sell(99, 50);
        scene.quote((0, 0), (100, 40));
        scene.trade(99, 5);
        assert_eq!(scene.matches(), [(1, 30, 99), (1, 5, 99)], "it is first at its price, inside the spread");
        scene.quote((99, 12), (100, 40));
        assert_eq!(scene.matches(), [(1, 12, 99)], "a bid has come back to it");
    }

    #[test]
    fn may_meet_a_quote_that_a_print_carries() {
        let mut scene = Scene::quoted();
        scene.buy(101, 50);
        let print = MarketRecord {
            price: Price(101),
            qty: Qty(1),
            bid: Price(99),
            bid_qty: Qty(30),
            ask: Price(101),
            ask_qty: Qty(43),
            ..record(ABC, TickKind::Trade)
        };
        scene.play(print);
        assert_eq!(scene.matches(), [(1, 40, 101), (1, 3, 101)]);
    }
}

mod a_passive_order {
    use super::*;

    #[test]
    fn fills_at_its_limit_when_the_market_trades_through_it() {
        let mut scene = Scene::quoted();
        scene.buy(98, 50);
        scene.sell(102, 50);
        scene.trade(97, 20);
        scene.trade(104, 70);
        assert_eq!(scene.matches(), [(1, 20, 98), (2, 50, 102)]);
        assert_eq!(scene.remaining(), [(1, 30)]);
    }

    #[test]
    fn waits_for_the_size_ahead_of_it_at_the_best_quote() {
        let mut scene = Scene::quoted();
        scene.buy(99, 50);
        scene.trade(99, 20);
        assert_eq!(scene.matches(), [], "20 of the 30 ahead");
        scene.trade(99, 14);
        assert_eq!(scene.matches(), [(1, 4, 99)], "the last 10 ahead, then 4 of ours");
        scene.trade(99, 100);
        assert_eq!(scene.matches(), [(1, 46, 99)]);
    }

    #[test]
    fn keeps_its_place_when_the_shown_size_changes() {
        let mut scene = Scene::quoted();
        scene.buy(99, 10);
        scene.quote((99, 5), (101, 40));
        scene.quote((99, 90), (101, 40));
        scene.trade(99, 30);
        assert_eq!(scene.matches(), [], "whether others left in front of us or behind us nobody knows");
        scene.trade(99, 1);
        assert_eq!(scene.matches(), [(1, 1, 99)]);
    }

    #[test]
    fn is_first_inside_the_spread() {
        let mut scene = Scene::quoted();
        scene.buy(100, 10);
        scene.trade(100, 4);
        assert_eq!(scene.matches(), [(1, 4, 100)]);
    }

    #[test]
    fn is_first_where_its_side_is_empty() {
        let mut scene = Scene::empty();
        scene.quote((0, 0), (101, 40));
        scene.buy(90, 10);
        scene.trade(90, 4);
        assert_eq!(scene.matches(), [(1, 4, 90)]);
    }

    #[test]
    fn behind_the_best_quote_learns_its_queue_when_its_level_becomes_the_best() {
        let mut scene = Scene::quoted();
        scene.buy(97, 10);
        scene.trade(97, 1_000);
        assert_eq!(scene.matches(), [], "nobody knows how much was ahead");
        scene.quote((97, 12), (99, 5));
        scene.trade(97, 12);
        assert_eq!(scene.matches(), []);
        scene.trade(97, 3);
        assert_eq!(scene.matches(), [(1, 3, 97)]);
    }

    #[test]
    fn behind_the_best_quote_is_first_when_the_best_falls_past_its_level() {
        let mut scene = Scene::quoted();
        scene.sell(103, 10);
        scene.quote((101, 5), (104, 20));
        scene.trade(103, 2);
        assert_eq!(scene.matches(), [(1, 2, 103)]);
    }

    #[test]
    fn takes_what_is_shown_once_the_opposite_quote_reaches_its_limit() {
        let mut scene = Scene::quoted();
        scene.buy(99, 10);
        scene.quote((97, 5), (98, 7));
        assert_eq!(scene.matches(), [(1, 7, 98)], "at the shown price: no trade at 99 could happen any more");
        scene.quote((97, 5), (98, 9));
        assert_eq!(scene.matches(), [(1, 2, 98)], "only the 2 that are newly shown");
        assert_eq!(scene.remaining(), [(1, 1)]);
    }

    #[test]
    fn takes_what_is_shown_next_once_the_market_has_traded_through_it() {
        let mut scene = Scene::quoted();
        scene.buy(98, 50);
        scene.trade(97, 20);
        assert_eq!(scene.matches(), [(1, 20, 98)]);
        scene.trade(97, 20);
        assert_eq!(scene.matches(), [], "98 is no price of this market any more");
        scene.quote((95, 30), (96, 12));
        assert_eq!(scene.matches(), [(1, 12, 96)]);
        scene.quote((95, 30), (99, 12));
        scene.trade(98, 5);
        assert_eq!(scene.matches(), [(1, 5, 98)], "passive again once the offers have left its limit");
    }

    #[test]
    fn is_not_served_at_its_limit_by_somebody_who_trades_in_its_own_direction() {
        let mut scene = Scene::quoted();
        scene.buy(100, 10);
        scene.print(TickKind::Trade, Some(Side::Buy), 100, 500);
        assert_eq!(scene.matches(), [], "a buyer took an offer at 100; our bid was not what he met");
        scene.print(TickKind::Trade, Some(Side::Sell), 100, 3);
        assert_eq!(scene.matches(), [(1, 3, 100)]);
        scene.print(TickKind::Trade, Some(Side::Buy), 99, 3);
        assert_eq!(scene.matches(), [(1, 3, 100)], "an offer below our bid would have met us first");
    }

    #[test]
    fn is_not_touched_by_prints_without_a_size_or_by_closed_bars() {
        let mut scene = Scene::quoted();
        scene.buy(100, 10);
        scene.trade(90, 0);
        scene.print(TickKind::BarClose, None, 90, 1_000);
        assert_eq!(scene.matches(), []);
    }

    #[test]
    fn is_not_touched_by_another_instrument() {
        let mut scene = Scene::quoted();
        scene.buy(100, 10);
        scene.play(MarketRecord { price: Price(1), qty: Qty(10), ..record(OTHER, TickKind::Trade) });
        scene.play(MarketRecord {
            price: Price(1),
            qty: Qty(10),
            ..record(InstrumentId(9), TickKind::Trade)
        });
        assert_eq!(scene.matches(), []);
    }
}

mod several_orders_on_one_print {
    use super::*;

    #[test]
    fn share_it_in_order_of_arrival_at_one_price() {
        let mut scene = Scene::quoted();
        scene.buy(100, 10);
        scene.buy(100, 10);
        scene.trade(98, 15);
        assert_eq!(scene.matches(), [(1, 10, 100), (2, 5, 100)]);
    }

    #[test]
    fn are_served_best_price_first() {
        let mut scene = Scene::quoted();
        scene.buy(98, 10);
        scene.buy(100, 10);
        scene.trade(97, 15);
        assert_eq!(scene.matches(), [(2, 10, 100), (1, 5, 98)]);
    }

    #[test]
    fn stand_in_one_queue_with_the_others_at_their_price() {
        let mut scene = Scene::quoted();
        scene.buy(99, 5);
        scene.quote((99, 42), (101, 40));
        scene.buy(99, 5);
        // 30 others, our 5, 12 others, our 5: a print of 49 reaches 2 of the last.
        scene.trade(99, 49);
        assert_eq!(scene.matches(), [(1, 5, 99), (2, 2, 99)]);
    }

    #[test]
    fn never_use_it_twice_even_on_both_sides() {
        let mut scene = Scene::quoted();
        scene.sell(100, 10);
        scene.buy(100, 10);
        scene.trade(100, 12);
        assert_eq!(scene.matches(), [(1, 10, 100), (2, 2, 100)]);
    }
}
