//! What the tap remembers.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here fails the test")]

use super::*;
use crate::sim::matcher::testkit::record;

const ABC: InstrumentId = InstrumentId(0);

fn quote(bid: i64, ask: i64) -> MarketRecord {
    MarketRecord {
        bid: Price(bid),
        bid_qty: Qty(bid * 10),
        ask: Price(ask),
        ask_qty: Qty(ask * 10),
        ..record(ABC, TickKind::Quote)
    }
}

fn trade(price: i64) -> MarketRecord {
    MarketRecord { price: Price(price), qty: Qty(3), ..record(ABC, TickKind::Trade) }
}

#[test]
fn a_trade_comes_back_with_the_quotes_that_hold() {
    let mut tap = PriceTap::new(1);
    assert_eq!(tap.quote(ABC), Quote::default());
    tap.apply(&quote(99, 101));
    let tick = tap.apply(&trade(101));
    assert_eq!((tick.kind, tick.price, tick.qty), (TickKind::Trade, Price(101), Qty(3)));
    assert_eq!(
        (tick.bid, tick.bid_qty, tick.ask, tick.ask_qty),
        (Price(99), Qty(990), Price(101), Qty(1_010))
    );
    assert_eq!(tap.last(ABC), Some(Price(101)));
    assert_eq!(tap.quote(ABC).last_qty, Qty(3));
}

#[test]
fn a_trade_that_carries_quotes_replaces_them() {
    let mut tap = PriceTap::new(1);
    tap.apply(&quote(99, 101));
    let tick = tap.apply(&MarketRecord { price: Price(101), ..quote(100, 102) });
    assert_eq!((tick.bid, tick.ask), (Price(100), Price(102)));
}

#[test]
fn a_quote_without_one_side_empties_that_side_and_leaves_the_last_trade() {
    let mut tap = PriceTap::new(1);
    tap.apply(&trade(100));
    tap.apply(&quote(99, 101));
    let tick = tap.apply(&quote(99, 0));
    assert_eq!((tick.bid, tick.ask, tick.price), (Price(99), Price(0), Price(0)));
    assert_eq!(tap.last(ABC), Some(Price(100)));
}

#[test]
fn exchange_time_may_run_backwards() {
    let mut tap = PriceTap::new(1);
    tap.apply(&MarketRecord { ts_event_ns: 90, ts_recv_ns: 100, ..trade(100) });
    tap.apply(&MarketRecord { ts_event_ns: 80, ts_recv_ns: 101, ..trade(101) });
    let quote = tap.quote(ABC);
    assert_eq!((quote.last, quote.ts_event_ns, quote.ts_recv_ns), (Price(101), 80, 101));
}

#[test]
fn a_closed_bar_gives_its_close_and_no_trade_size() {
    let mut tap = PriceTap::new(1);
    tap.mark(ABC, Price(100));
    let mut close = record(ABC, TickKind::BarClose);
    (close.price, close.qty, close.high, close.low) = (Price(103), Qty(9_999), Price(120), Price(80));
    tap.apply(&close);
    assert_eq!((tap.quote(ABC).last, tap.quote(ABC).last_qty), (Price(103), Qty(0)));
    assert_eq!(tap.extremes(ABC), Some(Extremes { high: Price(103), low: Price(100) }));
}

#[test]
fn extremes_start_at_the_mark_and_follow_trades_only() {
    let mut tap = PriceTap::new(1);
    tap.apply(&trade(150));
    assert_eq!(tap.extremes(ABC), None);
    tap.mark(ABC, Price(100));
    assert_eq!(tap.extremes(ABC), Some(Extremes { high: Price(100), low: Price(100) }));
    tap.apply(&quote(50, 200));
    tap.apply(&trade(104));
    tap.apply(&trade(97));
    tap.apply(&trade(0));
    assert_eq!(tap.extremes(ABC), Some(Extremes { high: Price(104), low: Price(97) }));
    tap.unmark(ABC);
    assert_eq!(tap.extremes(ABC), None);
}

#[test]
fn an_instrument_outside_the_table_leaves_no_trace() {
    let stranger = InstrumentId(5);
    let mut tap = PriceTap::new(1);
    let tick = tap.apply(&MarketRecord { instrument: stranger, ..quote(99, 101) });
    assert_eq!((tick.bid, tick.ask), (Price(99), Price(101)));
    tap.mark(stranger, Price(1));
    tap.unmark(stranger);
    assert_eq!((tap.last(stranger), tap.extremes(stranger)), (None, None));
    assert_eq!(tap.quote(stranger), Quote::default());
}
