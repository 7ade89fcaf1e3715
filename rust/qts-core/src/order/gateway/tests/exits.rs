//! Who may sell.

use super::*;

fn leased(limit: i64, qty: i64, lease: u64) -> Wish {
    let terms = Terms { lease, ..terms(ActionClass::ProtectiveExit) };
    Wish { terms, ..sell(limit, qty) }
}

#[test]
fn one_exit_is_outstanding_and_the_stronger_takes_it() {
    let mut gateway = gateway(10_000_000);
    let claim =
        |gateway: &mut Gateway, holder, qty| gateway.claim_exit(SAMSUNG, Track::Scalp, holder, Qty(qty), T);
    assert_eq!(claim(&mut gateway, Holder::Loop, 1), Err(Refusal::NothingToSell));
    holding(&mut gateway, 10);
    for (at, holder) in Holder::ALL.into_iter().enumerate() {
        let (lease, qty) = claim(&mut gateway, holder, 20).unwrap();
        assert_eq!(qty, Qty(10));
        assert_eq!(gateway.exit_of(SAMSUNG, Track::Scalp), Some((holder, lease, Qty(0), false)));
        for weaker in &Holder::ALL[..=at] {
            assert_eq!(claim(&mut gateway, *weaker, 1), Err(Refusal::ExitTaken));
        }
    }
    let (_, lease, ..) = gateway.exit_of(SAMSUNG, Track::Scalp).unwrap();
    gateway.block_exit(lease, true);
    assert_eq!(gateway.exit_of(SAMSUNG, Track::Scalp), Some((Holder::Loop, lease, Qty(0), true)));
    gateway.release_exit(lease - 1);
    assert!(gateway.exit_of(SAMSUNG, Track::Scalp).is_some(), "that lease was gone");
    gateway.release_exit(lease);
    assert_eq!(gateway.exit_of(SAMSUNG, Track::Scalp), None);
    assert_eq!(gateway.exit_of(SAMSUNG, Track::Swing), None);
}

#[test]
fn what_the_weaker_has_in_flight_stays_counted() {
    let mut gateway = gateway(10_000_000);
    holding(&mut gateway, 10);
    let (weak, _) = gateway.claim_exit(SAMSUNG, Track::Scalp, Holder::Execution, Qty(10), T).unwrap();
    let id = place(&mut gateway, &leased(70_000, 6, weak));
    let waiting = gateway.request(&leased(69_900, 4, weak), T).unwrap();
    let (strong, now) = gateway.claim_exit(SAMSUNG, Track::Scalp, Holder::Loop, Qty(10), T).unwrap();
    assert_eq!(now, Qty(0), "everything is in flight");
    assert_eq!(gateway.redeem(waiting, T), Err(Refusal::LeaseLost));
    assert_eq!(why(gateway.request(&leased(70_000, 1, weak), T)), Refusal::LeaseLost);
    assert_eq!(why(gateway.request(&leased(70_000, 5, strong), T)), Refusal::InsufficientPosition);
    place(&mut gateway, &leased(70_000, 4, strong));
    gateway.on_answer(id, Answer::Lost, T).unwrap();
    assert_eq!(why(gateway.request(&leased(70_000, 1, strong), T)), Refusal::InsufficientPosition);
    gateway.on_fill(&fill(id, "a", 2, 70_000), T).unwrap();
    gateway.on_answer(id, Answer::Cancelled, T).unwrap();
    place(&mut gateway, &leased(70_000, 3, strong));
    assert_eq!(gateway.exit_of(SAMSUNG, Track::Scalp).unwrap().2, Qty(7));
}

#[test]
fn a_lease_sells_no_more_than_was_asked_for() {
    let mut gateway = gateway(10_000_000);
    holding(&mut gateway, 10);
    let (lease, qty) = gateway.claim_exit(SAMSUNG, Track::Scalp, Holder::Execution, Qty(6), T).unwrap();
    assert_eq!(qty, Qty(6));
    let id = place(&mut gateway, &leased(70_000, 4, lease));
    assert_eq!(gateway.lease_of(id), Some(lease));
    gateway.on_fill(&fill(id, "a", 4, 70_000), T).unwrap();
    assert_eq!(why(gateway.request(&leased(70_000, 3, lease), T)), Refusal::InsufficientPosition);
    place(&mut gateway, &leased(70_000, 2, lease));
}

#[test]
fn strategies_sell_without_a_lease_until_somebody_stronger_holds_the_exit() {
    let mut gateway = gateway(10_000_000);
    holding(&mut gateway, 10);
    let plain = Wish::plain(order(Side::Sell, 70_000, 2));
    place(&mut gateway, &plain);
    gateway.claim_exit(SAMSUNG, Track::Scalp, Holder::Strategy, Qty(1), T).unwrap();
    place(&mut gateway, &plain);
    let (lease, qty) = gateway.claim_exit(SAMSUNG, Track::Scalp, Holder::Execution, Qty(9), T).unwrap();
    assert_eq!(qty, Qty(6));
    assert_eq!(why(gateway.request(&plain, T)), Refusal::ExitTaken);
    gateway.release_exit(lease);
    place(&mut gateway, &plain);
}
