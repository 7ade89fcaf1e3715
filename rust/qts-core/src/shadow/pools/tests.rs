#![allow(clippy::arithmetic_side_effects, reason = "an overflow here fails the test")]

use super::*;
use crate::event::OrderId;
use crate::fixed::{Price, Qty};
use crate::instrument::InstrumentId;
use crate::shadow::{SplitError, SplitRow};

const SAMSUNG: InstrumentId = InstrumentId(0);
const NOTHING_HELD: Reserved = Reserved::NONE;

fn funded(scalp: i64, swing: i64, portfolio: i64) -> PositionBook {
    let mut book = PositionBook::new(1, Money(scalp + swing + portfolio));
    book.fund_pools([Money(scalp), Money(swing), Money(portfolio)], 0).unwrap();
    book
}

fn fill(track: Track, side: Side, qty: i64, price: i64, fee: i64, tax: i64) -> FillPayload {
    FillPayload {
        order: OrderId(1),
        exec_seq: 1,
        instrument: SAMSUNG,
        track,
        side,
        qty: Qty(qty),
        price: Price(price),
        cumulative: Qty(qty),
        remaining: Qty(0),
        amount: Money(qty * price),
        fee: Money(fee),
        tax: Money(tax),
        ts_exec_ns: 1,
        ts_recv_ns: 2,
    }
}

fn cash(book: &PositionBook) -> [i64; 5] {
    let of = |track| book.pool(track).map_or(0, |pool| pool.cash.0);
    let [scalp, swing, portfolio] = Track::ALL.map(of);
    [scalp, swing, portfolio, book.unallocated().0, book.account().cash.0]
}

#[test]
fn pools_are_funded_once_with_all_of_the_cash_before_the_first_order() {
    let mut book = PositionBook::new(1, Money(100));
    assert!(!book.is_funded());
    assert_eq!(book.unallocated(), Money(100));
    let fund =
        |book: &mut PositionBook, amounts: [i64; 3], orders| book.fund_pools(amounts.map(Money), orders);
    assert_eq!(fund(&mut book, [50, 30, 19], 0), Err(PoolError::Sum { found: 99, expected: 100 }));
    assert_eq!(fund(&mut book, [-1, 1, 100], 0), Err(PoolError::Amount { found: -1, expected: 0 }));
    let beyond = fund(&mut book, [i64::MAX; 3], 0);
    assert_eq!(beyond, Err(PoolError::Sum { found: 3 * i128::from(i64::MAX), expected: 100 }));
    assert_eq!(fund(&mut book, [50, 30, 20], 1), Err(PoolError::TooLate { orders: 1 }));
    assert!(!book.is_funded());
    fund(&mut book, [50, 30, 20], 0).unwrap();
    assert_eq!(cash(&book), [50, 30, 20, 0, 100]);
    assert_eq!(fund(&mut book, [50, 30, 20], 0), Err(PoolError::Funded));
}

#[test]
fn without_pools_only_what_is_unallocated_can_change() {
    let mut book = PositionBook::new(1, Money(100));
    let unfunded = Err(PoolError::Unfunded);
    assert_eq!(book.move_cash(None, Some(Track::Scalp), Money(1), &NOTHING_HELD), unfunded);
    assert_eq!(book.set_aside(Track::Scalp, Money(0), &NOTHING_HELD), unfunded);
    assert_eq!(book.block_entries(Track::Scalp, true), unfunded);
    assert_eq!(book.credit(Some(Track::Scalp), Money(1), &NOTHING_HELD), unfunded);
    assert_eq!(book.credit(Some(Track::Scalp), Money(-1), &NOTHING_HELD), unfunded);
    assert_eq!(book.account().cash, Money(100));
    book.credit(None, Money(-40), &NOTHING_HELD).unwrap();
    assert_eq!((book.account().cash, book.unallocated()), (Money(60), Money(60)));
}

#[test]
fn a_fill_moves_the_cash_of_its_track_as_it_moves_the_accounts() {
    let mut book = funded(1_000_000, 500_000, 200_000);
    book.apply(&fill(Track::Scalp, Side::Buy, 10, 70_000, 105, 0)).unwrap();
    assert_eq!(cash(&book), [299_895, 500_000, 200_000, 0, 999_895]);
    book.apply(&fill(Track::Scalp, Side::Sell, 4, 71_000, 42, 568)).unwrap();
    assert_eq!(cash(&book), [299_895 + 284_000 - 610, 500_000, 200_000, 0, 999_895 + 284_000 - 610]);
    let before = cash(&book);
    book.apply(&fill(Track::Swing, Side::Sell, 1, 70_000, 0, 0)).unwrap_err();
    assert_eq!(cash(&book), before, "swing holds nothing: scalp's shares are not its to sell");
}

#[test]
fn a_fill_that_leaves_the_range_of_a_pool_changes_nothing() {
    let mut book = PositionBook::new(1, Money(0));
    book.fund_pools([Money(0); 3], 0).unwrap();
    book.credit(Some(Track::Scalp), Money(i64::MAX), &NOTHING_HELD).unwrap();
    book.apply(&fill(Track::Swing, Side::Buy, 1, 70_000, 0, 0)).unwrap();
    let before = (cash(&book), book.position(SAMSUNG, Track::Scalp));
    let full = book.credit(Some(Track::Scalp), Money(1), &NOTHING_HELD);
    assert!(matches!(full, Err(PoolError::Fixed(_))), "{full:?}");
    let rebate = FillPayload { amount: Money(1), ..fill(Track::Scalp, Side::Buy, 1, 1, -2, 0) };
    book.apply(&rebate).unwrap_err();
    assert_eq!((cash(&book), book.position(SAMSUNG, Track::Scalp)), before);
}

#[test]
fn only_free_cash_moves_and_never_into_the_same_place() {
    let mut book = funded(100, 50, 20);
    let mut held = Reserved::default();
    held.hold(Track::Scalp, Money(30));
    book.set_aside(Track::Scalp, Money(25), &held).unwrap();
    let before = cash(&book);
    let short = PoolError::Short { place: "SCALP", found: 45, expected: 46 };
    assert_eq!(book.move_cash(Some(Track::Scalp), None, Money(46), &held), Err(short));
    for amount in [0, -1, i64::MIN] {
        let refused = book.move_cash(Some(Track::Scalp), None, Money(amount), &held);
        assert_eq!(refused, Err(PoolError::Amount { found: amount, expected: 1 }));
    }
    let same = book.move_cash(Some(Track::Scalp), Some(Track::Scalp), Money(1), &held);
    assert_eq!(same, Err(PoolError::SamePlace("SCALP")));
    let nothing_there = book.move_cash(None, Some(Track::Swing), Money(1), &held);
    assert_eq!(nothing_there, Err(PoolError::Short { place: "UNALLOCATED", found: 0, expected: 1 }));
    assert_eq!(cash(&book), before);
    book.move_cash(Some(Track::Scalp), None, Money(45), &held).unwrap();
    book.move_cash(None, Some(Track::Portfolio), Money(40), &held).unwrap();
    assert_eq!(cash(&book), [55, 50, 60, 5, 170]);
}

#[test]
fn what_is_set_aside_is_absolute_and_never_what_orders_hold() {
    let mut book = funded(100, 50, 20);
    let mut held = Reserved::default();
    held.hold(Track::Scalp, Money(30));
    let short = PoolError::Short { place: "SCALP", found: 70, expected: 71 };
    assert_eq!(book.set_aside(Track::Scalp, Money(71), &held), Err(short));
    book.set_aside(Track::Scalp, Money(70), &held).unwrap();
    book.set_aside(Track::Scalp, Money(60), &held).unwrap();
    assert_eq!(book.pool(Track::Scalp).unwrap().spendable(), Money(40));
    let negative = book.set_aside(Track::Scalp, Money(-1), &held);
    assert_eq!(negative, Err(PoolError::Amount { found: -1, expected: 0 }));
    assert_eq!(book.pool(Track::Scalp).unwrap().set_aside, Money(60));
    book.set_aside(Track::Scalp, Money(0), &held).unwrap();
    assert_eq!(cash(&book), [100, 50, 20, 0, 170], "nothing has moved");
}

#[test]
fn external_cash_comes_to_a_pool_or_to_none_and_leaves_only_if_it_is_free() {
    let mut book = funded(100, 50, 20);
    let mut held = Reserved::default();
    held.hold(Track::Swing, Money(20));
    book.set_aside(Track::Swing, Money(10), &held).unwrap();
    book.credit(None, Money(7), &held).unwrap();
    book.credit(Some(Track::Swing), Money(5), &held).unwrap();
    assert_eq!(cash(&book), [100, 55, 20, 7, 182]);
    let short = PoolError::Short { place: "SWING", found: 25, expected: 26 };
    assert_eq!(book.credit(Some(Track::Swing), Money(-26), &held), Err(short));
    let short = PoolError::Short { place: "UNALLOCATED", found: 7, expected: 8 };
    assert_eq!(book.credit(None, Money(-8), &held), Err(short));
    assert_eq!(cash(&book), [100, 55, 20, 7, 182]);
    book.credit(Some(Track::Swing), Money(-25), &held).unwrap();
    book.credit(None, Money(-7), &held).unwrap();
    assert_eq!(cash(&book), [100, 30, 20, 0, 150]);
}

#[test]
fn a_split_rounds_each_track_down_and_keeps_the_cost() {
    let mut book = funded(1_000_000, 1_000_000, 1_000_000);
    book.apply(&fill(Track::Scalp, Side::Buy, 7, 10_000, 0, 0)).unwrap();
    book.apply(&fill(Track::Portfolio, Side::Buy, 1, 10_000, 0, 0)).unwrap();
    let money = (cash(&book), *book.account());
    let rows = book.split(SAMSUNG, (1, 2), Qty(1)).unwrap();
    let told = |row: &SplitRow| {
        (row.track, row.before.0, row.after.qty.0, row.after.cost_total.0, row.written_off.0, row.rest)
    };
    let expected = [(Track::Scalp, 7, 3, 70_000, 0, 1), (Track::Portfolio, 1, 0, 0, 10_000, 1)];
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), expected);
    assert_eq!((cash(&book), *book.account()), money, "no cash moves");
    assert_eq!(book.position(SAMSUNG, Track::Portfolio).qty, Qty(0));
    let rows = book.split(SAMSUNG, (50, 3), Qty(10)).unwrap();
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [(Track::Scalp, 3, 50, 70_000, 0, 0)]);
    let rows = book.split(SAMSUNG, (1, 3), Qty(10)).unwrap();
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [(Track::Scalp, 50, 10, 70_000, 0, 20)]);
}

#[test]
fn a_split_without_a_ratio_or_beyond_the_range_changes_nothing() {
    let mut book = funded(1_000_000, 1_000_000, 0);
    book.apply(&fill(Track::Scalp, Side::Buy, 1, 10_000, 0, 0)).unwrap();
    book.apply(&fill(Track::Swing, Side::Buy, 2, 10_000, 0, 0)).unwrap();
    let held = Track::ALL.map(|track| book.position(SAMSUNG, track));
    for (numerator, denominator) in [(0, 1), (1, 0), (-1, 2), (1, -2)] {
        let refused = book.split(SAMSUNG, (numerator, denominator), Qty(1));
        assert_eq!(refused, Err(SplitError::Ratio { numerator, denominator }));
    }
    // Fits for the first track, not for the second.
    assert!(matches!(book.split(SAMSUNG, (i64::MAX, 1), Qty(1)), Err(SplitError::Fixed(_))));
    assert_eq!(book.split(InstrumentId(1), (2, 1), Qty(1)), Err(SplitError::UnknownInstrument(1)));
    assert_eq!(Track::ALL.map(|track| book.position(SAMSUNG, track)), held);
}
