//! Orders that leave with a permit of their own, and timers.

use super::*;
use crate::event::EndReason;
use crate::order::gateway::{Permit, Wish};
use crate::order::{OrderState, Refusal, Terms};
use crate::safety::codes::FS040;
use crate::safety::{ActionClass, Flags, ProtectiveExits, SafetyWord, State};

fn wish(request: OrderRequest) -> Wish {
    let action = if request.side == Side::Buy { ActionClass::Entry } else { ActionClass::ProtectiveExit };
    Wish { request, terms: Terms { action, hold: 0, lease: 0 }, is_told_apart: false }
}

fn permit(engine: &StepEngine<ManualClock>, request: OrderRequest) -> Permit {
    engine.gateway().request(&wish(request), engine.now_ns()).unwrap()
}

/// (time in ms, what) of answers, fills, ends and timers.
fn told(
    engine: &mut StepEngine<ManualClock>,
    mut on_item: impl FnMut(&mut StepEngine<ManualClock>, &Yield),
) -> Vec<(i64, String)> {
    engine.set_interest(Interest { ticks: true, p0: true, cycles: true, answers: true, timers: true });
    let mut seen = Vec::new();
    loop {
        let item = engine.advance(i64::MAX, 1_000).unwrap();
        let what = match &item {
            Yield::Answer { order, answer } => Some(format!("{} {}", answer.name(), order.0)),
            Yield::Timer => Some("timer".to_owned()),
            Yield::Tick(_) => Some("tick".to_owned()),
            Yield::Cycle { .. } => Some("cycle".to_owned()),
            Yield::P0(event) => Some(match &event.payload {
                P0Payload::Fill(fill) => format!("fill {} {}@{}", fill.order.0, fill.qty.0, fill.price.0),
                P0Payload::OrderEnd(end) => format!("{} {}", end.reason.name(), end.order.0),
                other => format!("{other:?}"),
            }),
            Yield::Pause | Yield::Reached => None,
            Yield::End => return seen,
        };
        seen.extend(what.map(|what| (engine.now_ns() / MS, what)));
        on_item(engine, &item);
    }
}

fn without(seen: Vec<(i64, String)>, words: &[&str]) -> Vec<(i64, String)> {
    seen.into_iter().filter(|(_, what)| !words.contains(&what.as_str())).collect()
}

#[test]
fn an_order_is_placed_amended_and_cancelled_by_permits_and_every_answer_is_told() {
    let quotes = (0..20).map(|at| quote(at * 10, 70_000, 70_100)).collect();
    let mut engine = engine(quotes, 1, 0);
    let seen = told(&mut engine, |engine, item| match item {
        Yield::Tick(_) if engine.now_ns() == 0 => {
            let mut place = permit(engine, buy(69_000, 10));
            engine.send(&mut place).unwrap();
        }
        Yield::Answer { order, answer: Answer::Acknowledged } => {
            let to = (Price(69_500), Qty(8));
            let mut amend =
                engine.gateway().request_amend(*order, to, ActionClass::Entry, engine.now_ns()).unwrap();
            engine.send(&mut amend).unwrap();
        }
        Yield::Answer { order, answer: Answer::Amended } => {
            assert_eq!(engine.gateway().lock().orders().reserved(), Money(8 * 69_500 + 84));
            let mut cancel = engine.gateway().request_cancel(*order, engine.now_ns()).unwrap();
            engine.send(&mut cancel).unwrap();
        }
        _ => {}
    });
    let expected = said(&[(2, "ACCEPTED 1"), (4, "AMENDED 1"), (6, "USER_CANCEL 1")]);
    assert_eq!(without(seen, &["tick", "cycle"]), expected);
    assert_eq!(engine.gateway().lock().orders().reserved(), Money(0));
}

#[test]
fn an_amendment_that_reaches_the_market_fills_and_one_that_comes_too_late_is_refused() {
    let mut engine = engine((0..20).map(|at| quote(at * 10, 70_000, 70_100)).collect(), 1, 0);
    let seen = told(&mut engine, |engine, item| match item {
        Yield::Tick(_) if engine.now_ns() == 0 => {
            let mut place = permit(engine, buy(69_000, 10));
            engine.send(&mut place).unwrap();
        }
        Yield::Answer { order, answer: Answer::Acknowledged } => {
            let to = (Price(70_100), Qty(10));
            let mut amend =
                engine.gateway().request_amend(*order, to, ActionClass::Entry, engine.now_ns()).unwrap();
            engine.send(&mut amend).unwrap();
            // It is filled by the time this cancel arrives.
            let mut cancel = engine.gateway().request_cancel(*order, engine.now_ns()).unwrap();
            engine.send(&mut cancel).unwrap();
        }
        _ => {}
    });
    let expected =
        said(&[(2, "ACCEPTED 1"), (4, "AMENDED 1"), (4, "fill 1 10@70100"), (4, "CANCEL_REFUSED 1")]);
    assert_eq!(without(seen, &["tick", "cycle"]), expected);
    let gateway = engine.gateway().lock();
    assert_eq!(gateway.orders().known(OrderId(1)).unwrap().state, OrderState::Filled);
    assert_eq!(gateway.orders().reserved(), Money(0));
}

#[test]
fn what_the_venue_cannot_amend_stays_as_it_was() {
    let mut engine = engine((0..9).map(|at| quote(at * 10, 70_000, 70_100)).collect(), 5, 0);
    let seen = told(&mut engine, |engine, item| match item {
        Yield::Tick(_) if engine.now_ns() == 0 => {
            let mut place = permit(engine, buy(70_100, 120));
            engine.send(&mut place).unwrap();
        }
        // 100 fill at once; at the venue the rest fills with the quote at 20 while the amendment is on its way.
        Yield::Answer { order, answer: Answer::Acknowledged } => {
            let to = (Price(70_000), Qty(110));
            let mut amend =
                engine.gateway().request_amend(*order, to, ActionClass::Entry, engine.now_ns()).unwrap();
            engine.send(&mut amend).unwrap();
        }
        _ => {}
    });
    let orders: Vec<_> = without(seen, &["tick", "cycle"]).into_iter().map(|(_, what)| what).collect();
    assert_eq!(orders[..2], ["ACCEPTED 1", "fill 1 100@70100"]);
    assert!(orders.iter().any(|what| what == "AMENDED 1" || what == "AMEND_REFUSED 1"), "{orders:?}");
    assert_eq!(engine.gateway().lock().orders().reserved(), Money(0));
}

#[test]
fn nothing_is_sent_without_a_permit_that_stands() {
    let mut engine = engine(vec![quote(0, 70_000, 70_100), quote(10, 70_000, 70_100)], 1, 0);
    let word = Arc::new(SafetyWord::new(ProtectiveExits::TrustedOnly));
    engine.gateway().lock().attach_safety(Arc::clone(&word));
    engine.advance(0, 10).unwrap();
    let mut twice = permit(&engine, buy(69_000, 1));
    engine.send(&mut twice).unwrap();
    assert!(matches!(engine.send(&mut twice), Err(SessionError::Permit(Refusal::PermitUsed))));
    let mut raised = permit(&engine, buy(69_000, 2));
    word.raise(State::Fail, Flags::NONE, &FS040, 1);
    assert!(matches!(engine.send(&mut raised), Err(SessionError::Permit(Refusal::SafetyBlocked))));
    let other = super::engine(vec![quote(0, 70_000, 70_100)], 1, 0);
    let mut foreign = permit(&other, buy(69_000, 1));
    assert!(matches!(engine.send(&mut foreign), Err(SessionError::WrongPermit(_))));
    // A strategy's order is held against the same word.
    let refused = engine.submit(buy(69_000, 1)).unwrap();
    let state = engine.gateway().lock().orders().reserved();
    assert_eq!(state, Money(69_011));
    let seen = drive(&mut engine, |_, _| {});
    assert!(
        seen.iter().any(|(_, what)| what.ends_with(EndReason::SafetyBlocked.name())),
        "{refused:?} {seen:?}"
    );
}

#[test]
fn timers_fire_between_records_and_behind_them_at_one_instant() {
    let mut engine = engine([0, 10, 20, 30].map(|at| quote(at, 70_000, 70_100)).into(), 1, 20);
    let mut first = true;
    let seen = told(&mut engine, |engine, _| {
        if std::mem::take(&mut first) {
            for at_ms in [20, 5, 20, 15] {
                engine.set_timer(SAMSUNG, at_ms * MS);
            }
        }
    });
    let expected = said(&[
        (0, "tick"),
        (0, "cycle"),
        (5, "timer"),
        (10, "tick"),
        (15, "timer"),
        (20, "tick"),
        (20, "timer"),
        (20, "cycle"),
        (30, "tick"),
    ]);
    assert_eq!(seen[..9], expected[..]);
}

#[test]
fn a_timer_of_an_instrument_without_quotes_waits_for_its_record_and_what_that_did() {
    let records = [0, 10, 1_000].map(|at| print(at, TickKind::Trade, 70_000)).into();
    let mut engine = engine(records, 2, 0);
    engine.gateway().lock().credit(None, Money(20_000_000)).unwrap();
    let mut first = true;
    let seen = told(&mut engine, |engine, item| {
        if std::mem::take(&mut first) {
            engine.set_timer(SAMSUNG, 11 * MS);
            let mut place = permit(engine, buy(70_000, 300));
            engine.send(&mut place).unwrap();
        }
        if matches!(item, Yield::Timer) {
            assert_eq!(engine.gateway().lock().book().position(SAMSUNG, Track::Scalp).qty, Qty(200));
        }
    });
    let expected = said(&[
        (4, "ACCEPTED 1"),
        (12, "fill 1 100@70000"),
        (1_002, "fill 1 100@70000"),
        (1_002, "timer"),
        (1_004, "SESSION_END 1"),
    ]);
    assert_eq!(without(seen, &["tick", "cycle"]), expected);
}

#[test]
fn what_is_pending_when_the_data_end_fires_before_the_last_cycle() {
    let records = [0, 10].map(|at| print(at, TickKind::Trade, 70_000)).into();
    let mut engine = engine(records, 0, 0);
    let mut fired = 0;
    let seen = told(&mut engine, |engine, item| {
        match item {
            Yield::Tick(_) if engine.now_ns() == 0 => engine.set_timer(SAMSUNG, 50 * MS),
            Yield::Timer => {
                fired += 1;
                // One within what was pending, one behind it; and whoever asks for ever gets no answer for ever.
                engine.set_timer(SAMSUNG, engine.now_ns() + 40 * MS);
            }
            Yield::Tick(_) => engine.set_timer(SAMSUNG, 20 * MS),
            _ => {}
        }
    });
    let expected = said(&[(0, "tick"), (10, "tick"), (20, "timer"), (50, "timer"), (50, "cycle")]);
    assert_eq!(seen, expected);
    assert_eq!(fired, 2);
}
