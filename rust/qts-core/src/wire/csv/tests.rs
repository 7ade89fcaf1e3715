//! What a row may say, and what is told of one that may not.

use super::*;
use crate::event::{MarketRecord, Side, TickKind};
use crate::fixed::{Price, Qty, Rate};
use crate::instrument::{CostRates, Dated, Instrument, InstrumentSpec, TickBand};
use crate::testing::krx_share;

pub(super) const ETH: InstrumentId = InstrumentId(0);
pub(super) const KRX: InstrumentId = InstrumentId(1);

/// ETHUSDT with 2 and 4 decimals in steps of 0.05, and one KRX share.
pub(super) fn table() -> InstrumentTable {
    let dated = |value| vec![Dated { effective_from_ns: 0, value }];
    let free = CostRates { buy_fee: Rate(0), sell_fee: Rate(0), sell_tax: Rate(0) };
    let eth = InstrumentSpec {
        symbol: "ETHUSDT".to_owned(),
        currency: "USDT".to_owned(),
        price_scale: Scale::new(2).unwrap(),
        qty_scale: Scale::new(4).unwrap(),
        money_scale: Scale::new(8).unwrap(),
        lot: Qty(1),
        price_increment: Price(5),
        ladder: dated(vec![TickBand { from: Price(0), tick: Price(5) }]),
        costs: vec![Dated { effective_from_ns: 0, value: free }],
        limit_rate: vec![Dated { effective_from_ns: 0, value: None }],
    };
    let mut table = InstrumentTable::default();
    table.push(Instrument::new(eth).unwrap()).unwrap();
    table.push(krx_share("005930")).unwrap();
    table
}

fn parse(line: &str) -> Result<MarketRecord, String> {
    let record = TickParser::new(&table()).parse_line(line.as_bytes());
    record.map_err(|error| error.at("t.csv", 2).to_string())
}

#[track_caller]
fn refused(line: &str, message: &str) {
    assert_eq!(parse(line).unwrap_err(), format!("t.csv: line 2{message}"));
}

#[test]
fn a_quote_row() {
    let record = parse("5,7,ETHUSDT,Q,,,,2681.60,1.165,2681.65,73.0770").unwrap();
    let expected = MarketRecord {
        ts_event_ns: 5,
        ts_recv_ns: 7,
        instrument: ETH,
        kind: TickKind::Quote,
        bid: Price(268_160),
        bid_qty: Qty(11_650),
        ask: Price(268_165),
        ask_qty: Qty(730_770),
        ..MarketRecord::default()
    };
    assert_eq!(record, expected);
}

#[test]
fn a_trade_row_may_carry_quotes_and_may_leave_out_the_side() {
    let record = parse("5,7,ETHUSDT,T,2681.60,0.0610,SELL,2681.60,16,2681.65,37").unwrap();
    assert_eq!((record.kind, record.aggressor), (TickKind::Trade, Some(Side::Sell)));
    assert_eq!((record.price, record.qty, record.bid_qty), (Price(268_160), Qty(610), Qty(160_000)));
    let record = parse("5,7,005930,T,71300,10,BUY,,,,").unwrap();
    assert_eq!((record.instrument, record.aggressor, record.bid), (KRX, Some(Side::Buy), Price(0)));
    assert_eq!(parse("5,7,005930,T,71300,10,,,,,").unwrap().aggressor, None);
}

#[test]
fn a_book_may_be_locked_one_sided_or_empty() {
    assert_eq!(parse("5,7,005930,Q,,,,71300,1,71300,2").unwrap().ask, Price(71_300));
    assert_eq!(parse("5,7,005930,Q,,,,71300,1,,").unwrap().ask, Price(0));
    assert_eq!(parse("5,7,005930,Q,,,,,,71300,1").unwrap().bid, Price(0));
    assert_eq!(parse("5,7,005930,Q,,,,,,,").unwrap().kind, TickKind::Quote);
}

#[test]
fn zeros_beyond_the_scale_are_fine() {
    assert_eq!(parse("5,7,ETHUSDT,T,2681.6000000,0.00460000,,,,,").unwrap().qty, Qty(46));
}

#[test]
fn a_carriage_return_belongs_to_the_line_ending() {
    assert_eq!(parse("5,7,005930,T,71300,10,,,,,\r"), parse("5,7,005930,T,71300,10,,,,,"));
    assert!(TickParser::check_header(format!("{}\r", TICK_COLUMNS.join(",")).as_bytes()).is_ok());
    assert!(TickParser::check_header(format!("\u{feff}{}", TICK_COLUMNS.join(",")).as_bytes()).is_ok());
}

#[test]
fn a_row_with_the_wrong_number_of_columns() {
    let columns = TICK_COLUMNS.join(",");
    refused("5,7,005930,T,71300", &format!(": found 5 columns; expected 11 columns: {columns}"));
    refused("5,7,005930,T,71300,10,,,,,,", &format!(": found 12 columns; expected 11 columns: {columns}"));
    refused("x", &format!(": found 1 column; expected 11 columns: {columns}"));
}

#[test]
fn bad_times() {
    for time in ["", "x", "-5", "1.5", " 5", "99999999999999999999"] {
        let message =
            format!(", column ts_event_ns: found {time:?}; expected a time in whole nanoseconds, UTC");
        refused(&format!("{time},7,005930,T,71300,10,,,,,"), &message);
    }
    refused(
        "5,,005930,T,71300,10,,,,,",
        ", column ts_recv_ns: found \"\"; expected a time in whole nanoseconds, UTC",
    );
}

#[test]
fn bad_decimals() {
    refused(
        "5,7,ETHUSDT,T,26x1,1,,,,,",
        ", column price: found \"26x1\"; expected a price as a plain decimal number with at most 2 decimals",
    );
    refused(
        "5,7,ETHUSDT,T,2681.605,1,,,,,",
        ", column price: found \"2681.605\"; expected a price as a plain decimal number with at most 2 decimals",
    );
    refused(
        "5,7,005930,Q,,,,71300,1.5,,",
        ", column bid_qty: found \"1.5\"; expected a size as a plain decimal number with no decimals",
    );
    refused(
        "5,7,005930,T,1e5,1,,,,,",
        ", column price: found \"1e5\"; expected a price as a plain decimal number with no decimals",
    );
    refused(
        "5,7,ETHUSDT,T,2681.61,1,,,,,",
        ", column price: found \"2681.61\"; expected a multiple of the price increment",
    );
}

#[test]
fn sizes_and_prices_are_above_zero() {
    refused("5,7,005930,T,0,1,,,,,", ", column price: found \"0\"; expected a price above 0");
    refused("5,7,005930,T,-5,1,,,,,", ", column price: found \"-5\"; expected a price above 0");
    refused("5,7,005930,T,5,0,,,,,", ", column qty: found \"0\"; expected a size above 0");
    refused("5,7,005930,T,5,-1,,,,,", ", column qty: found \"-1\"; expected a size of 0 or more");
    refused("5,7,005930,Q,,,,5,0,6,1", ", column bid_qty: found \"0\"; expected a size above 0");
    refused("5,7,005930,Q,,,,5,1,0,1", ", column ask: found \"0\"; expected a price above 0");
    refused(
        "5,7,005930,Q,,,,5,,6,1",
        ", column bid_qty: found \"\"; expected a size as a plain decimal number with no decimals",
    );
}

#[test]
fn unknown_words() {
    refused(
        "5,7,AAPL,Q,,,,5,1,6,1",
        ", column symbol: found \"AAPL\"; expected a symbol of the instrument table",
    );
    refused("5,7,005930,X,,,,5,1,6,1", ", column kind: found \"X\"; expected Q (quote) or T (trade)");
    refused("5,7,005930,T,5,1,buy,,,,", ", column side: found \"buy\"; expected BUY, SELL or nothing");
    refused("5,7,005930,Q,5,,,5,1,6,1", ", column price: found \"5\"; expected nothing on a quote row");
}

#[test]
fn a_crossed_quote() {
    refused(
        "5,7,005930,Q,,,,71400,1,71300,2",
        ", column bid: found bid \"71400\" above ask \"71300\"; expected a bid at or below the ask",
    );
}

#[test]
fn text_that_is_not_utf_8() {
    let mut parser = TickParser::new(&table());
    let error = parser.parse_line(b"5,7,\xff\xfe,Q,,,,5,1,6,1").unwrap_err();
    assert_eq!((error.column, error.expected.as_str()), (Some("symbol"), "UTF-8 text"));
}

#[test]
fn receive_time_does_not_run_backwards_but_exchange_time_may() {
    let mut parser = TickParser::new(&table());
    parser.parse_line(b"9,100,005930,T,5,1,,,,,").unwrap();
    parser.parse_line(b"3,100,005930,T,5,1,,,,,").unwrap();
    let error = parser.parse_line(b"9,99,005930,T,5,1,,,,,").unwrap_err();
    assert_eq!(
        error.at("t.csv", 4).to_string(),
        "t.csv: line 4, column ts_recv_ns: found 99 after 100; expected a receive time that does not run backwards"
    );
    parser.parse_line(b"9,100,005930,T,5,1,,,,,").expect("a refused row leaves no trace");
}

#[test]
fn symbols_may_change_from_row_to_row() {
    let mut parser = TickParser::new(&table());
    for (symbol, id) in [("005930", KRX), ("ETHUSDT", ETH), ("005930", KRX), ("005930", KRX)] {
        let record = parser.parse_line(format!("5,7,{symbol},Q,,,,5,1,10,1").as_bytes()).unwrap();
        assert_eq!(record.instrument, id);
    }
}

#[test]
fn a_long_cell_is_shortened_in_the_message() {
    let error = parse(&format!("5,7,{},Q,,,,5,1,6,1", "A".repeat(500))).unwrap_err();
    assert!(error.len() < 150 && error.contains('…'), "{error}");
}

#[test]
fn a_wrong_header_names_the_columns() {
    let check = |header: &str| TickParser::check_header(header.as_bytes()).unwrap_err();
    let full = TICK_COLUMNS.join(",");
    let error = check("ts_event_ns,ts_recv_ns,symbol,kind,price,qty,bid,bid_qty,ask,ask_qty");
    assert_eq!(
        error.at("t.csv", 1).to_string(),
        format!("t.csv: line 1, column side: found a header without side; expected the header {full}")
    );
    let error = check(&format!("{full},venue"));
    assert_eq!((error.column, error.found.as_str()), (None, "a header with unexpected \"venue\""));
    let error = check(&full.replace("price", "px"));
    assert_eq!(error.found, "a header without price and with unexpected \"px\"");
    let error = check(&full.replace("bid,bid_qty", "bid_qty,bid"));
    assert!(error.found.starts_with("a header in another order: ts_event_ns,"), "{}", error.found);
    assert_eq!(check(&format!("{full},side")).found, "a header with a column twice");
    assert!(check("").found.starts_with("a header without ts_event_ns, "));
}

fn bars(header: &str) -> Result<BarParser, RowError> {
    BarParser::new(header.as_bytes(), &table(), 32_400)
}

#[test]
fn a_daily_bar() {
    let mut parser = bars("date,symbol,open,high,low,close,volume\r").unwrap();
    let row = parser.parse_line(b"2023-12-22,005930,75800,76300,75400,75900,14515608\r").unwrap();
    let expected = BarRow {
        time: BarTime::Day(19_713),
        instrument: KRX,
        open: Price(75_800),
        high: Price(76_300),
        low: Price(75_400),
        close: Price(75_900),
        volume: Qty(14_515_608),
    };
    assert_eq!(row, expected);
    let halted = parser.parse_line(b"2023-12-25,005930,75900,75900,75900,75900,0").unwrap();
    assert_eq!(halted.volume, Qty(0));
}

#[test]
fn a_minute_bar() {
    let mut parser = bars("time,symbol,open,high,low,close,volume").unwrap();
    let row = parser.parse_line(b"2024-01-01 09:00,ETHUSDT,100.05,101,100,100.5,12.5").unwrap();
    assert_eq!((row.time, row.volume), (BarTime::Minute(1_704_067_200_000_000_000), Qty(125_000)));
    assert!(parser.parse_line(b"2024-01-01T00:00:00Z,005930,5,5,5,5,1").is_ok(), "the same time again");
}

#[test]
fn bars_that_make_no_sense_are_refused() {
    let refused = |line: &str| {
        let mut parser = bars("date,symbol,open,high,low,close,volume").unwrap();
        let error = parser.parse_line(line.as_bytes()).unwrap_err();
        (error.column, error.expected)
    };
    assert_eq!(refused("2023-12-22,005930,10,9,8,9,1").0, Some("high"));
    assert_eq!(refused("2023-12-22,005930,10,12,11,12,1").0, Some("low"));
    assert_eq!(refused("2023-12-22,005930,10,12,0,12,1").0, Some("low"));
    assert_eq!(refused("2023-12-22,005930,10,12,9,12,-1").0, Some("volume"));
    assert_eq!(refused("2023-12-22,005930,10,12,9,12.5,1").0, Some("close"));
    assert_eq!(refused("2023-12-22,AAPL,10,12,9,12,1").0, Some("symbol"));
    assert_eq!(refused("22.12.2023,005930,10,12,9,12,1"), (Some("date"), "a date as YYYY-MM-DD".to_owned()));
    assert_eq!(
        refused("2023-12-22,005930,10,12,9,12").1,
        "7 columns: date,symbol,open,high,low,close,volume"
    );
}

#[test]
fn bars_are_in_order_of_time() {
    let mut parser = bars("date,symbol,open,high,low,close,volume").unwrap();
    parser.parse_line(b"2023-12-22,005930,5,5,5,5,1").unwrap();
    let error = parser.parse_line(b"2023-12-21,005930,5,5,5,5,1").unwrap_err();
    assert_eq!(
        error.at("b.csv", 3).to_string(),
        "b.csv: line 3, column date: found 2023-12-21 after 2023-12-22; expected rows in order of date, which does not run backwards"
    );
}

#[test]
fn a_wrong_bar_header_names_the_columns() {
    let error = bars("date,close").unwrap_err();
    assert_eq!(error.found, "a header without symbol, open, high, low, volume");
    assert_eq!(
        error.expected,
        "the header date,symbol,open,high,low,close,volume (or time in place of date)"
    );
    let error = bars("time,symbol,open,high,low,close").unwrap_err();
    assert_eq!((error.column, error.found.as_str()), (Some("volume"), "a header without volume"));
}

#[test]
fn headers_as_written_are_headers_as_read() {
    assert!(TickParser::check_header(TICK_HEADER.trim_end().as_bytes()).is_ok());
    assert!(bars(DAILY_BAR_HEADER.trim_end()).is_ok());
    assert!(bars(MINUTE_BAR_HEADER.trim_end()).is_ok());
}

#[test]
fn what_has_no_row_is_not_written() {
    let mut out = Vec::new();
    let mut record = MarketRecord { kind: TickKind::BarClose, ..MarketRecord::default() };
    assert_eq!(write_tick_row(&record, &table(), &mut out), Err(NotATick::BarClose));
    record = MarketRecord { instrument: InstrumentId(9), ..MarketRecord::default() };
    let error = write_tick_row(&record, &table(), &mut out).unwrap_err();
    assert_eq!(error.to_string(), "instrument number 9 is not in the table");
    assert!(out.is_empty());
}

#[test]
fn an_auction_is_written_as_a_trade_without_a_side() {
    let record = MarketRecord {
        ts_event_ns: 5,
        ts_recv_ns: 7,
        instrument: ETH,
        kind: TickKind::Auction,
        price: Price(268_160),
        qty: Qty(610),
        ..MarketRecord::default()
    };
    let mut out = Vec::new();
    write_tick_row(&record, &table(), &mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "5,7,ETHUSDT,T,2681.6,0.061,,,,,\n");
}
