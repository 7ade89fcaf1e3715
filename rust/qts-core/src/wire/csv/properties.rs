//! Properties of the parsers: nothing makes them panic, and what is written comes back.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here fails the test")]

use proptest::prelude::*;

use super::tests::{ETH, KRX, table};
use super::*;
use crate::event::{MarketRecord, Side, TickKind};
use crate::fixed::{Price, Qty};

fn any_side() -> impl Strategy<Value = Option<(i64, i64)>> {
    prop::option::of((1_i64..1_000_000_000, 1_i64..i64::MAX / 2))
}

fn any_record() -> impl Strategy<Value = MarketRecord> {
    let times = (0..i64::MAX, 0..i64::MAX);
    let trade = prop::option::of((1_i64..1_000_000_000, 1_i64..i64::MAX / 2, 0..3_u8));
    (times, any::<bool>(), trade, any_side(), any_side()).prop_map(
        |((event, recv), is_eth, trade, bid, ask)| {
            // Prices are counted in steps of the increment: 0.05, or one won.
            let step = if is_eth { 5 } else { 1 };
            let mut record = MarketRecord {
                ts_event_ns: event,
                ts_recv_ns: recv,
                instrument: if is_eth { ETH } else { KRX },
                ..MarketRecord::default()
            };
            if let Some((price, qty, side)) = trade {
                record.kind = TickKind::Trade;
                (record.price, record.qty) = (Price(price * step), Qty(qty));
                record.aggressor = [None, Some(Side::Buy), Some(Side::Sell)][usize::from(side)];
            }
            if let Some((price, qty)) = bid {
                (record.bid, record.bid_qty) = (Price(price * step), Qty(qty));
            }
            if let Some((price, qty)) = ask {
                (record.ask, record.ask_qty) = (Price(record.bid.0 + price * step), Qty(qty));
            }
            record
        },
    )
}

/// Cells that are nearly right, so that every branch of a parser is met.
fn any_cell() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        "[0-9]{1,22}".prop_map(String::into_bytes),
        "-?[0-9]{0,5}[.]?[0-9]{0,9}".prop_map(String::into_bytes),
        "[QTX]|BUY|SELL|005930|ETHUSDT".prop_map(String::into_bytes),
        "20[0-9]{2}-[0-1][0-9]-[0-3][0-9]([T ][0-2][0-9]:[0-6][0-9](:[0-6][0-9])?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
            .prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_not_panic(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..4)) {
        let table = table();
        let mut ticks = TickParser::new(&table);
        for line in &lines {
            let _ = TickParser::check_header(line);
            let _ = BarParser::new(line, &table, 0);
            let _ = ticks.parse_line(line);
        }
    }

    #[test]
    fn nearly_right_rows_do_not_panic_and_keep_their_promises(
        rows in prop::collection::vec(prop::collection::vec(any_cell(), 7..12), 1..20),
    ) {
        let table = table();
        let mut ticks = TickParser::new(&table);
        let mut days = BarParser::new(DAILY_BAR_HEADER.trim_end().as_bytes(), &table, 32_400).unwrap();
        let mut minutes = BarParser::new(MINUTE_BAR_HEADER.trim_end().as_bytes(), &table, 32_400).unwrap();
        let mut last_ns = i64::MIN;
        for row in rows {
            let line = row.join(&b',');
            let _ = days.parse_line(&line);
            let _ = minutes.parse_line(&line);
            if let Ok(record) = ticks.parse_line(&line) {
                prop_assert!(record.ts_recv_ns >= last_ns);
                prop_assert!(record.bid <= record.ask || record.ask.0 == 0);
                last_ns = record.ts_recv_ns;
            }
        }
    }

    #[test]
    fn a_written_tick_is_the_tick_that_is_read(record in any_record()) {
        let table = table();
        let mut line = Vec::new();
        write_tick_row(&record, &table, &mut line).unwrap();
        prop_assert_eq!(line.pop(), Some(b'\n'));
        prop_assert_eq!(TickParser::new(&table).parse_line(&line), Ok(record));
    }

    #[test]
    fn a_written_bar_is_the_bar_that_is_read(
        at in prop_oneof![
            (-100_000..2_900_000_i32).prop_map(BarTime::Day),
            (-9_000_000_000..9_000_000_000_i64).prop_map(|second| BarTime::Minute(second * 1_000_000_000)),
        ],
        prices in [1_i64..1_000_000, 1_i64..1_000_000, 1_i64..1_000_000, 1_i64..1_000_000],
        volume in 0..i64::MAX,
    ) {
        let mut sorted = prices.map(|price| Price(price * 5));
        sorted.sort_unstable();
        let [low, open, close, high] = sorted;
        let row = BarRow { time: at, instrument: ETH, open, high, low, close, volume: Qty(volume) };
        let table = table();
        let header = match at {
            BarTime::Day(_) => DAILY_BAR_HEADER,
            BarTime::Minute(_) => MINUTE_BAR_HEADER,
        };
        let mut line = Vec::new();
        write_bar_row(&row, &table, &mut line).unwrap();
        prop_assert_eq!(line.pop(), Some(b'\n'));
        let mut parser = BarParser::new(header.trim_end().as_bytes(), &table, 32_400).unwrap();
        prop_assert_eq!(parser.parse_line(&line), Ok(row));
    }
}
