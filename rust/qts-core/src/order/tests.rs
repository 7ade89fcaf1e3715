#![allow(clippy::arithmetic_side_effects, reason = "an overflow here fails the test")]

use proptest::prelude::*;

use super::*;
use crate::event::{EndReason, OrderId, Side, Track};
use crate::fixed::{Money, Price, Qty};
use crate::instrument::{Instrument, InstrumentId};
use crate::safety::ActionClass;
use crate::sim::matcher::{OrderKind, TimeInForce};
use crate::testing::krx_share;

fn buy(limit: i64, qty: i64) -> OrderRequest {
    OrderRequest {
        instrument: InstrumentId(0),
        track: Track::Scalp,
        side: Side::Buy,
        kind: OrderKind::Limit,
        tif: TimeInForce::Day,
        limit: Price(limit),
        qty: Qty(qty),
    }
}

fn sell(limit: i64, qty: i64) -> OrderRequest {
    OrderRequest { side: Side::Sell, ..buy(limit, qty) }
}

fn holding(cash: i64, position: i64) -> Holdings {
    Holdings { cash: Money(cash), position: Qty(position), pool: None }
}

/// Through the gate and on its way.
fn admit(table: &mut OrderTable, request: OrderRequest, holdings: Holdings) -> Result<OrderId, EndReason> {
    let terms = Terms { action: ActionClass::Entry, hold: 0, lease: 0 };
    let order = table.admit(request, terms, &samsung(), holdings, 0);
    let id = order.map(|order| order.id).map_err(|(_, reason)| reason.end_reason())?;
    table.on(id, OrderEvent::Sent).unwrap();
    Ok(id)
}

fn samsung() -> Instrument {
    krx_share("005930")
}

/// Spec 02 §7.5 and what it leaves open, row by row: whatever is not here is refused.
const TABLE: [(&[OrderState], OrderEvent, OrderState); 19] = {
    use OrderEvent as E;
    use OrderState as S;
    [
        (&[S::Created], E::GatePassed, S::Validated),
        (&[S::Created, S::Validated], E::GateFailed, S::Rejected),
        (&[S::Validated], E::Sent, S::Submitted),
        (&[S::Submitted, S::Unknown, S::Accepted], E::Acknowledged, S::Accepted),
        (&[S::Partial], E::Acknowledged, S::Partial),
        (&[S::CancelPending], E::Acknowledged, S::CancelPending),
        (&[S::Submitted, S::Unknown, S::Accepted, S::Partial, S::CancelPending], E::Refused, S::Rejected),
        (&[S::Submitted, S::Unknown], E::AnswerLost, S::Unknown),
        (&[S::Accepted], E::AnswerLost, S::Accepted),
        (&[S::Partial], E::AnswerLost, S::Partial),
        (&[S::CancelPending], E::AnswerLost, S::CancelPending),
        (&[S::Submitted, S::Accepted, S::Partial, S::Unknown], E::PartFilled, S::Partial),
        (&[S::CancelPending], E::PartFilled, S::CancelPending),
        (&[S::Submitted, S::Accepted, S::Partial, S::Unknown, S::CancelPending], E::FullyFilled, S::Filled),
        (&[S::Submitted, S::Accepted, S::Partial, S::CancelPending], E::CancelSent, S::CancelPending),
        (&[S::CancelPending], E::CancelRefused, S::Accepted),
        (&[S::CancelPending], E::CancelRefusedPartly, S::Partial),
        (
            &[S::Submitted, S::Accepted, S::Partial, S::CancelPending, S::Unknown],
            E::CancelConfirmed,
            S::Cancelled,
        ),
        (&[S::Submitted, S::Accepted, S::Partial, S::CancelPending, S::Unknown], E::SessionEnded, S::Expired),
    ]
};

#[test]
fn every_pair_of_state_and_event_is_as_the_table_says() {
    for from in OrderState::ALL {
        for event in OrderEvent::ALL {
            let row = TABLE.iter().find(|row| row.1 == event && row.0.contains(&from));
            let expected = row.map(|row| row.2).ok_or(OrderError::IllegalTransition { from, event });
            assert_eq!(from.on(event), expected);
            assert!(!from.is_terminal() || expected.is_err());
        }
    }
}

#[test]
fn a_fill_that_overtakes_its_acknowledgement_counts() {
    let part = OrderState::Submitted.on(OrderEvent::PartFilled).unwrap();
    assert_eq!(part, OrderState::Partial);
    assert_eq!(OrderState::CancelPending.on(OrderEvent::FullyFilled).unwrap(), OrderState::Filled);
}

#[test]
fn cash_cannot_be_promised_twice() {
    let mut table = OrderTable::default();
    // 10 x 70,000 + 1.5 bps rounded up = 700,105
    admit(&mut table, buy(70_000, 10), holding(1_400_209, 0)).unwrap();
    assert_eq!(table.reserved(), Money(700_105));
    let second = admit(&mut table, buy(70_000, 10), holding(1_400_209, 0));
    assert_eq!(second, Err(EndReason::InsufficientCash));
    assert_eq!(table.reserved(), Money(700_105));
    admit(&mut table, buy(70_000, 10), holding(1_400_210, 0)).unwrap();
}

#[test]
fn a_pool_binds_its_own_track_and_the_account_binds_all() {
    let mut table = OrderTable::default();
    let pool = |cash, spendable, is_blocked| Holdings {
        cash: Money(cash),
        position: Qty(10),
        pool: Some(PoolFunds { spendable: Money(spendable), is_blocked }),
    };
    let swing = OrderRequest { track: Track::Swing, ..buy(70_000, 10) };
    admit(&mut table, buy(70_000, 10), pool(i64::MAX, 1_400_209, false)).unwrap();
    let over = admit(&mut table, buy(70_000, 10), pool(i64::MAX, 1_400_209, false));
    assert_eq!(over, Err(EndReason::InsufficientCash));
    assert_eq!(admit(&mut table, swing, pool(i64::MAX, 700_104, false)), Err(EndReason::InsufficientCash));
    assert_eq!(admit(&mut table, swing, pool(1_400_209, 700_105, false)), Err(EndReason::InsufficientCash));
    admit(&mut table, swing, pool(1_400_210, 700_105, false)).unwrap();
    let held = *table.reserved_by_track();
    assert_eq!(Track::ALL.map(|track| held.of(track).0), [700_105, 700_105, 0]);
    let blocked = pool(i64::MAX, i64::MAX, true);
    assert_eq!(admit(&mut table, buy(70_000, 1), blocked), Err(EndReason::PoolBlocked));
    admit(&mut table, sell(70_000, 10), blocked).unwrap();
    assert_eq!(*table.reserved_by_track(), held);
}

#[test]
fn a_holding_cannot_be_sold_twice() {
    let mut table = OrderTable::default();
    admit(&mut table, sell(70_000, 6), holding(0, 10)).unwrap();
    assert_eq!(admit(&mut table, sell(70_000, 5), holding(0, 10)), Err(EndReason::InsufficientPosition));
    admit(&mut table, sell(70_000, 4), holding(0, 10)).unwrap();
    assert_eq!(table.working_qty(InstrumentId(0), Track::Scalp), (Qty(0), Qty(10)));
}

#[test]
fn off_tick_prices_and_odd_quantities_do_not_leave() {
    let mut table = OrderTable::default();
    let rich = holding(i64::MAX, 0);
    assert_eq!(admit(&mut table, buy(70_050, 1), rich), Err(EndReason::OffTick));
    assert_eq!(admit(&mut table, buy(0, 1), rich), Err(EndReason::OffTick));
    assert_eq!(admit(&mut table, buy(70_000, 0), rich), Err(EndReason::QtyInvalid));
    assert_eq!(admit(&mut table, buy(70_000, -1), rich), Err(EndReason::QtyInvalid));
    assert!(table.is_empty());
    assert_eq!(table.ended()[OrderState::Rejected as usize], 4);
}

#[test]
fn a_cost_beyond_the_range_of_money_is_beyond_the_cash() {
    let mut table = OrderTable::default();
    let refused = admit(&mut table, buy(70_000, i64::MAX), holding(i64::MAX, 0));
    assert_eq!(refused, Err(EndReason::InsufficientCash));
}

#[test]
fn fills_release_the_reservation_step_by_step() {
    let mut table = OrderTable::default();
    let id = admit(&mut table, buy(70_000, 10), holding(1_000_000, 0)).unwrap();
    let totals = table.fill(id, Qty(4), &samsung(), 0).unwrap();
    assert_eq!(totals, FillTotals { cumulative: Qty(4), remaining: Qty(6) });
    assert_eq!(table.reserved(), Money(6 * 70_000 + 63));
    assert_eq!(
        table.fill(id, Qty(7), &samsung(), 0),
        Err(OrderError::Overfilled { order: id, fill: 7, remaining: 6 })
    );
    table.fill(id, Qty(6), &samsung(), 0).unwrap();
    assert_eq!(table.reserved(), Money(0));
    assert!(table.get(id).is_none());
    assert_eq!(table.fill(id, Qty(1), &samsung(), 0), Err(OrderError::NotWorking(id)));
}

#[test]
fn an_ended_order_releases_what_it_held() {
    let mut table = OrderTable::default();
    let id = admit(&mut table, buy(70_000, 10), holding(1_000_000, 0)).unwrap();
    table.on(id, OrderEvent::Acknowledged).unwrap();
    table.on(id, OrderEvent::CancelSent).unwrap();
    let ended = table.on(id, OrderEvent::CancelConfirmed).unwrap();
    assert_eq!(ended.state, OrderState::Cancelled);
    assert_eq!(table.reserved(), Money(0));
}

proptest! {
    /// Whatever is admitted, filled and ended in whatever order: the sum held equals the sum of the orders' holds,
    /// and never exceeds the cash it was admitted against.
    #[test]
    fn reservations_add_up(steps in prop::collection::vec((0_u8..3, 1_i64..50, 1_u64..12), 1..60)) {
        let mut table = OrderTable::default();
        let cash = 10_000_000;
        for (what, qty, target) in steps {
            let id = OrderId(target);
            match what {
                0 => drop(admit(&mut table, buy(70_000, qty), holding(cash, 0))),
                1 => drop(table.fill(id, Qty(qty), &samsung(), 0)),
                _ => drop(table.on(id, OrderEvent::SessionEnded).or_else(|_| table.on(id, OrderEvent::Refused))),
            }
            let held: i64 = table.iter().map(|order| order.reserved.0).sum();
            prop_assert_eq!(held, table.reserved().0);
            prop_assert!(held <= cash);
        }
    }
}
