//! Orders from the wish to the end: gates, permits, answers and fills.

use super::*;

#[test]
fn a_permit_is_good_for_one_message_and_for_a_second() {
    let mut gateway = gateway(10_000_000);
    let ticket = gateway.request(&buy(70_000, 10), T).unwrap();
    assert_eq!(state(&gateway, ticket.order()), OrderState::Validated);
    let message = gateway.redeem(ticket, T + 1_000 * MS).unwrap();
    assert_eq!((message.limit, message.qty, message.broker_no.as_str()), (Price(70_000), Qty(10), ""));
    assert_eq!(state(&gateway, message.order), OrderState::Submitted);
    let late = gateway.request(&buy(69_900, 10), T).unwrap();
    let id = late.order();
    assert_eq!(gateway.redeem(late, T + 1_000 * MS + 1), Err(Refusal::PermitExpired));
    assert_eq!(state(&gateway, id), OrderState::Rejected);
    assert_eq!(gateway.orders().reserved(), gateway.hold_of(message.order));
}

#[test]
fn a_permit_that_is_dropped_is_void() {
    let shared = SharedGateway::new(gateway(10_000_000));
    let permit = shared.request(&buy(70_000, 10), T).unwrap();
    let id = permit.order();
    assert!(shared.lock().orders().reserved().0 > 0);
    drop(permit);
    assert_eq!(shared.lock().orders().reserved(), Money(0));
    assert_eq!(state(&shared.lock(), id), OrderState::Rejected);
    assert_eq!(shared.lock().open_permits(), 0);
}

#[test]
fn what_changes_between_request_and_write_is_seen() {
    let word = Arc::new(SafetyWord::new(ProtectiveExits::TrustedOnly));
    let mut gateway = gateway(30_000_000);
    gateway.attach_safety(Arc::clone(&word));
    gateway.fund_pools([Money(30_000_000), Money(0), Money(0)]).unwrap();
    holding(&mut gateway, 10);
    let frozen = gateway.request(&buy(70_000, 1), T).unwrap();
    let blocked = gateway.request(&buy(70_000, 2), T).unwrap();
    let raised = gateway.request(&buy(70_000, 3), T).unwrap();
    let leased = gateway.request(&sell(70_000, 4), T).unwrap();
    let held = gateway.orders().reserved();
    gateway.freeze(SAMSUNG, "doubt", true);
    gateway.freeze(SAMSUNG, "other", true);
    assert_eq!(gateway.redeem(frozen, T), Err(Refusal::SymbolFrozen));
    gateway.freeze(SAMSUNG, "doubt", false);
    assert_eq!(gateway.freezes(SAMSUNG).collect::<Vec<_>>(), ["other"]);
    assert_eq!(why(gateway.request(&buy(70_000, 1), T)), Refusal::SymbolFrozen);
    gateway.freeze(SAMSUNG, "other", false);
    gateway.block_entries(Track::Scalp, true).unwrap();
    assert_eq!(gateway.redeem(blocked, T), Err(Refusal::PoolBlocked));
    gateway.block_entries(Track::Scalp, false).unwrap();
    word.raise(State::Fail, Flags::NONE, &FS040, 1);
    assert_eq!(gateway.redeem(raised, T), Err(Refusal::SafetyBlocked));
    gateway.claim_exit(SAMSUNG, Track::Scalp, Holder::Loop, Qty(1), T).unwrap();
    assert_eq!(gateway.redeem(leased, T), Err(Refusal::ExitTaken));
    assert!(held.0 > 0);
    assert_eq!(gateway.orders().reserved(), Money(0));
    assert_eq!(gateway.exposure(SAMSUNG, Track::Scalp), (10, 10));
}

#[test]
fn purchases_are_entries_and_sales_reduce() {
    let mut gateway = gateway(10_000_000);
    let as_exit = Wish { terms: terms(ActionClass::TrustedExit), ..buy(70_000, 1) };
    assert_eq!(why(gateway.request(&as_exit, T)), Refusal::ActionInvalid);
    let as_entry = Wish { terms: terms(ActionClass::Entry), ..sell(70_000, 1) };
    assert_eq!(why(gateway.request(&as_entry, T)), Refusal::ActionInvalid);
    assert_eq!(why(gateway.request(&sell(70_000, 1), T)), Refusal::InsufficientPosition);
}

#[test]
fn equal_orders_are_never_in_doubt_together() {
    let mut gateway = gateway(100_000_000);
    let first = place(&mut gateway, &buy(70_000, 10));
    assert_eq!(why(gateway.request(&buy(70_000, 10), T)), Refusal::EqualInDoubt);
    for other in [buy(70_000, 11), buy(69_900, 10)] {
        place(&mut gateway, &other);
    }
    gateway.on_answer(first, Answer::Lost, T).unwrap();
    assert_eq!(state(&gateway, first), OrderState::Unknown);
    assert_eq!(why(gateway.request(&buy(70_000, 10), T)), Refusal::EqualInDoubt);
    gateway.on_answer(first, Answer::Acknowledged, T).unwrap();
    place(&mut gateway, &buy(70_000, 10));
    // Where the venue knows our ids, there is no doubt.
    let plain = Wish::plain(order(Side::Buy, 70_000, 10));
    place(&mut gateway, &plain);
}

#[test]
fn cancels_wait_last_and_entries_first_for_the_broker() {
    let mut gateway = gateway_with(i64::MAX / 2, GatewayConfig::default());
    let entries = (0..9).take_while(|at| gateway.request(&buy(70_000, 1 + at), T).map(drop).is_ok()).count();
    assert_eq!(entries, 4, "the rest is kept for exits and cancels");
    let (_, refused) = gateway.request(&buy(70_000, 99), T).unwrap_err();
    assert_eq!(refused, Refused { reason: Refusal::RateLimit, retry_at_ns: T + 125 * MS });
    assert!(gateway.request(&buy(70_000, 99), T + 125 * MS - 1).is_err());
    assert!(gateway.request(&buy(70_000, 99), T + 125 * MS).is_ok());
}

#[test]
fn exits_leave_their_reserve_to_cancels() {
    let mut gateway = gateway_with(i64::MAX / 2, GatewayConfig::default());
    holding(&mut gateway, 100);
    let ids: Vec<OrderId> = (0..5).map(|at| place(&mut gateway, &sell(70_000, 1 + at))).collect();
    assert_eq!(why(gateway.request(&sell(70_000, 9), T)), Refusal::RateLimit);
    for (at, &id) in ids.iter().enumerate() {
        gateway.on_answer(id, Answer::Acknowledged, T).unwrap();
        assert!(gateway.note_number(id, &at.to_string()));
    }
    let cancels = ids.iter().take_while(|&&id| gateway.request_cancel(id, T).map(drop).is_ok()).count();
    assert_eq!(cancels, 2);
    let refused = gateway.request_cancel(ids[4], T).unwrap_err();
    assert_eq!((refused.reason, refused.retry_at_ns), (Refusal::RateLimit, T + 125 * MS));
}

#[test]
fn a_token_comes_back_with_a_permit_that_is_not_used() {
    let mut gateway = gateway_with(i64::MAX / 2, GatewayConfig::default());
    for _ in 0..20 {
        let ticket = gateway.request(&buy(70_000, 1), T).unwrap();
        gateway.void(ticket);
    }
}

#[test]
fn reserves_leave_something_to_entries() {
    let config = GatewayConfig { orders_per_s: 4, ..GatewayConfig::default() };
    let table = Arc::new(krx_table(&["005930"]));
    assert_eq!(
        Gateway::new(table, Money(0), config).unwrap_err(),
        GatewayConfigError { reserves: 4, orders_per_s: 4 }
    );
}

#[test]
fn a_fill_is_booked_once_whatever_its_name_looks_like() {
    let mut gateway = gateway(10_000_000);
    let id = place(&mut gateway, &buy(70_000, 10));
    for (event, qty) in [("7", 2), ("07", 3), ("7 ", 1)] {
        let outcome = gateway.on_fill(&fill(id, event, qty, 70_000), T).unwrap();
        assert_eq!(outcome.state, FillState::Order(OrderState::Partial));
        let again = gateway.on_fill(&fill(id, event, qty, 70_000), T).unwrap();
        assert_eq!((again.state, again.cumulative), (FillState::Duplicate, outcome.cumulative));
        assert_eq!(again.fill, None);
    }
    assert_eq!(gateway.exposure(SAMSUNG, Track::Scalp), (10, 6));
}

#[test]
fn fills_that_nobody_was_to_have_are_booked_and_told() {
    let mut gateway = gateway(10_000_000);
    let id = place(&mut gateway, &buy(70_000, 10));
    gateway.on_answer(id, Answer::Acknowledged, T).unwrap();
    gateway.on_answer(id, Answer::Cancelled, T).unwrap();
    let late = gateway.on_fill(&fill(id, "a", 4, 70_000), T).unwrap();
    assert_eq!((late.state, late.cumulative, late.position), (FillState::Late, Qty(4), Qty(4)));
    let over = gateway.on_fill(&fill(id, "b", 7, 70_000), T).unwrap();
    assert_eq!((over.state, over.cumulative, over.position), (FillState::Overfill, Qty(11), Qty(11)));
    let working = place(&mut gateway, &buy(70_000, 5));
    let more = gateway.on_fill(&fill(working, "c", 6, 70_000), T).unwrap();
    assert_eq!((more.state, more.remaining, more.position), (FillState::Overfill, Qty(0), Qty(17)));
    assert_eq!(state(&gateway, working), OrderState::Filled);
    assert_eq!(gateway.orders().reserved(), Money(0));
    assert_eq!(gateway.book().account().cash, Money(10_000_000 - 17 * 70_000 - 42 - 73 - 63));
    assert_eq!(
        gateway.on_fill(&fill(OrderId(99), "d", 1, 70_000), T),
        Err(OrderError::NotWorking(OrderId(99)))
    );
}

#[test]
fn more_sold_than_held_moves_the_money_and_leaves_the_position_flat() {
    let mut gateway = gateway(10_000_000);
    holding(&mut gateway, 10);
    let id = place(&mut gateway, &sell(70_000, 10));
    // What is held goes another way meanwhile.
    gateway.restore_position(SAMSUNG, Track::Scalp, crate::shadow::Position::default()).unwrap();
    let cash = gateway.book().account().cash;
    let outcome = gateway.on_fill(&fill(id, "a", 10, 70_000), T).unwrap();
    assert_eq!((outcome.state, outcome.position), (FillState::Oversold, Qty(0)));
    assert_eq!(gateway.oversold().collect::<Vec<_>>(), [(SAMSUNG, Track::Scalp, Qty(10))]);
    assert_eq!(gateway.book().account().cash, Money(cash.0 + 700_000 - 105 - 1_400));
    assert_eq!(gateway.book().account().realized, Money(-1_505));
    gateway.explain_oversold(SAMSUNG, Track::Scalp);
    assert_eq!(gateway.oversold().count(), 0);
}

#[test]
fn an_amendment_holds_for_the_dearer_side_until_its_answer() {
    let mut gateway = gateway(10_000_000);
    let id = place(&mut gateway, &buy(70_000, 10));
    let not_yet = gateway.request_amend(id, (Price(70_100), Qty(10)), ActionClass::Entry, T).unwrap_err();
    assert_eq!(not_yet.reason, Refusal::NotWorking);
    gateway.on_answer(id, Answer::Acknowledged, T).unwrap();
    gateway.note_number(id, "1");
    let old = gateway.orders().reserved();
    let ticket = gateway.request_amend(id, (Price(70_100), Qty(12)), ActionClass::Entry, T).unwrap();
    let both = Money(12 * 70_100 + 127);
    assert_eq!(gateway.orders().reserved(), both);
    gateway.void(ticket);
    assert_eq!(gateway.orders().reserved(), old);
    let ticket = gateway.request_amend(id, (Price(70_100), Qty(12)), ActionClass::Entry, T).unwrap();
    let twice = gateway.request_amend(id, (Price(70_200), Qty(12)), ActionClass::Entry, T).unwrap_err();
    assert_eq!(twice.reason, Refusal::AmendInFlight);
    let message = gateway.redeem(ticket, T).unwrap();
    assert_eq!((message.limit, message.qty, message.broker_no.as_str()), (Price(70_100), Qty(12), "1"));
    gateway.on_answer(id, Answer::Lost, T).unwrap();
    assert_eq!((state(&gateway, id), gateway.orders().reserved()), (OrderState::Accepted, both));
    assert!(gateway.orders().known(id).unwrap().amend.unwrap().is_in_doubt);
    // More than the old quantity fills: it must have gone through.
    let outcome = gateway.on_fill(&fill(id, "a", 11, 70_100), T).unwrap();
    assert_eq!((outcome.state, outcome.remaining), (FillState::Order(OrderState::Partial), Qty(1)));
    gateway.note_number(id, "2");
    gateway.on_answer(id, Answer::Amended, T).unwrap();
    assert_eq!(
        gateway.on_fill(&fill(id, "b", 1, 70_000), T).unwrap().state,
        FillState::Order(OrderState::Filled)
    );
    assert_eq!((gateway.find("1"), gateway.find("2")), (Some(id), Some(id)));
    assert_eq!((gateway.number_of(id), gateway.orders().reserved()), ("2", Money(0)));
}

#[test]
fn an_amendment_to_less_than_has_filled_by_then_ends_the_order() {
    let mut gateway = gateway(10_000_000);
    let id = place(&mut gateway, &buy(70_000, 10));
    gateway.on_answer(id, Answer::Acknowledged, T).unwrap();
    let ticket = gateway.request_amend(id, (Price(70_000), Qty(5)), ActionClass::Entry, T).unwrap();
    gateway.redeem(ticket, T).unwrap();
    gateway.on_fill(&fill(id, "a", 5, 70_000), T).unwrap();
    assert_eq!(state(&gateway, id), OrderState::Partial);
    gateway.on_answer(id, Answer::Amended, T).unwrap();
    assert_eq!(state(&gateway, id), OrderState::Filled);
    assert_eq!(gateway.orders().reserved(), Money(0));
}

#[test]
fn a_cancel_that_is_lost_or_refused_leaves_the_order_working() {
    let mut gateway = gateway(10_000_000);
    let id = place(&mut gateway, &buy(70_000, 10));
    let early = gateway.request_cancel(id, T).unwrap_err();
    assert_eq!((early.reason, early.retry_at_ns), (Refusal::NoNumber, T + 50 * MS));
    gateway.on_answer(id, Answer::Acknowledged, T).unwrap();
    gateway.note_number(id, "1");
    let ticket = gateway.request_cancel(id, T).unwrap();
    gateway.redeem(ticket, T).unwrap();
    gateway.on_answer(id, Answer::Lost, T).unwrap();
    assert_eq!(state(&gateway, id), OrderState::CancelPending);
    assert!(gateway.orders().known(id).unwrap().is_cancel_in_doubt);
    gateway.on_answer(id, Answer::CancelRefused, T).unwrap();
    assert_eq!(state(&gateway, id), OrderState::Accepted);
    gateway.on_fill(&fill(id, "a", 1, 70_000), T).unwrap();
    let ticket = gateway.request_cancel(id, T).unwrap();
    gateway.redeem(ticket, T).unwrap();
    gateway.on_answer(id, Answer::CancelRefused, T).unwrap();
    assert_eq!(state(&gateway, id), OrderState::Partial);
    gateway.on_answer(id, Answer::Cancelled, T).unwrap();
    assert_eq!(gateway.on_answer(id, Answer::Acknowledged, T).unwrap().state, OrderState::Cancelled);
    assert_eq!(gateway.request_cancel(id, T).unwrap_err().reason, Refusal::NotWorking);
}

#[test]
fn safety_takes_what_its_matrix_says_to_an_amendment() {
    let word = Arc::new(SafetyWord::new(ProtectiveExits::TrustedOnly));
    let mut gateway = gateway(30_000_000);
    gateway.attach_safety(Arc::clone(&word));
    holding(&mut gateway, 10);
    let (entry, exit) = (place(&mut gateway, &buy(69_000, 1)), place(&mut gateway, &sell(71_000, 4)));
    for id in [entry, exit] {
        gateway.on_answer(id, Answer::Acknowledged, T).unwrap();
    }
    word.raise(State::Fail, Flags::NONE, &FS040, 1);
    let amend = |gateway: &mut Gateway, id, limit: i64, qty: i64, action| {
        let ticket = gateway.request_amend(id, (Price(limit), Qty(qty)), action, T);
        ticket.map(|ticket| gateway.void(ticket)).map_err(|refused| refused.reason)
    };
    let refused = Err(Refusal::SafetyBlocked);
    assert_eq!(amend(&mut gateway, entry, 69_100, 1, ActionClass::Entry), refused);
    assert_eq!(amend(&mut gateway, exit, 71_100, 4, ActionClass::ProtectiveExit), refused);
    assert_eq!(amend(&mut gateway, exit, 70_900, 4, ActionClass::ProtectiveExit), Ok(()));
    word.raise(State::Lockdown, Flags::NONE, &FS040, 1);
    assert_eq!(amend(&mut gateway, exit, 70_900, 4, ActionClass::ProtectiveExit), refused);
    assert_eq!(amend(&mut gateway, exit, 70_900, 4, ActionClass::RunningExit), Ok(()));
}

fn row(number: &str, qty: i64, limit: i64, ts_ns: i64) -> Listed {
    Listed {
        broker_no: number.to_owned(),
        original_no: String::new(),
        symbol: "005930".to_owned(),
        side: Side::Buy,
        kind: OrderKind::Limit,
        qty: Qty(qty),
        limit: Price(limit),
        ts_ns,
    }
}

#[test]
fn an_order_in_doubt_is_found_by_what_it_looks_like_within_its_window() {
    let mut gateway = gateway(10_000_000);
    let id = place(&mut gateway, &buy(70_000, 10));
    gateway.on_answer(id, Answer::Lost, T).unwrap();
    let found = |number: &str| Some(Match::Found(number.to_owned()));
    let fits = row("1", 10, 70_000, T + 10_000 * MS);
    assert_eq!(gateway.resolve(id, std::slice::from_ref(&fits)), found("1"));
    let others = [
        row("2", 11, 70_000, T),
        row("3", 10, 69_900, T),
        row("4", 10, 70_000, T - 2_000 * MS - 1),
        row("5", 10, 70_000, T + 10_000 * MS + 1),
        Listed { side: Side::Sell, ..row("6", 10, 70_000, T) },
        Listed { symbol: "000660".to_owned(), ..row("7", 10, 70_000, T) },
        Listed { kind: OrderKind::Market, ..row("8", 10, 70_000, T) },
        Listed { original_no: "1".to_owned(), ..row("9", 10, 70_000, T) },
    ];
    assert_eq!(gateway.resolve(id, &others), Some(Match::Absent));
    assert_eq!(gateway.resolve(id, &[fits.clone(), row("10", 10, 70_000, T)]), Some(Match::Ambiguous));
    // The other of the two is ours: it is no candidate any more.
    let other = place(&mut gateway, &Wish { is_told_apart: true, ..buy(70_000, 10) });
    assert_eq!(
        gateway.resolve(id, std::slice::from_ref(&fits)),
        Some(Match::Ambiguous),
        "it could be either"
    );
    gateway.note_number(other, "10");
    gateway.on_answer(other, Answer::Acknowledged, T).unwrap();
    assert_eq!(gateway.resolve(id, &[fits, row("10", 10, 70_000, T)]), found("1"));
    gateway.on_answer(id, Answer::Rejected(true), T).unwrap();
    assert!(gateway.orders().known(id).unwrap().is_not_received);
    assert_eq!(gateway.orders().reserved().0, gateway.hold_of(other).0);
}

#[test]
fn what_is_unknown_counts_on_the_side_that_hurts() {
    let mut gateway = gateway(100_000_000);
    holding(&mut gateway, 10);
    let (bought, sold) = (place(&mut gateway, &buy(70_000, 5)), place(&mut gateway, &sell(70_000, 4)));
    for id in [bought, sold] {
        gateway.on_answer(id, Answer::Lost, T).unwrap();
    }
    assert_eq!(gateway.exposure(SAMSUNG, Track::Scalp), (15, 6));
    assert_eq!(why(gateway.request(&sell(70_000, 7), T)), Refusal::InsufficientPosition);
    assert_eq!(gateway.exposure(HYNIX, Track::Scalp), (0, 0));
}

#[test]
fn orders_of_yesterday_are_forgotten_with_their_numbers() {
    let mut gateway = gateway(10_000_000);
    let (ended, working) = (place(&mut gateway, &buy(70_000, 1)), place(&mut gateway, &buy(70_000, 2)));
    gateway.note_number(ended, "1");
    gateway.note_number(working, "2");
    assert!(!gateway.note_number(working, "1"), "a number belongs to one order");
    gateway.on_fill(&fill(ended, "a", 1, 70_000), T).unwrap();
    gateway.new_day();
    assert_eq!((gateway.find("1"), gateway.find("2")), (None, Some(working)));
    assert!(gateway.orders().known(ended).is_none());
    assert!(gateway.note_number(working, "1"));
}
