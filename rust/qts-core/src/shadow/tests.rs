#![allow(clippy::arithmetic_side_effects, reason = "an overflow here fails the test")]

use super::*;
use crate::event::OrderId;

const SCALP: Track = Track::Scalp;
const SAMSUNG: InstrumentId = InstrumentId(0);

fn fill(side: Side, qty: i64, price: i64, fee: i64, tax: i64) -> FillPayload {
    FillPayload {
        order: OrderId(1),
        exec_seq: 1,
        instrument: SAMSUNG,
        track: SCALP,
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

/// The vector of spec 02 §5.6: fills at 1.5 bps fee and 20 bps tax.
#[test]
fn cost_basis_follows_the_specified_vector() {
    let mut book = PositionBook::new(1, Money(20_000_000));
    book.apply(&fill(Side::Buy, 100, 70_000, 1_050, 0)).unwrap();
    book.apply(&fill(Side::Buy, 50, 71_000, 532, 0)).unwrap();
    let sale = book.apply(&fill(Side::Sell, 60, 72_000, 648, 8_640)).unwrap();
    assert_eq!(sale.realized, Money(90_712));
    assert_eq!(sale.position.qty, Qty(90));
    assert_eq!(sale.position.cost_total, Money(6_330_000));
    let account = book.account();
    assert_eq!(account.cash, Money(20_000_000 - 7_001_050 - 3_550_532 + 4_320_000 - 648 - 8_640));
    assert_eq!((account.fees, account.taxes), (Money(2_230), Money(8_640)));
}

#[test]
fn selling_more_than_held_is_refused_and_changes_nothing() {
    let mut book = PositionBook::new(1, Money(1_000_000));
    book.apply(&fill(Side::Buy, 10, 70_000, 105, 0)).unwrap();
    let before = (book.position(SAMSUNG, SCALP), *book.account());
    let refused = book.apply(&fill(Side::Sell, 11, 70_000, 0, 0));
    assert_eq!(refused, Err(BookError::Oversold { sold: 11, held: 10 }));
    assert_eq!((book.position(SAMSUNG, SCALP), *book.account()), before);
}

#[test]
fn an_overflow_is_an_error_and_changes_nothing() {
    let mut book = PositionBook::new(1, Money(i64::MIN + 1));
    let before = *book.account();
    assert!(matches!(book.apply(&fill(Side::Buy, 1, 70_000, 0, 0)), Err(BookError::Fixed(_))));
    assert_eq!(*book.account(), before);
    assert_eq!(book.position(SAMSUNG, SCALP), Position::default());
}

#[test]
fn a_position_that_opens_again_starts_a_new_life() {
    let mut book = PositionBook::new(1, Money(10_000_000));
    for life in 1..=3 {
        let opened = book.apply(&fill(Side::Buy, 10, 70_000, 0, 0)).unwrap();
        assert_eq!(opened.position.life, life);
        let closed = book.apply(&fill(Side::Sell, 10, 70_000, 0, 0)).unwrap();
        assert_eq!((closed.position.qty, closed.position.cost_total), (Qty(0), Money(0)));
    }
    assert_eq!(book.open().count(), 0);
}

#[test]
fn tracks_hold_the_same_instrument_side_by_side() {
    let mut book = PositionBook::new(1, Money(10_000_000));
    book.apply(&fill(Side::Buy, 10, 70_000, 0, 0)).unwrap();
    book.apply(&FillPayload { track: Track::Swing, ..fill(Side::Buy, 5, 71_000, 0, 0) }).unwrap();
    let held: Vec<_> = book.open().map(|(_, track, position)| (track, position.qty)).collect();
    assert_eq!(held, [(Track::Scalp, Qty(10)), (Track::Swing, Qty(5))]);
}

#[test]
fn an_instrument_outside_the_book_is_named() {
    let mut book = PositionBook::new(0, Money(0));
    assert_eq!(book.apply(&fill(Side::Buy, 1, 1, 0, 0)), Err(BookError::UnknownInstrument(0)));
}
