//! What a bar holds, and when it may be seen.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here fails the test")]

use proptest::prelude::*;

use super::*;
use crate::sim::matcher::testkit::record;

const ABC: InstrumentId = InstrumentId(0);
const XYZ: InstrumentId = InstrumentId(1);
const MINUTE_NS: i64 = 60_000_000_000;

fn trade(instrument: InstrumentId, ts_recv_ns: i64, price: i64, qty: i64) -> MarketRecord {
    MarketRecord { ts_recv_ns, price: Price(price), qty: Qty(qty), ..record(instrument, TickKind::Trade) }
}

fn bar_close(instrument: InstrumentId, ts_recv_ns: i64) -> MarketRecord {
    MarketRecord {
        kind: TickKind::BarClose,
        open: Price(10),
        high: Price(14),
        low: Price(9),
        ..trade(instrument, ts_recv_ns, 12, 500)
    }
}

fn minutes() -> BarBuilder {
    let mut bars = BarBuilder::new(2);
    bars.add_series(MINUTE_NS).unwrap();
    bars
}

fn drained(bars: &mut BarBuilder, now_ns: i64) -> Vec<Bar> {
    let mut out = Vec::new();
    bars.drain(now_ns, &mut out);
    out
}

#[test]
fn a_bar_holds_the_trades_of_its_interval() {
    let mut bars = minutes();
    for (second, price, qty) in [(60, 100, 5), (75, 104, 1), (90, 97, 2), (119, 101, 3)] {
        bars.on_record(&trade(ABC, second * 1_000_000_000, price, qty)).unwrap();
    }
    assert_eq!(
        drained(&mut bars, 2 * MINUTE_NS),
        [Bar {
            instrument: ABC,
            interval_ns: MINUTE_NS,
            start_ns: MINUTE_NS,
            end_ns: 2 * MINUTE_NS,
            open: Price(100),
            high: Price(104),
            low: Price(97),
            close: Price(101),
            volume: Qty(11),
        }]
    );
}

#[test]
fn a_bar_is_not_seen_before_its_end() {
    let mut bars = minutes();
    bars.on_record(&trade(ABC, 5, 100, 1)).unwrap();
    assert_eq!(bars.next_end_ns(), Some(MINUTE_NS));
    assert_eq!(drained(&mut bars, MINUTE_NS - 1), []);
    assert_eq!(drained(&mut bars, MINUTE_NS).len(), 1);
    assert_eq!(drained(&mut bars, MINUTE_NS), [], "once only");
    assert_eq!(bars.next_end_ns(), None);
}

#[test]
fn a_trade_at_the_end_belongs_to_the_next_bar_and_leaves_the_first_complete() {
    let mut bars = minutes();
    bars.on_record(&trade(ABC, 0, 100, 1)).unwrap();
    bars.on_record(&trade(ABC, MINUTE_NS, 200, 2)).unwrap();
    let first = drained(&mut bars, MINUTE_NS);
    assert_eq!((first.len(), first[0].close, first[0].volume), (1, Price(100), Qty(1)));
    assert_eq!(bars.next_end_ns(), Some(2 * MINUTE_NS));
}

#[test]
fn an_interval_without_trades_has_no_bar() {
    let mut bars = minutes();
    bars.on_record(&trade(ABC, 0, 100, 1)).unwrap();
    bars.on_record(&record(ABC, TickKind::Quote)).unwrap();
    bars.on_record(&trade(ABC, MINUTE_NS, 100, 0)).unwrap();
    bars.on_record(&trade(ABC, 5 * MINUTE_NS, 101, 1)).unwrap();
    let starts: Vec<i64> = drained(&mut bars, 9 * MINUTE_NS).iter().map(|bar| bar.start_ns).collect();
    assert_eq!(starts, [0, 5 * MINUTE_NS]);
}

#[test]
fn bars_before_1970_are_aligned_too() {
    let mut bars = minutes();
    bars.on_record(&trade(ABC, -1, 100, 1)).unwrap();
    let bar = drained(&mut bars, 0)[0];
    assert_eq!((bar.start_ns, bar.end_ns), (-MINUTE_NS, 0));
}

#[test]
fn several_series_come_out_by_end_then_interval_then_instrument() {
    let mut bars = minutes();
    bars.add_series(2 * MINUTE_NS).unwrap();
    for ts_ns in [0, MINUTE_NS] {
        bars.on_record(&trade(XYZ, ts_ns, 100, 1)).unwrap();
        bars.on_record(&trade(ABC, ts_ns, 100, 1)).unwrap();
    }
    let order: Vec<(i64, i64, u32)> = drained(&mut bars, 2 * MINUTE_NS)
        .iter()
        .map(|bar| (bar.end_ns / MINUTE_NS, bar.interval_ns / MINUTE_NS, bar.instrument.0))
        .collect();
    assert_eq!(order, [(1, 1, 0), (1, 1, 1), (2, 1, 0), (2, 1, 1), (2, 2, 0), (2, 2, 1)]);
}

#[test]
fn a_series_may_be_for_some_instruments_and_grow() {
    let mut bars = BarBuilder::new(2);
    bars.add_series_for(MINUTE_NS, &[XYZ]).unwrap();
    let both = |bars: &mut BarBuilder, ts_ns| {
        bars.on_record(&trade(ABC, ts_ns, 100, 1)).unwrap();
        bars.on_record(&trade(XYZ, ts_ns, 100, 1)).unwrap();
        drained(bars, ts_ns + MINUTE_NS).iter().map(|bar| bar.instrument.0).collect::<Vec<_>>()
    };
    assert_eq!(both(&mut bars, 0), [1]);
    bars.add_series_for(MINUTE_NS, &[ABC]).unwrap();
    assert_eq!(both(&mut bars, MINUTE_NS), [0, 1], "one series, no bar twice");
}

#[test]
fn a_series_that_makes_no_sense_is_refused() {
    let mut bars = BarBuilder::new(2);
    assert_eq!(bars.add_series(0), Err(BarSeriesError::Interval { interval_ns: 0 }));
    let error = bars.add_series_for(MINUTE_NS, &[ABC, InstrumentId(2)]).unwrap_err();
    assert_eq!(error.to_string(), "bar series names instrument number 2, expected one below 2");
}

#[test]
fn a_recorded_bar_is_passed_on_and_takes_the_place_of_a_built_one() {
    let mut bars = BarBuilder::new(2);
    bars.add_series(DAY_NS).unwrap();
    let close_ns = 23_400_000_000_000;
    bars.on_record(&trade(ABC, 100, 10, 5)).unwrap();
    bars.on_record(&trade(XYZ, 100, 10, 5)).unwrap();
    bars.on_record(&bar_close(ABC, close_ns)).unwrap();
    let bar = Bar {
        instrument: ABC,
        interval_ns: DAY_NS,
        start_ns: close_ns - DAY_NS,
        end_ns: close_ns,
        open: Price(10),
        high: Price(14),
        low: Price(9),
        close: Price(12),
        volume: Qty(500),
    };
    assert_eq!(drained(&mut bars, close_ns - 1), []);
    assert_eq!(drained(&mut bars, close_ns), [bar]);
    let rest = drained(&mut bars, DAY_NS);
    assert_eq!(rest.iter().map(|bar| bar.instrument).collect::<Vec<_>>(), [XYZ]);
}

#[test]
fn a_recorded_bar_needs_no_series() {
    let mut bars = BarBuilder::new(1);
    bars.on_record(&bar_close(ABC, 7)).unwrap();
    bars.on_record(&bar_close(ABC, 9)).unwrap();
    assert_eq!(drained(&mut bars, 7).len(), 1);
    assert_eq!(bars.next_end_ns(), Some(9), "the second has not been received yet");
    assert_eq!(drained(&mut bars, 9).len(), 1);
}

#[test]
fn a_volume_beyond_its_range_is_an_error() {
    let mut bars = minutes();
    bars.on_record(&trade(ABC, 0, 100, i64::MAX)).unwrap();
    assert!(bars.on_record(&trade(ABC, 1, 100, 1)).is_err());
}

#[test]
fn an_instrument_outside_the_table_has_no_bars() {
    let mut bars = minutes();
    bars.on_record(&trade(InstrumentId(7), 0, 100, 1)).unwrap();
    assert_eq!(drained(&mut bars, DAY_NS), []);
}

proptest! {
    /// However the trades fall and whenever somebody looks, the bars are those of the trades grouped by interval.
    #[test]
    fn bars_are_the_trades_by_interval(
        trades in proptest::collection::vec((0_i64..40, 1_i64..50, 1_i64..9, any::<bool>()), 1..80),
    ) {
        let mut bars = BarBuilder::new(2);
        bars.add_series(60).unwrap();
        let (mut now_ns, mut seen, mut expected) = (0, Vec::new(), Vec::<Bar>::new());
        for (gap, price, qty, look) in trades {
            now_ns += gap;
            bars.on_record(&trade(ABC, now_ns, price, qty)).unwrap();
            let start_ns = now_ns / 60 * 60;
            match expected.last_mut().filter(|bar| bar.start_ns == start_ns) {
                Some(bar) => {
                    bar.high.0 = bar.high.0.max(price);
                    bar.low.0 = bar.low.0.min(price);
                    bar.close.0 = price;
                    bar.volume.0 += qty;
                }
                None => expected.push(Bar {
                    instrument: ABC,
                    interval_ns: 60,
                    start_ns,
                    end_ns: start_ns + 60,
                    open: Price(price),
                    high: Price(price),
                    low: Price(price),
                    close: Price(price),
                    volume: Qty(qty),
                }),
            }
            if look {
                bars.drain(now_ns, &mut seen);
                prop_assert!(seen.iter().all(|bar| bar.end_ns <= now_ns));
            }
        }
        bars.drain(now_ns + 60, &mut seen);
        prop_assert_eq!(seen, expected);
    }
}
