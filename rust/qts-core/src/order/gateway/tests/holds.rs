//! Stage 1 and the holds it places.

use super::*;

fn check(gateway: &mut Gateway, side: Side, qty: i64) -> Check {
    gateway.precheck(&decision(side, qty), &FINE, T)
}

fn of_hold(limit: i64, qty: i64, hold: u64) -> Wish {
    let terms = Terms { hold, ..terms(ActionClass::Entry) };
    Wish { terms, ..buy(limit, qty) }
}

/// 70,000 a share with the fee of 1.5 bps, rounded against us.
fn cost(qty: i64) -> Money {
    Money(qty * 70_000 + (qty * 105 + 9) / 10)
}

#[test]
fn gates_are_asked_in_their_order_and_the_first_that_refuses_ends_it() {
    let word = Arc::new(SafetyWord::new(ProtectiveExits::TrustedOnly));
    let mut gateway = gateway(100_000);
    gateway.attach_safety(Arc::clone(&word));
    gateway.freeze(SAMSUNG, "x", true);
    word.set_flags(Flags::ENTRIES_BLOCKED);
    let mut around = Surroundings {
        quote_ts_ns: 0,
        max_age_ns: 0,
        is_link_up: false,
        is_market_open: false,
        is_state_open: false,
    };
    let mut wish = decision(Side::Buy, 10);
    wish.hold_price = Price(0);
    let ask = |gateway: &mut Gateway, wish: &Decision, around: &Surroundings| {
        let check = gateway.precheck(wish, around, T);
        assert_eq!((check.hold, gateway.orders().reserved()), (0, Money(0)));
        (check.reason, check.asked)
    };
    assert_eq!(ask(&mut gateway, &wish, &around), ("SAFETY_BLOCKED", 1));
    word.clear_flags(word.value(), Flags::ENTRIES_BLOCKED).unwrap();
    assert_eq!(ask(&mut gateway, &wish, &around), ("STATE_BLOCKED", 1));
    around.is_state_open = true;
    assert_eq!(ask(&mut gateway, &wish, &around), ("SYMBOL_FROZEN", 1));
    gateway.freeze(SAMSUNG, "x", false);
    let odd = Decision { qty: Qty(0), ..wish };
    assert_eq!(ask(&mut gateway, &odd, &around), ("POSITION_INVALID", 2));
    assert_eq!(ask(&mut gateway, &wish, &around), ("INSUFFICIENT_CAPITAL", 3));
    wish.hold_price = Price(70_000);
    assert_eq!(ask(&mut gateway, &wish, &around), ("BROKER_DISCONNECTED", 4));
    around.is_link_up = true;
    assert_eq!(ask(&mut gateway, &wish, &around), ("MARKET_CLOSED", 5));
    around.is_market_open = true;
    assert_eq!(ask(&mut gateway, &wish, &around), ("PRICE_STALE", 6));
    around.quote_ts_ns = T - 100 * MS - 1;
    assert_eq!(ask(&mut gateway, &wish, &around), ("PRICE_STALE", 6));
    around.quote_ts_ns = T - 100 * MS;
    let check = gateway.precheck(&wish, &around, T);
    assert_eq!((check.reason, check.qty, check.asked), ("", Qty(1), 6), "what can be paid");
    assert_eq!(gateway.orders().reserved(), cost(1));
}

#[test]
fn an_exit_is_not_asked_what_only_concerns_entries() {
    let mut gateway = gateway(10_000_000);
    holding(&mut gateway, 10);
    gateway.freeze(SAMSUNG, "x", true);
    let around = Surroundings { quote_ts_ns: 0, is_state_open: false, ..FINE };
    let passed = gateway.precheck(&decision(Side::Sell, 10), &around, T);
    assert_eq!((passed.reason, passed.qty, passed.hold), ("", Qty(10), 0));
    place(&mut gateway, &sell(70_000, 1));
    assert_eq!(check(&mut gateway, Side::Sell, 10).reason, "POSITION_INVALID");
    assert_eq!(check(&mut gateway, Side::Sell, 9).reason, "");
}

#[test]
fn a_purchase_shrinks_to_the_lots_that_can_be_paid() {
    for cash in [cost(7).0, cost(8).0 - 1] {
        let mut gateway = gateway(cash);
        let check = check(&mut gateway, Side::Buy, 1_000_000);
        assert_eq!((check.qty, gateway.orders().reserved()), (Qty(7), cost(7)));
        let after = gateway.precheck(&Decision { instrument: HYNIX, ..decision(Side::Buy, 1) }, &FINE, T);
        assert_eq!((after.reason, after.asked), ("INSUFFICIENT_CAPITAL", 3));
    }
    let mut pooled = gateway(10_000_000);
    pooled.fund_pools([cost(3), Money(10_000_000 - cost(3).0), Money(0)]).unwrap();
    assert_eq!(check(&mut pooled, Side::Buy, 10).qty, Qty(3));
    assert_eq!(pooled.orders().reserved_by_track().of(Track::Scalp), cost(3));
}

#[test]
fn a_position_is_entered_once_at_a_time() {
    let mut gateway = gateway(100_000_000);
    let hold = check(&mut gateway, Side::Buy, 10).hold;
    assert_eq!(check(&mut gateway, Side::Buy, 1).reason, "POSITION_INVALID", "one is being prepared");
    gateway.close_hold(hold, Qty(0));
    let live = place(&mut gateway, &buy(70_000, 1));
    assert_eq!(check(&mut gateway, Side::Buy, 1).reason, "POSITION_INVALID", "one is live");
    gateway.on_fill(&fill(live, "a", 1, 70_000), T).unwrap();
    assert_eq!(check(&mut gateway, Side::Buy, 1).reason, "");
}

#[test]
fn no_more_positions_are_opened_than_can_be_watched() {
    let mut gateway =
        gateway_with(100_000_000, GatewayConfig { shadow_capacity: 1, ..GatewayConfig::unlimited() });
    let other = Decision { instrument: HYNIX, ..decision(Side::Buy, 1) };
    let hold = check(&mut gateway, Side::Buy, 10).hold;
    assert_eq!(gateway.precheck(&other, &FINE, T).reason, "SHADOW_FULL", "one is coming");
    gateway.close_hold(hold, Qty(0));
    holding(&mut gateway, 1);
    assert_eq!(gateway.precheck(&other, &FINE, T).reason, "SHADOW_FULL");
    assert_eq!(check(&mut gateway, Side::Buy, 1).reason, "", "it is watched already");
}

#[test]
fn orders_draw_on_their_hold_and_reserve_nothing_themselves() {
    let mut gateway = gateway(100_000_000);
    let hold = check(&mut gateway, Side::Buy, 10).hold;
    assert_eq!(why(gateway.request(&of_hold(70_100, 4, hold), T)), Refusal::HoldPrice);
    assert_eq!(why(gateway.request(&of_hold(70_000, 11, hold), T)), Refusal::HoldQty);
    assert_eq!(why(gateway.request(&of_hold(70_000, 1, 99), T)), Refusal::HoldGone);
    let elsewhere = OrderRequest { instrument: HYNIX, ..order(Side::Buy, 70_000, 1) };
    assert_eq!(
        why(gateway.request(&Wish { request: elsewhere, ..of_hold(1, 1, hold) }, T)),
        Refusal::HoldGone
    );
    let id = place(&mut gateway, &of_hold(69_900, 4, hold));
    assert_eq!(gateway.orders().reserved(), cost(10));
    assert_eq!(gateway.hold_of(id), cost(4), "its share, at the hold's price");
    assert_eq!(gateway.hold(hold), Some((cost(10), Qty(10), Qty(4))));
    gateway.on_fill(&fill(id, "a", 1, 69_900), T).unwrap();
    assert_eq!((gateway.hold(hold), gateway.orders().reserved()), (Some((cost(9), Qty(9), Qty(3))), cost(9)));
    gateway.on_answer(id, Answer::Cancelled, T).unwrap();
    assert_eq!(gateway.hold(hold), Some((cost(9), Qty(9), Qty(0))), "it comes back");
    let next = place(&mut gateway, &of_hold(70_000, 9, hold));
    gateway.close_hold(hold, Qty(0));
    assert_eq!(gateway.hold(hold), Some((cost(9), Qty(9), Qty(9))));
    gateway.on_fill(&fill(next, "b", 9, 70_000), T).unwrap();
    assert_eq!((gateway.hold(hold), gateway.orders().reserved()), (None, Money(0)));
}

#[test]
fn a_closed_hold_releases_what_ends_and_keeps_what_may_be_sent_again() {
    let mut gateway = gateway(100_000_000);
    let hold = check(&mut gateway, Side::Buy, 10).hold;
    let (one, two) =
        (place(&mut gateway, &of_hold(70_000, 4, hold)), place(&mut gateway, &of_hold(69_900, 5, hold)));
    gateway.close_hold(hold, Qty(0));
    assert_eq!(gateway.hold(hold), Some((cost(9), Qty(9), Qty(9))));
    gateway.on_answer(one, Answer::Rejected(false), T).unwrap();
    assert_eq!(gateway.hold(hold), Some((cost(9), Qty(9), Qty(5))));
    let again = gateway.request(&of_hold(70_000, 4, hold), T).unwrap();
    gateway.void(again);
    gateway.on_answer(two, Answer::Cancelled, T).unwrap();
    assert_eq!(gateway.hold(hold), Some((cost(4), Qty(4), Qty(0))));
    gateway.close_hold(hold, Qty(0));
    gateway.close_hold(hold, Qty(0));
    assert_eq!((gateway.hold(hold), gateway.orders().reserved()), (None, Money(0)));
}

#[test]
fn a_late_fill_is_paid_from_what_came_back() {
    let mut gateway = gateway(cost(10).0);
    let hold = check(&mut gateway, Side::Buy, 10).hold;
    let id = place(&mut gateway, &of_hold(70_000, 10, hold));
    gateway.on_answer(id, Answer::Cancelled, T).unwrap();
    gateway.on_fill(&fill(id, "late", 4, 70_000), T).unwrap();
    assert_eq!(gateway.hold(hold), Some((cost(6), Qty(6), Qty(0))));
    assert!(free(&gateway) >= 0);
    assert_eq!(why(gateway.request(&of_hold(70_000, 7, hold), T)), Refusal::HoldQty);
}

#[test]
fn an_amendment_stays_within_its_hold() {
    let mut gateway = gateway(100_000_000);
    let hold = check(&mut gateway, Side::Buy, 10).hold;
    let id = place(&mut gateway, &of_hold(69_900, 8, hold));
    gateway.on_answer(id, Answer::Acknowledged, T).unwrap();
    let amend = |gateway: &mut Gateway, limit, qty| {
        gateway.request_amend(id, (Price(limit), Qty(qty)), ActionClass::Entry, T).map_err(|no| no.reason)
    };
    assert_eq!(amend(&mut gateway, 70_100, 8), Err(Refusal::HoldPrice));
    assert_eq!(amend(&mut gateway, 70_000, 11), Err(Refusal::HoldQty));
    let ticket = amend(&mut gateway, 70_000, 10).unwrap();
    assert_eq!(gateway.hold(hold), Some((cost(10), Qty(10), Qty(10))));
    gateway.redeem(ticket, T).unwrap();
    gateway.on_answer(id, Answer::AmendRefused, T).unwrap();
    assert_eq!(gateway.hold(hold), Some((cost(10), Qty(10), Qty(8))));
}
